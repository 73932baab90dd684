# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.signing import TIMEOUT, Run, Signer

KEY = "ed25519 a_test c2VjcmV0c2VjcmV0"
REQUESTS = [("GET", "/_matrix/a%2Fb"), ("GET", "/c?d=%3A")]
SIGNED = [["ed25519:a_test", "AbC+/9"], ["ed25519:a_test", "dEf="]]
# It signs with the length of what is signed, and reads keys as strictly as the real one.
STUB_KEY = """
def read_signing_keys(lines):
    keys = []
    for line in lines:
        algorithm, version, key = line.split()
        if algorithm != "ed25519":
            raise ValueError("Unsupported algorithm " + line)
        keys.append((algorithm, version, key))
    return keys
"""
STUB_SIGN = """
import base64, json
def sign_json(content, name, key):
    signed = base64.b64encode(json.dumps(content, sort_keys=True).encode()).decode().rstrip("=")
    return dict(content, signatures={name: {key[0] + ":" + key[1]: signed}})
"""


class Answering:
    """Runs nothing and answers. It keeps the arguments."""

    def __init__(self, output: t.Any, status: int = 0) -> None:
        self._completed = Completed(status, output if isinstance(output, str) else json.dumps(output), f"failed {KEY}")
        self.arguments: list[str] = []
        self.given = ""

    def __call__(self, arguments: t.Sequence[str], timeout: float, given: str) -> Completed:
        self.arguments, self.given = list(arguments), given
        assert timeout == TIMEOUT == 20
        return self._completed


def with_stub(directory: pathlib.Path) -> Run:
    """Return what runs the script of the module for real, with a package signedjson that exists only in a test."""
    package = directory / "signedjson"
    package.mkdir()
    (package / "key.py").write_text(STUB_KEY)
    (package / "sign.py").write_text(STUB_SIGN)

    def run(arguments: t.Sequence[str], timeout: float, given: str) -> Completed:
        *options, script = arguments[1:]
        return run_command(
            [sys.executable, *options, f"import sys; sys.path.insert(0, {str(directory)!r})\n{script}"], 20, given
        )

    return run


def signer(run: Run, key: str | None = KEY, path: str | None = None) -> Signer:
    return Signer("/opt/synapse/bin/python", "example.org", key, path, run)


def failure(run: Run, key: str | None = KEY, path: str | None = None) -> str:
    with pytest.raises(SynapseError) as caught:
        signer(run, key, path).sign(REQUESTS)
    message = str(caught.value)
    assert "c2VjcmV0" not in message and not caught.value.details
    return message


def test_the_header() -> None:
    run = Answering({"signed": SIGNED})
    assert signer(run).sign(REQUESTS) == [
        f'X-Matrix origin="example.org",key="{key}",sig="{signature}",destination="example.org"'
        for key, signature in SIGNED
    ]
    assert run.arguments[:4] == ["/opt/synapse/bin/python", "-I", "-B", "-c"]
    # Other users of the host can see arguments.
    assert "c2VjcmV0" not in " ".join(run.arguments) and "example.org" not in " ".join(run.arguments)
    assert json.loads(run.given)["requests"] == [list(request) for request in REQUESTS]


def test_nothing_to_sign() -> None:
    run = Answering("")
    assert signer(run).sign([]) == []
    assert run.arguments == []


def test_the_script_signs_what_synapse_verifies(tmp_path: pathlib.Path) -> None:
    run = with_stub(tmp_path)
    headers = signer(run).sign(REQUESTS)
    assert len(headers) == 2 and headers[0] != headers[1]
    assert 'key="ed25519:a_test"' in headers[0]


@pytest.mark.parametrize("content", [KEY, f"\n{KEY}\n\n", f"{KEY}\ned25519 second YWJj\n"])
def test_the_first_key_in_a_file(tmp_path: pathlib.Path, content: str) -> None:
    file = tmp_path / "signing.key"
    file.write_text(content)
    run = with_stub(tmp_path)
    assert signer(run, None, str(file)).sign(REQUESTS) == signer(run).sign(REQUESTS)


