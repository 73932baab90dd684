# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a check has found: failures, warnings and proofs."""

from __future__ import annotations

import enum
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import Mapping


class Need(enum.Enum):
    """What a failure depends on: a process that is ready, its answer, or a connection to it."""

    READY = "ready"
    ANSWER = "answer"
    CONNECTION = "connection"


class Verdict:
    """Collects what a check finds. `failures`, `warnings` and `proofs` are as the module returns them."""

    def __init__(self) -> None:
        self.failures: list[dict[str, t.Any]] = []
        self.proofs: dict[str, str] = {}
        self._needs: list[Need | None] = []
        self._causes: set[str] = set()
        self._warnings: dict[str, str] = {}

    @property
    def warnings(self) -> list[str]:
        """The warnings whose cause is not the cause of a failure, each once."""
        return list(dict.fromkeys(text for cause, text in self._warnings.items() if cause not in self._causes))

    @property
    def message(self) -> str:
        """The reasons of all failures, each once."""
        return " ".join(dict.fromkeys(failure["reason"] for failure in self.failures))

    def fail(
        self,
        declared: str,
        reason: str,
        process: Mapping | None = None,
        cause: str = "",
        *,
        need: Need | None = None,
    ) -> None:
        """Add a failure. `declared`: the option; `reason`: sentences; `cause`: identifies what causes it.

        `need`: what it may only result from the lack of.
        """
        failure: dict[str, t.Any] = {"declared": declared}
        if process is not None:
            failure.update({key: process[key] for key in ("name", "pid") if key in process})
            if "name" in failure:
                failure["process"] = failure.pop("name")
        self.failures.append({**failure, "reason": reason})
        self._needs.append(need)
        self._causes.add(cause)

    def needs(self, needs: t.Collection[Need], pids: t.Collection[int | None]) -> bool:
        """Return whether there are failures with one of these needs of one of these processes. None: of the server."""
        return any(True for _failure in self._needing(needs, pids))

    def explain(self, needs: t.Collection[Need], pids: t.Collection[int | None], reason: str) -> None:
        """Replace the reasons of the failures with one of these needs, because their cause has been found."""
        for position in self._needing(needs, pids):
            self.failures[position]["reason"] = reason
            self._needs[position] = None

    def _needing(self, needs: t.Collection[Need], pids: t.Collection[int | None]) -> t.Iterator[int]:
        for position, failure in enumerate(self.failures):
            if self._needs[position] in needs and failure.get("pid") in pids:
                yield position

    def warn(self, cause: str, text: str) -> None:
        """Add a warning, unless a failure has the same cause."""
        self._warnings.setdefault(cause, text)

    def failed(self, *options: str) -> bool:
        """Return whether one of these options is not as declared."""
        return any(failure["declared"] in options for failure in self.failures)
