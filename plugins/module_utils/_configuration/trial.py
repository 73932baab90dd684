# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A change of one configuration file on trial: if Synapse's own parser refuses the result, the change is undone."""

from __future__ import annotations

import dataclasses
import os
import signal
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import require_allowed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import (
    CONFIGURATION,
    Parser,
    Verdict,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import (
    InstalledFile,
    read_file,
    remove_file,
)

# The device and the number of a file, which another file does not have at the same time.
_Identity = tuple[int, int]
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclasses.dataclass(frozen=True)
class Trial:
    """A change of the file `path`, which `parser` must accept. `trusted`: see _directory.

    `failed`: the beginning of the error message, such as "The settings were not applied". `secrets`: values that the
    message must not contain.
    """

    parser: Parser
    path: str
    trusted: t.Collection[int]
    failed: str
    secrets: t.Collection[str] = ()

    def run(self, change: t.Callable[[], t.Any], leaves: bytes | None) -> None:
        """Make the change and let Synapse parse its configuration.

        `leaves`: the content of the file after the change, None if the change removes it. If Synapse refuses it, or if
        anything else ends the trial, the file is put back with its earlier content, mode, owner and group, unless
        another process has changed it after the change.

        Raises ConfigurationError with the words of Synapse; InvalidInput before the change if the file could not be put
        back; SynapseError if the change failed, the task was interrupted or the file was not put back.
        """
        self.parser.require_directory()
        before = read_file(self.path, trusted=self.trusted)
        if before:
            require_allowed(before.attributes, self.path)
        own: _Identity | None = None
        with _Signals() as signals:
            try:
                change()
                own = self._identity()
                verdict = self.parser.judge()
            except BaseException as error:
                signals.ignore()
                if self._put_back(before, leaves, own):
                    raise
                raise self._left(str(error) or "The task was interrupted.") from error
            signals.ignore()
            is_back = verdict.accepted or self._put_back(before, leaves, own)
        if not verdict.accepted:
            hidden = verdict.hiding(self.secrets)
            raise self._refusal(hidden) if is_back else self._refusal_of_left(hidden)

    def prove(self) -> None:
        """Let Synapse parse the unchanged configuration. Raises ConfigurationError if it refuses that."""
        self.parser.require_accepted(self.secrets)

    def _identity(self) -> _Identity | None:
        """Return the identity of the file, or None if there is none."""
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SynapseError(f"{self.path} cannot be examined: {error.strerror}.") from error
        return status.st_dev, status.st_ino

    def _put_back(self, before: InstalledFile | None, leaves: bytes | None, own: _Identity | None) -> bool:
        """Put the file back. Return False, and do nothing, if it is not as the change left it.

        `own`: the identity of the file after the change; None if there is none, or if the change has not ended.
        """
        try:
            now = read_file(self.path, trusted=self.trusted)
            if now == before:
                return True
            if (now.content if now else None) != leaves or (own and self._identity() != own):
                return False
            if before is None:
                remove_file(self.path, trusted=self.trusted)
                return True
            parent, name = os.path.split(self.path)
            with open_directory(parent, trusted=self.trusted, option=self.path) as directory:
                directory.replace(name, before.content, before.attributes)
            return True
        except (SynapseError, OSError) as error:
            fault = SynapseError(
                f"{self.path} was changed, but Synapse did not accept it or the task was interrupted, and the earlier"
                f" file could not be put back: {error} Correct the file before Synapse is started again."
            )
            fault.may_be_done = True
            raise fault from error

    def _left(self, reason: str) -> SynapseError:
        """Return the error for a trial that ended early, while another process changed the file."""
        fault = SynapseError(
            f"{reason} Another process has changed {self.path} meanwhile, so that it was left as it is now. Check it"
            " before Synapse is started again."
        )
        fault.may_be_done = True
        return fault

    def _refusal_of_left(self, verdict: Verdict) -> ConfigurationError:
        """Return the error for a change that is refused, but not undone."""
        fault = ConfigurationError(
            f"{self.failed}: Synapse did not accept the result. Another process has changed {self.path} meanwhile, so"
            f" that it was left as it is now. {self.parser.sentence(verdict)} Check the file before Synapse is started"
            " again.",
            validation=verdict.shown(),
        )
        fault.may_be_done = True
        return fault

    def _refusal(self, verdict: Verdict) -> ConfigurationError:
        """Return the error for a change that is undone. The earlier configuration may be refused as well."""
        parser = self.parser
        earlier = parser.judge().hiding(self.secrets) if verdict.cause == CONFIGURATION else Verdict()
        if earlier == verdict:
            message = (
                f"{parser.sentence(verdict)} This is not due to the change of {self.path}, which was undone: the"
                f" earlier configuration has the same fault, and nothing has changed. {parser.advice(verdict)}"
            )
        else:
            message = f"{self.failed}, and nothing has changed. {parser.sentence(verdict)}"
            if not earlier.accepted:
                message += f" It cannot start with its earlier configuration either. {earlier.complaint}"
            message += f" {parser.advice(verdict)}"
        return ConfigurationError(message, validation=verdict.shown())


class _Signals:
    """A period in which a signal that ends the task becomes a SynapseError, so that the change is undone first."""

    def __init__(self) -> None:
        self._ignored = False
        self._before: dict[int, t.Any] = {}

    def __enter__(self) -> _Signals:
        for number in _ENDING_SIGNALS:
            handler = signal.getsignal(number)
            # A task may have been started with nohup.
            if handler is not signal.SIG_IGN:
                self._before[number] = handler
                signal.signal(number, self._interrupt)
        return self

    def ignore(self) -> None:
        """Ignore further signals: nothing must interrupt the restoration of the file."""
        self._ignored = True

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, _frame: t.Any) -> None:
        if not self._ignored:
            self._ignored = True
            raise SynapseError(f"The task was interrupted by {signal.Signals(number).name}. Run it again.")
