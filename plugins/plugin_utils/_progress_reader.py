# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Reads the record of a running module on its host, see module_utils/_progress.

The command may run as root, on a host with other users, who know the word and can put anything into their processes. So
nothing of another user is opened, waited for or shown:

- Of the processes of others only the text of one link is compared, which the kernel answers from its own memory.
- The process must run as the own user (`Uid` in its status), not only the files of its directory in /proc: those of a
  process that cannot be dumped belong to root, whoever runs it.
- The file must belong to the own user too: a file of memfd_create belongs to the user who has created it, and only root
  can give one away. With its type, mode and number of links it is a file in memory that only the own user can write.
- All this is asked of the same process: each path is relative to its directory in /proc, which never becomes that of
  another process with the same number.
- The whole command ends after a few seconds, whatever happens.
- `decode` accepts only numbers and the name of a work.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import (
    DESCRIPTOR,
    RECORD_SIZE,
    Record,
    decode,
    memory_name,
)

# 8180 is a regular file with the mode 0600. Forks of the module have the same file: one of them is enough.
_SCRIPT = r"""
exec 2>/dev/null
own=$(id -u) || exit
for link in $(find {processes}/fd/{descriptor} -maxdepth 0 -lname '/memfd:{name} (deleted)'); do
  if (
    cd "${{link%/fd/*}}" &&
    grep -qE "^Uid:([[:space:]]+$own){{4}}\$" status &&
    [ "$(stat -Lc '%u %f %h' fd/{descriptor})" = "$own 8180 0" ] &&
    echo "$link" && head -c {size} fd/{descriptor}
  ); then break; fi
done
"""
# In seconds: until the command is asked to end, and from then until it is killed.
_LIMIT = "timeout -k 1 5 /bin/sh -c "
_ALL = "/proc/[0-9]*"
_FOUND = re.compile(rf"^(/proc/[0-9]{{1,10}})/fd/{DESCRIPTOR}\r?\n([^\r\n]*)", re.MULTILINE)


class ProgressReader:
    """Reads the record of the module that got this word. The word is hexadecimal.

    `run` runs a command of the shell on the host of the module, as its user, and returns what the command prints.
    """

    def __init__(self, word: str, run: t.Callable[[str], str]) -> None:
        self._name = memory_name(word)
        self._run = run
        self._processes = _ALL

    def read(self) -> Record | None:
        """Return the record, or None if there is none (yet). Raises what `run` raises."""
        script = _SCRIPT.format(processes=self._processes, name=self._name, descriptor=DESCRIPTOR, size=RECORD_SIZE)
        found = _FOUND.search(self._run(_LIMIT + shlex.quote(script)))
        # The next look needs no search, unless the process has ended: another process of the module may be there.
        self._processes = found[1] if found else _ALL
        return decode(found[2]) if found else None
