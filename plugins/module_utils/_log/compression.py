# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which compression a file has, and the text of a compressed file."""

from __future__ import annotations

import contextlib
import importlib
import os
import typing as t
import zlib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

# By the first bytes of a file, because its name may be wrong: how it is called, and the module that reads it.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", "gzip"),
    (b"\xfd7zXZ\x00", "xz", "lzma"),
    (b"BZh", "bzip2", "bz2"),
    (b"\x28\xb5\x2f\xfd", "zstd", ""),
    (b"\x04\x22\x4d\x18", "lz4", ""),
    (b"\x1f\x9d", "compress", ""),
    (b"PK\x03\x04", "zip", ""),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", ""),
)
LONGEST_MAGIC = max(len(magic) for magic, name, module in _KINDS)


def compression_of(beginning: bytes) -> str:
    """Return the name of the compression of a file with this beginning, for example gzip; "" for none."""
    return next((name for magic, name, module in _KINDS if beginning.startswith(magic)), "")


@contextlib.contextmanager
def decompressed(descriptor: int, path: str, compression: str) -> t.Iterator[t.Callable[[int], bytes]]:
    """Return a function that reads the text of a file just opened: at most so many bytes, and b"" at the end.

    It raises SynapseError if the content is incomplete or damaged. Raises SynapseError if this compression cannot be
    read at all. `path`: for these messages.
    """
    name = {kind: module for _magic, kind, module in _KINDS}[compression]
    if not name:
        raise SynapseError(f"{path} is compressed with {compression}, which cannot be read here: unpack it first.")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise SynapseError(
            f"{path} is compressed with {compression}, and the Python on this host has no module {name}: unpack it"
            " first."
        ) from error
    # lzma.LZMAError is no OSError.
    damage = (OSError, zlib.error, getattr(module, "LZMAError", OSError))
    with os.fdopen(descriptor, "rb", 1 << 20, closefd=False) as raw:
        stream: t.BinaryIO = module.open(raw, "rb")

        def read(length: int) -> bytes:
            try:
                return stream.read(length)
            except EOFError as error:
                raise SynapseError(
                    f"{path} is incomplete: its {compression} data ends in the middle. Run the task again if it is"
                    " still being written, or copy it again, or leave it out."
                ) from error
            except damage as error:
                raise SynapseError(
                    f"{path} is damaged: its {compression} data cannot be read to the end. Copy it again, or leave it"
                    " out."
                ) from error

        yield read
