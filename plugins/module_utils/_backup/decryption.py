# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Decrypts an archive with age or GnuPG, as a stream: the plain content is never on the disk."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import AGE, GPG, PIECE
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import BinaryCommand
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

_AGE_START = (b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----")
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_LONGEST_REASON = 300
_ADDRESS = re.compile(r" 0x[0-9a-f]+")
# In gpg.conf, options can be written as in a command.
_LOOPBACK = re.compile(r"^[ \t]*(?:--)?pinentry-mode[ \t=]+loopback\b", re.MULTILINE)


class Identity(t.NamedTuple):
    """The private keys: a file with identities of age, and a home directory of GnuPG. "" if there are none."""

    age_identity_path: str = ""
    gpg_home: str = ""


def encryption_of(beginning: bytes) -> str:
    """Return what a file with this beginning is encrypted with: age, gpg, or "" for a tar. Raises ValueError."""
    if beginning[_TAR_MAGIC_AT:][: len(_TAR_MAGIC)] == _TAR_MAGIC:
        return ""
    if beginning.startswith(_AGE_START):
        return AGE
    # The first byte of an OpenPGP message: bit 7, and the tag of an encrypted session key (RFC 4880, 4.2).
    if beginning[:1] and beginning[0] in (0x84, 0x85, 0x86, 0xC1):
        return GPG
    raise ValueError("neither a tar nor encrypted")


@contextlib.contextmanager
def decrypted(path: str, descriptor: int, identity: Identity) -> t.Iterator[t.IO[bytes]]:
    """Open the content of the archive in the open file, which is at its beginning, for the block.

    Raises InvalidInput if it is not an archive, or if the key or the program is missing; SynapseError if the archive
    cannot be decrypted. `path` is for messages.
    """
    try:
        encryption = encryption_of(os.pread(descriptor, 512, 0))
    except ValueError:
        raise InvalidInput(
            f"{path} is not a backup of this collection: it is neither a tar file nor encrypted with age or GnuPG."
        ) from None
    if not encryption:
        with open(descriptor, "rb", buffering=PIECE, closefd=False) as plain:
            yield plain
        return
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(_run(_command(path, encryption, identity), path, descriptor))


def _command(path: str, encryption: str, identity: Identity) -> list[str]:
    option, value = (
        ("age_identity_path", identity.age_identity_path) if encryption == AGE else ("gpg_home", identity.gpg_home)
    )
    if not value:
        raise InvalidInput(f"{path} is encrypted with {_NAMES[encryption]}. Set {option} to read it.")
    if not os.path.exists(value):
        raise InvalidInput(f"{option} {value} does not exist on this host.")
    if os.path.isdir(value) != (encryption == GPG):
        kind = "the home directory of GnuPG" if encryption == GPG else "the file"
        what = "not a directory" if encryption == GPG else "a directory"
        raise InvalidInput(f"{option} {value} is {what}. Set it to {kind} with the private key.")
    program = shutil.which(encryption)
    if program is None:
        raise InvalidInput(
            f"{path} is encrypted with {_NAMES[encryption]}, and the program {encryption} is not installed on this"
            f" host. Install Debian's package {_PACKAGES[encryption]}."
        )
    if encryption == AGE:
        return [program, "--decrypt", "--identity", value]
    # In this mode, gpg gets the passphrase from a file of the operator, and asks for nothing either.
    asks = [] if _has_loopback(value) else ["--pinentry-mode", "error"]
    return [program, "--batch", "--no-tty", "--quiet", *asks, "--homedir", value, "--decrypt"]


def _has_loopback(home: str) -> bool:
    try:
        with open(os.path.join(home, "gpg.conf"), encoding="utf-8", errors="replace") as file:
            return bool(_LOOPBACK.search(file.read()))
    except OSError:
        return False


_NAMES = {AGE: "age", GPG: "GnuPG"}
_PACKAGES = {AGE: "age", GPG: "gnupg"}


@contextlib.contextmanager
def _run(command: list[str], path: str, descriptor: int) -> t.Iterator[t.IO[bytes]]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with tempfile.TemporaryFile() as said:
        # Its errors go to a file: nobody reads a pipe while the content is read. In a session of its own it has no
        # terminal, where it would ask for the passphrase of a key and wait.
        with BinaryCommand(
            command,
            stdin=descriptor,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd="/",
            bufsize=PIECE,
            start_new_session=True,
        ) as process:
            content = process.stdout
            if content is None:
                raise AssertionError("Popen was asked for a pipe")
            try:
                yield content
                # Whoever reads only the beginning does not want to wait for the end.
                if content.read(1):
                    process.kill()
                    return
                status = process.wait()
            except BaseException as error:
                content.close()
                process.kill()
                status = process.wait()
                reason = _reason(said)
                if isinstance(error, SynapseError) and status > 0 and reason:
                    raise _undecryptable(path, command, reason) from error
                raise
        if status:
            raise _undecryptable(path, command, _reason(said) or f"exit status {status}")


def _undecryptable(path: str, command: t.Sequence[str], reason: str) -> SynapseError:
    return SynapseError(
        f"{path} cannot be decrypted: {os.path.basename(command[0])} reports: {reason}. Check that the private key"
        " belongs to one of the recipients of the backup and needs no passphrase, and that the file is complete."
    )


def _reason(said: t.IO[bytes]) -> str:
    """Return the last line that tells what is wrong, without addresses in memory, which differ each time."""
    said.seek(0)
    lines = said.read(PIECE).decode("utf-8", "replace").strip().splitlines()
    told = [line.strip() for line in lines if line.strip() and not line.startswith("age: report ")]
    return _ADDRESS.sub("", told[-1]).rstrip(".")[:_LONGEST_REASON] if told else ""
