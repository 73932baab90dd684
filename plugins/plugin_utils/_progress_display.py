# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How the process that looks at a module displays a line, without the queue to the main process of Ansible.

A lock protects that queue, and each debug message of a connection takes it, whether it is displayed or not. If a
process ends while it holds the lock, the main process waits for it forever. So this one, which is ended at any time,
writes to the standard error of the main process, and nothing that it does gets into the queue.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import typing as t

from ansible.utils.display import Display


def copied_standard_error() -> int | None:
    """Return a descriptor for the standard error of this process, or None if it has none, or is a forked one.

    The processes of tasks have another standard error, but they inherit this descriptor, because each strategy loads
    the class of an action plugin, and with it this file, before it forks. Programs do not inherit it.
    """
    if multiprocessing.parent_process() is not None:
        return None
    try:
        return os.dup(sys.stderr.fileno())
    except (AttributeError, ValueError, OSError):
        # Another program has replaced or closed it.
        return None


# Made once, because only the main process can.
STANDARD_ERROR = copied_standard_error()


def is_watched() -> bool:
    """Whether a person watches this Ansible: standard error is a terminal, and no CI says that it runs Ansible."""
    is_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return STANDARD_ERROR is not None and not is_ci and os.isatty(STANDARD_ERROR)


def write_line(line: str) -> None:
    """Write a line to the standard error of the main process, in one piece. Raises OSError."""
    if STANDARD_ERROR is not None:
        encoding = getattr(sys.__stderr__, "encoding", None) or "utf-8"
        os.write(STANDARD_ERROR, f"{line}\n".encode(encoding, errors="replace"))


class Silence:
    """Instead of Ansible's queue: what is displayed is left out, and a question to a person is an error."""

    def send_display(self, *_args: t.Any, **_kwargs: t.Any) -> None:
        """Leave it out."""

    def send_prompt(self, **_kwargs: t.Any) -> None:
        """Raise RuntimeError."""
        raise RuntimeError("Nothing is asked here.")


def display_nothing() -> None:
    """Leave out all that this process displays from now on."""
    display: t.Any = Display()
    # Its method for this refuses it in a process that is not made by multiprocessing.
    display._final_q = Silence()
