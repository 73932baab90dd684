# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import tempfile

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.encryption import (
    Recipients,
    encrypted,
    find_recipients,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._backup.made_programs import install_age


@pytest.fixture(autouse=True)
def install(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_age(tmp_path / "bin", monkeypatch)


def test_a_stream_is_encrypted() -> None:
    recipients = find_recipients(["age1good"], [])
    assert (recipients.kind, recipients.shown) == ("age", ("age1good",))
    with tempfile.TemporaryFile() as file:
        with encrypted(recipients, file.fileno()) as descriptor:
            os.write(descriptor, b"content")
        assert os.pread(file.fileno(), 100, 0) == b"age-encryption.org/v1\ncontent"


def test_without_recipients_it_is_the_file_itself() -> None:
    assert find_recipients([], []) == Recipients()
    with encrypted(Recipients(), 7) as descriptor:
        assert descriptor == 7


@pytest.mark.parametrize("key", ["age1bad", "-i", ""])
def test_a_key_is_tried(key: str) -> None:
    with pytest.raises(InvalidInput, match="which is not a public key of age"):
        find_recipients(["age1good", key], [])


def test_a_private_key_is_not_shown(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other users would see it in the arguments of the program.
    install_age(tmp_path / "bin", monkeypatch, f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
    with pytest.raises(InvalidInput, match="contains a private key of age") as refusal:
        find_recipients([" age-secret-key-1QQQQQQQQ"], [])
    assert "QQQ" not in str(refusal.value)
    assert not (tmp_path / "started").exists()


def test_both_kinds() -> None:
    with pytest.raises(InvalidInput, match="Set either"):
        find_recipients(["age1good"], ["/key"])


def test_a_program_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InvalidInput, match="Install the package age"):
        find_recipients(["age1good"], [])
    with pytest.raises(InvalidInput, match="Install the package gnupg"):
        find_recipients([], ["/key"])


def test_a_program_that_fails_at_the_end(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_age(
        tmp_path / "bin", monkeypatch, "#!/bin/sh\ncat > /dev/null\necho 'age: error: disk full.' >&2\nexit 1\n"
    )
    recipients = Recipients("age", str(tmp_path / "bin" / "age"), ("age1good",), ("age1good",))
    with (
        tempfile.TemporaryFile() as file,
        pytest.raises(SynapseError, match=r"could not encrypt the backup: age: error: disk full\.$"),
        encrypted(recipients, file.fileno()) as descriptor,
    ):
        os.write(descriptor, b"content")


def test_a_program_that_ends_early(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_age(tmp_path / "bin", monkeypatch, "#!/bin/sh\necho 'age: error: disk full' >&2\nexit 1\n")
    recipients = Recipients("age", str(tmp_path / "bin" / "age"), ("age1good",), ("age1good",))
    with (
        tempfile.TemporaryFile() as file,
        pytest.raises(SynapseError, match="disk full"),
        encrypted(recipients, file.fileno()) as descriptor,
    ):
        for _number in range(10_000):
            os.write(descriptor, bytes(65536))


def test_an_error_of_the_caller_is_its_own() -> None:
    recipients = find_recipients(["age1good"], [])
    with (
        tempfile.TemporaryFile() as file,
        pytest.raises(RuntimeError),
        encrypted(recipients, file.fileno()),
    ):
        raise RuntimeError


def test_a_full_disk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "age: error: write /x: no space left on device\nage: report unexpected or unhelpful errors at https://x"
    install_age(tmp_path / "bin", monkeypatch, f"#!/bin/sh\ncat > /dev/null\necho '{said}' >&2\nexit 1\n")
    recipients = Recipients("age", str(tmp_path / "bin" / "age"), ("age1good",), ("age1good",))
    with (
        tempfile.TemporaryFile() as file,
        pytest.raises(SynapseError, match=r"no space left on device\. Free some space there\.$"),
        encrypted(recipients, file.fileno()) as descriptor,
    ):
        os.write(descriptor, b"content")
