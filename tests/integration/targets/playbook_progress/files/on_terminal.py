# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command on a terminal of its own: on_terminal.py [--interrupt-after TEXT] COMMAND...

What the command writes is written, and its exit status is returned. As soon as it writes TEXT, it is interrupted like
by a person who presses Ctrl-C.
"""

from __future__ import annotations

import os
import pty
import sys


def main() -> int:
    """Run the command and return its exit status."""
    text, command = None, sys.argv[1:]
    if command[0] == "--interrupt-after":
        text, command = command[1].encode(), command[2:]
    process, terminal = pty.fork()
    if process == 0:
        os.execvp(command[0], command)
    written = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:
            # Linux ends a terminal with an error.
            break
        if not piece:
            break
        written += piece
        sys.stdout.buffer.write(piece)
        if text is not None and text in written:
            os.write(terminal, b"\x03")
            text = None
    sys.stdout.flush()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
