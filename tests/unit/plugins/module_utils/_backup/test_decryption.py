# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import (
    open_archive,
    prove_archive,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity, encryption_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._backup import made_archive
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._backup.made_programs import install_age


@pytest.fixture(name="archive")
def make_archive(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    install_age(tmp_path / "bin", monkeypatch)
    (tmp_path / "right").write_text("right")
    (tmp_path / "wrong").write_text("wrong")
    path = made_archive.write(tmp_path / "synapse.tar")
    path.write_bytes(b"age-encryption.org/v1\n" + path.read_bytes())
    return path


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"age-encryption.org/v1\n", "age"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----", "age"),
        (b"\x85\x01", "gpg"),
        (b"\x84^", "gpg"),
        (bytes(257) + b"ustar\x0000", ""),
    ],
)
def test_what_a_file_is_encrypted_with(beginning: bytes, kind: str) -> None:
    assert encryption_of(beginning) == kind


def test_an_encrypted_archive_is_read(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    identity = Identity(age_identity_path=str(tmp_path / "right"))
    proven = prove_archive(str(archive), identity)
    assert proven.header["server_name"] == "example.org"
    with open_archive(str(archive), identity, proven) as reader:
        assert next(reader.members()).name == "database/0000"


def test_the_wrong_key(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    message = "cannot be decrypted: age reports: age: error: no identity matched any of the recipients. Check that"
    with pytest.raises(SynapseError, match=message):
        prove_archive(str(archive), Identity(age_identity_path=str(tmp_path / "wrong")))


def test_no_key(archive: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="is encrypted with age. Set age_identity_path to read it"):
        prove_archive(str(archive))
    with pytest.raises(InvalidInput, match="/nowhere does not exist"):
        prove_archive(str(archive), Identity("/nowhere"))


def test_a_key_of_the_wrong_kind(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="age_identity_path .* is a directory. Set it to the file with the private"):
        prove_archive(str(archive), Identity(age_identity_path=str(tmp_path)))
    archive.write_bytes(b"\x85\x01" + archive.read_bytes())
    with pytest.raises(
        InvalidInput, match="gpg_home .*right is not a directory. Set it to the home directory of GnuPG"
    ):
        prove_archive(str(archive), Identity(gpg_home=str(tmp_path / "right")))


def test_the_program_is_not_installed(
    archive: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InvalidInput, match="Install Debian's package age"):
        prove_archive(str(archive), Identity(str(tmp_path / "right")))


def test_damage_in_an_encrypted_archive(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    content = bytearray(archive.read_bytes())
    content[5000] ^= 1
    archive.write_bytes(content)
    with pytest.raises(SynapseError, match="is damaged"):
        prove_archive(str(archive), Identity(str(tmp_path / "right")))


def test_a_program_that_fails_after_everything(
    archive: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A wrong checksum is found at the end.
    install_age(tmp_path / "bin", monkeypatch, "#!/bin/sh\nread -r first\ncat\necho 'age: error: wrong' >&2\nexit 1\n")
    with pytest.raises(SynapseError, match="cannot be decrypted: age reports: age: error: wrong"):
        prove_archive(str(archive), Identity(str(tmp_path / "right")))


def test_no_passphrase_is_asked_for(
    archive: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A program that leads its own session has no terminal. The agent of GnuPG has another one, and must be told.
    leads = '[ "$(cut -d" " -f6 /proc/$$/stat)" = $$ ] || exec sleep 60\n'
    install_age(tmp_path / "bin", monkeypatch, f"#!/bin/sh\n{leads}read -r first\nexec cat\n")
    assert prove_archive(str(archive), Identity(str(tmp_path / "right"))).header["server_name"] == "example.org"
    told = 'case "$*" in *"--pinentry-mode error"*) ;; *) exec sleep 60 ;; esac\n'
    (tmp_path / "bin" / "age").rename(tmp_path / "bin" / "gpg")
    (tmp_path / "bin" / "gpg").write_text(f"#!/bin/sh\n{leads}{told}echo 'gpg: No secret key' >&2\nexit 2\n")
    archive.write_bytes(b"\x85\x01" + archive.read_bytes())
    with pytest.raises(SynapseError, match="gpg reports: gpg: No secret key.* needs no passphrase"):
        prove_archive(str(archive), Identity(gpg_home=str(tmp_path)))


@pytest.mark.parametrize(
    ("configuration", "told"),
    [
        ("", "with a mode"),
        ("# pinentry-mode loopback\npinentry-mode ask\n", "with a mode"),
        ("use-agent\npinentry-mode loopback\npassphrase-file /root/passphrase\n", "without one"),
        ("  --pinentry-mode=loopback\n", "without one"),
    ],
)
def test_a_passphrase_in_a_file_of_gnupg(
    archive: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, configuration: str, told: str
) -> None:
    script = 'case "$*" in *--pinentry-mode*) echo "with a mode" ;; *) echo "without one" ;; esac >&2\nexit 2\n'
    install_age(tmp_path / "bin", monkeypatch, f"#!/bin/sh\n{script}")
    (tmp_path / "bin" / "age").rename(tmp_path / "bin" / "gpg")
    (tmp_path / "gpg.conf").write_text(configuration)
    archive.write_bytes(b"\x85\x01" + archive.read_bytes())
    with pytest.raises(SynapseError, match=f"gpg reports: {told}"):
        prove_archive(str(archive), Identity(gpg_home=str(tmp_path)))
