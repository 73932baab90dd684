# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Signals that end a task become errors, so that what was begun is undone: a stopped server is started again."""

from __future__ import annotations

import contextlib
import signal
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError, told

_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(BaseException):
    """A signal would have ended the task. What catches an Exception would take it for a failure of its own work."""


def told_of(raised: Exception | Interrupted) -> SynapseError:
    """Return the error with which a task ends because of `raised`."""
    return SynapseError(str(raised)) if isinstance(raised, Interrupted) else told(raised)


@contextlib.contextmanager
def interruptible(what: str) -> t.Iterator[None]:
    """Raise Interrupted in the block for the first signal that would end the task. Later ones have no effect.

    `what`: what is interrupted, at the beginning of a sentence. Outside of the block, it is a SynapseError.
    """
    before = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    came: list[int] = []

    def interrupt(number: int, _frame: t.Any) -> None:
        came.append(number)
        if len(came) == 1:
            raise Interrupted(f"{what} was interrupted by {signal.Signals(number).name}.")

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    except Interrupted as error:
        raise told_of(error) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
