# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Encrypts an archive to public keys of age or GnuPG, as a stream. The keys are proven before anything else happens."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import AGE, GPG
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import BinaryCommand, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

_TIMEOUT = 60.0
_LARGEST_KEY = 1024 * 1024
_PRIVATE = "AGE-SECRET-KEY-"
_ARMORED = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
# Columns of gpg --with-colons (doc/DETAILS of GnuPG): the kind of line, its validity, its name, what a key can do.
_KIND, _VALIDITY, _NAME, _CAPABILITIES = 0, 1, 9, 11
_UNUSABLE = {"r": "was revoked", "e": "has expired", "i": "is not valid", "d": "is disabled", "n": "is not valid"}


class Recipients(t.NamedTuple):
    """To whom an archive is encrypted. `kind`: age, gpg, or "" for nobody.

    `keys`: public keys of age, or the content of public keys of GnuPG. `shown`: what names them, without a secret.
    """

    kind: str = ""
    program: str = ""
    keys: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


def find_recipients(age: t.Sequence[str], gpg: t.Sequence[str]) -> Recipients:
    """Return the recipients after a trial of each key. Raises InvalidInput if a key, or the program, cannot be used.

    `gpg`: public keys, or the paths of files with one.
    """
    if age and gpg:
        raise InvalidInput("Set either age_recipients or gpg_recipients: an archive is encrypted once.")
    if age:
        program = _program(AGE, "age_recipients", "age")
        for key in age:
            _try_age(program, key)
        return Recipients(AGE, program, tuple(age), tuple(age))
    if gpg:
        program = _program(GPG, "gpg_recipients", "gnupg")
        keys = tuple(_read_key(key) for key in gpg)
        return Recipients(GPG, program, keys, tuple(_fingerprint(program, key) for key in keys))
    return Recipients()


@contextlib.contextmanager
def encrypted(recipients: Recipients, descriptor: int) -> t.Iterator[int]:
    """Return a descriptor for the block: what is written to it is encrypted into the open file `descriptor`.

    Without recipients it is that file itself. Raises SynapseError if the program fails.
    """
    if not recipients.kind:
        yield descriptor
        return
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as said:
        command = _age_command(recipients) if recipients.kind == AGE else _gpg_command(recipients, home)
        with BinaryCommand(command, stdin=subprocess.PIPE, stdout=descriptor, stderr=said, cwd="/") as process:
            given = process.stdin
            if given is None:
                raise AssertionError("Popen was asked for a pipe")
            try:
                yield given.fileno()
                given.close()
                status = process.wait()
            except BaseException as error:
                process.kill()
                status = process.wait()
                if isinstance(error, BrokenPipeError) and status > 0:
                    raise _failed(recipients, said) from error
                raise
        if status:
            raise _failed(recipients, said)


def _age_command(recipients: Recipients) -> list[str]:
    return [recipients.program, "--encrypt", *(word for key in recipients.keys for word in ("--recipient", key))]


def _gpg_command(recipients: Recipients, home: str) -> list[str]:
    command = [*_gpg(recipients.program, home), "--trust-model", "always", "--compress-level", "0"]
    for number, key in enumerate(recipients.keys):
        command += ["--recipient-file", _written(home, number, key)]
    return [*command, "--encrypt"]


def _gpg(program: str, home: str) -> list[str]:
    return [program, "--batch", "--no-tty", "--quiet", "--no-options", "--no-autostart", "--homedir", home]


def _written(home: str, number: int, key: str) -> str:
    path = os.path.join(home, f"recipient_{number}.key")
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(key)
    return path


def _program(name: str, option: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise InvalidInput(f"{option} needs the program {name}, which is not installed. Install the package {package}.")
    return found


def _try_age(program: str, key: str) -> None:
    if _PRIVATE in key.upper():
        raise InvalidInput(
            "age_recipients contains a private key of age, which must not be on this host. Set it to the public key,"
            " which age-keygen -y prints and which begins with age1. Make a new pair of keys if others can see this"
            " playbook or its output."
        )
    if key.startswith("-") or run_command([program, "--encrypt", "--recipient", key], _TIMEOUT, "").status:
        raise InvalidInput(
            f"age_recipients contains {_short(key)}, which is not a public key of age. Such a key begins with age1"
            " (age-keygen -y prints it), or it is a public key of SSH."
        )


def _read_key(key: str) -> str:
    if _ARMORED in key:
        return key
    if not key.startswith("/"):
        raise InvalidInput(
            f"gpg_recipients contains {_short(key)}, which is neither a public key (gpg --export --armor prints it) nor"
            " the absolute path of a file with one."
        )
    try:
        with open(key, encoding="utf-8") as file:
            found = file.read(_LARGEST_KEY)
    except OSError as error:
        raise InvalidInput(f"gpg_recipients: {key} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        found = ""
    if _ARMORED not in found:
        raise InvalidInput(f"gpg_recipients: {key} does not contain a public key as gpg --export --armor prints it.")
    return found


def _fingerprint(program: str, key: str) -> str:
    """Return the fingerprint of the key. Raises InvalidInput if nothing can be encrypted to it."""
    with tempfile.TemporaryDirectory() as home:
        arguments = ["--with-colons", "--import-options", "show-only", "--import", _written(home, 0, key)]
        done = run_command([*_gpg(program, home), *arguments], _TIMEOUT)
    lines = [line.split(":") for line in done.output.splitlines()]
    public = [fields for fields in lines if fields[_KIND] == "pub"]
    names = [fields[_NAME] for fields in lines if fields[_KIND] == "fpr"]
    if len(public) != 1 or not names or any(fields[_KIND] == "sec" for fields in lines):
        raise InvalidInput(
            f"gpg_recipients contains {_short(key)}, which is not one public key. Export each key by itself, with"
            " gpg --export --armor."
        )
    [fields] = public
    reason = _UNUSABLE.get(fields[_VALIDITY])
    if reason is None and "E" not in fields[_CAPABILITIES]:
        reason = "cannot be used for encryption, or its part for that has expired"
    if reason is not None:
        raise InvalidInput(f"gpg_recipients: the key {names[0]} {reason}. Use another key, or extend this one.")
    return names[0]


def _short(key: str) -> str:
    first = key.strip().splitlines()[0] if key.strip() else ""
    return repr(first[:40] + ("…" if len(first) > 40 else ""))


def _failed(recipients: Recipients, said: t.IO[bytes]) -> SynapseError:
    said.seek(0)
    lines = said.read(_LARGEST_KEY).decode("utf-8", "replace").strip().splitlines()
    told = [line.strip() for line in lines if line.strip() and not line.startswith("age: report ")]
    reason = told[-1].rstrip(".") if told else "it printed no reason"
    fix = " Free some space there." if os.strerror(errno.ENOSPC).lower() in reason.lower() else ""
    return SynapseError(f"{recipients.kind} could not encrypt the backup: {reason}.{fix}")