def test_files_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    run = with_stub(tmp_path)
    missing = str(tmp_path / "missing")
    assert failure(run, None, missing) == f"The signing key {missing} cannot be read: No such file or directory."
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", pathlib.Path("/dev/zero")):
        assert failure(run, None, str(path)) == f"The signing key {path} cannot be read: it is not a file."
    assert "cannot be read: " in failure(run, None, str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\n", b"c2VjcmV0c2VjcmV0", b"rsa a c2VjcmV0c2VjcmV0", b"\xff\xfe c2VjcmV0"])
def test_files_without_a_key(tmp_path: pathlib.Path, content: bytes) -> None:
    file = tmp_path / "signing.key"
    file.write_bytes(content)
    assert failure(with_stub(tmp_path), None, str(file)) == f"{file} does not contain a signing key of Synapse."


def test_a_text_without_a_key(tmp_path: pathlib.Path) -> None:
    assert failure(with_stub(tmp_path), "c2VjcmV0c2VjcmV0") == "signing_key does not contain a signing key of Synapse."
    assert failure(Answering(""), None) == (
        "There is no signing key: the configuration has neither signing_key nor signing_key_path."
    )


@pytest.mark.parametrize("name", ["", 'a"b', "a\nb", "ä"])
def test_a_name_that_would_break_the_header(name: str) -> None:
    with pytest.raises(SynapseError, match="is not a Matrix server name"):
        Signer("python", name, KEY, None, Answering({"signed": SIGNED})).sign(REQUESTS)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "nonsense c2VjcmV0c2VjcmV0",
        "[" * 100000,
        [],
        {},
        {"signed": None},
        {"signed": "ab"},
        {"signed": 5},
        {"signed": SIGNED[:1]},
        {"signed": [*SIGNED, SIGNED[0]]},
        {"signed": [SIGNED[0], ["ed25519:a", 'a"b']]},
        {"signed": [SIGNED[0], ["ed25519:a\r\nX: y", "ab"]]},
        {"signed": [SIGNED[0], ["ed25519:a", 5]]},
        {"signed": [SIGNED[0], ["ed25519:a"]]},
        {"signed": [SIGNED[0], {"a": "b"}]},
    ],
)
def test_nonsense(output: t.Any) -> None:
    assert failure(Answering(output)).startswith(
        "/opt/synapse/bin/python could not sign the requests. Set synapse_python"
    )


def test_a_command_that_failed() -> None:
    assert "could not sign the requests" in failure(Answering({"signed": SIGNED}, status=1))


def test_a_python_without_signedjson() -> None:
    with pytest.raises(SynapseError) as caught:
        Signer(sys.executable, "example.org", KEY, None).sign(REQUESTS)
    assert str(caught.value) == (
        f"{sys.executable} has no package signedjson to sign requests. Set synapse_python to the Python interpreter of"
        " the environment in which Synapse is installed."
    )


@pytest.mark.parametrize("python", ["/missing/python", "/etc/passwd", "/a\0b"])
def test_what_is_not_a_python(python: str) -> None:
    with pytest.raises(SynapseError, match="Set synapse_python to the Python interpreter"):
        Signer(python, "example.org", KEY, None).sign(REQUESTS)


def test_other_programs_do_not_read_the_key() -> None:
    for program in ("/bin/true", "/bin/cat"):
        with pytest.raises(SynapseError, match="could not sign"):
            Signer(program, "example.org", KEY, None).sign(REQUESTS)


def test_a_command_that_does_not_end() -> None:
    def run(arguments: t.Sequence[str], timeout: float, given: str) -> Completed:
        return run_command(["/bin/sleep", "60"], 0.05, given)

    assert failure(run).startswith("/bin/sleep did not end within 0.05 seconds. Set synapse_python")
