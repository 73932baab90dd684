# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether Synapse would start after a change of a drop-in. That is found out before the change, without writing."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_surroundings import Surroundings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.findings import (
    MISREAD,
    REPLACED,
    SECRET,
    Fault,
    find_faults,
    find_ignored_files,
    without_repetition,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Candidate, Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import (
    is_missing,
    new_signing_key,
    signing_key_path,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    KeyPath,
    Settings,
    leaves,
    meet,
    secret_values,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.verdict import CONFIGURATION, Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Change:
    """A change of the drop-in `path`. `before` and `after`: its settings; None if there is no file.

    `around`: the other files. `text`: the whole text afterwards. `declared`: the settings of the task itself, without
    those that merge has added. `changes`: whether the file changes at all. `failed`: the beginning of an error message,
    such as "The settings were not applied". `secret_paths`: where the drop-in has values that were declared as secrets.
    """

    path: str
    around: Surroundings
    before: Settings | None
    after: Settings | None
    text: str
    declared: Settings
    changes: bool
    failed: str
    secret_paths: t.Collection[KeyPath] = ()

    @property
    def secrets(self) -> frozenset[str]:
        """The values that no message may contain."""
        settings = (self.around.earlier.settings, self.before or {}, self.after or {}, self.around.later.settings)
        return frozenset[str]().union(*(secret_values(each, self.secret_paths) for each in settings))

    def configuration(self, own: Settings | None) -> Configuration:
        """Return the whole configuration with these settings in the drop-in."""
        file = () if own is None else (ConfigurationFile(self.path, own),)
        return Configuration((*self.around.earlier.files, *file, *self.around.later.files))

    def declares(self, key: KeyPath) -> bool:
        """Return whether the task itself declares this setting, or a part of it."""
        return any(meet(key, where) for where in leaves(self.declared) if where)

    @property
    def candidate(self) -> Candidate:
        """The change, for Synapse's parser."""
        files = tuple(file.path for file in self.configuration({}).files)
        return Candidate(files, self.path, None if self.after is None else self.text.encode())


class Acceptance:
    """Whether a change is accepted: by Synapse's own `parser`, and as far as this collection itself knows.

    `parser` None: it is not asked. `config_path`: the files and directories that Synapse is started with.
    """

    def __init__(self, change: Change, config_path: t.Sequence[str], parser: Parser | None) -> None:
        self._change = change
        self._config_path = config_path
        self._parser = parser if parser and parser.is_installed() else None
        self._faults = [self._at_source(fault) for fault in self._find(change.after)]

    def require_declared(self) -> None:
        """Raise ConfigurationError if a declared value would be taken for something else."""
        change = self._change
        wrong = [fault for fault in self._faults if fault.kind in (MISREAD, SECRET) and self._is_own(fault)]
        if wrong:
            raise ConfigurationError(f"{self._failed}{self._messages(wrong)}")
        if not change.changes:
            return
        before, after = (signing_key_path(change.configuration(own)) for own in (change.before, change.after))
        if before and after and before != after and not is_missing(before) and is_missing(after):
            effect = (
                f"look for it at {after}, and the worker would not start"
                if change.configuration(change.after).worker_app
                else f"make a new one at {after}, so that other servers would not trust it"
            )
            raise ConfigurationError(
                f"{self._failed}Synapse would no longer use its signing key {before}, but {effect}: without"
                " signing_key_path it looks next to the last file of its configuration. Set signing_key_path to"
                f" {before} in the configuration first."
            )

    def require_accepted(self) -> None:
        """Raise ConfigurationError if Synapse would not start with the configuration after the change.

        If Synapse's own parser accepts it, that counts, and not what this collection knows of the parser.
        """
        refused = [fault for fault in self._faults if fault.is_refused]
        if self._parser:
            verdict = self._judge(self._parser, self._change.candidate)
            if not verdict.accepted:
                raise self._refusal(self._parser, verdict, refused)
            refused = [fault for fault in refused if fault.ends_start]
        if refused:
            change = self._change
            earlier = self._find(change.before)
            new = [fault for fault in refused if not change.changes or fault not in earlier]
            raise ConfigurationError(
                f"{self._failed}{self._messages(new)}" if new else f"{self._messages(refused)} {self._not_due()}"
            )
        self._faults = [fault for fault in self._faults if not fault.is_refused]

    def warnings(self) -> list[str]:
        """Return what does not keep Synapse from starting. Call it last: the other methods remove what they judge."""
        change = self._change
        told = [fault for fault in without_repetition(self._faults) if change.changes or fault.kind != REPLACED]
        found = [self._message(fault) for fault in (*told, *find_ignored_files(self._config_path))]
        key = new_signing_key(change.configuration(change.after))
        if change.changes and key:
            found.append(
                f"The signing key {key} does not exist, so that Synapse makes a new one when it starts. If this server"
                " has been in use before, restore its signing key first."
            )
        return found

    @property
    def _failed(self) -> str:
        return f"{self._change.failed}, and nothing has changed. " if self._change.changes else ""

    def _find(self, own: Settings | None) -> list[Fault]:
        """Return the faults with these settings in the drop-in. Their messages say what the task declares itself."""
        change = self._change
        return find_faults(change.configuration(own), lambda file, key: file == change.path and change.declares(key))

    def _at_source(self, fault: Fault) -> Fault:
        """Return the fault of an earlier file if merge has copied its value."""
        change = self._change
        if fault.file != change.path or change.declares(fault.key):
            return fault
        same = (each for each in find_faults(change.around.earlier) if (each.key, each.kind) == (fault.key, fault.kind))
        return next(same, fault)

    def _messages(self, faults: t.Iterable[Fault]) -> str:
        return " ".join(map(self._message, faults))

    def _message(self, fault: Fault) -> str:
        change = self._change
        return fault.hiding(change.secrets, change.after or {}, change.secret_paths)

    def _is_own(self, fault: Fault) -> bool:
        return fault.file == self._change.path and self._change.declares(fault.key)

    def _judge(self, parser: Parser, candidate: Candidate | None) -> Verdict:
        change = self._change
        judged = change.configuration(change.before if candidate is None else change.after)
        verdict = parser.judge(
            candidate,
            new_key=new_signing_key(judged) is not None,
            is_of_worker=judged.is_of_worker(self._config_path),
        )
        return verdict.hiding(change.secrets)

    def _not_due(self) -> str:
        return (
            f"This is not due to the change of {self._change.path}, which was not made: the earlier configuration has"
            " the same fault, and nothing has changed."
        )

    def _refusal(self, parser: Parser, verdict: Verdict, refused: list[Fault]) -> ConfigurationError:
        """Return the error for a configuration that Synapse refuses. The earlier one may be refused as well."""
        change = self._change
        words = f"{parser.sentence(verdict)} {self._messages(refused)}".rstrip()
        advice = "" if refused and verdict.cause == CONFIGURATION else f" {parser.advice(verdict)}"
        is_new = change.changes and verdict.cause == CONFIGURATION
        earlier = self._judge(parser, None) if is_new else Verdict()
        if is_new and earlier == verdict:
            message = f"{words} {self._not_due()}"
        else:
            message = f"{self._failed}{words}"
            if not earlier.accepted:
                message += f" It cannot start with its earlier configuration either. {earlier.complaint}"
        return ConfigurationError(f"{message}{advice}", validation=verdict.shown())
