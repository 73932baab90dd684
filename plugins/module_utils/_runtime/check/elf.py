# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The architecture of a program or a library, in the first bytes of its file (elf(5))."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.environment_file import read_bytes

_MAGIC = b"\x7fELF"
_BITS = {1: 32, 2: 64}
# As `uname -m` shows them.
_MACHINES = {3: "i686", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64"}
_MACHINES.update({243: "riscv", 258: "loongarch"})


class Architecture(t.NamedTuple):
    """The architecture of a file. The loader only loads a library that has the one of the program."""

    machine: int
    bits: int

    def __str__(self) -> str:
        """Return the name of the machine, or its number, and the bits."""
        return f"{_MACHINES.get(self.machine, f'machine {self.machine}')} ({self.bits} bits)"


def read_architecture(path: str) -> Architecture | None:
    """Return the architecture of a file, or None if it does not exist or is no program and no library.

    Raises SynapseError if it cannot be read.
    """
    header = read_bytes(path, 20)
    if header is None or len(header) < 20 or not header.startswith(_MAGIC) or header[4] not in _BITS:
        return None
    return Architecture(int.from_bytes(header[18:20], "big" if header[5] == 2 else "little"), _BITS[header[4]])


def wrong_library(library: str, program: str) -> str:
    """Return why the loader ignores a library that exists when it starts a program, as the end of a sentence, or "".

    What cannot be read is no reason.
    """
    try:
        own, wanted = read_architecture(library), read_architecture(program)
    except SynapseError:
        return ""
    if own is None:
        return "which is not a library"
    if wanted is not None and own != wanted:
        return f"which is a library for {own}, but Synapse runs on {wanted}"
    return ""
