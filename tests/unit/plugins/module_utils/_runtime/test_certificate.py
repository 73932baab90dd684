# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.certificate import first_certificate


def pem(content: bytes, label: str = "CERTIFICATE") -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(content).decode()}-----END {label}-----\n"


def test_the_first_certificate_of_a_chain(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_text("subject=é\n" + pem(b"key", "PRIVATE KEY") + pem(b"one" * 50) + pem(b"two"), encoding="utf-8")
    assert first_certificate(str(path)) == b"one" * 50


@pytest.mark.parametrize("content", ["", pem(b"key", "PRIVATE KEY"), pem(b"one").replace("=", "").replace("b", "?")])
def test_a_file_without_a_certificate(tmp_path: pathlib.Path, content: str) -> None:
    path = tmp_path / "cert.pem"
    path.write_text(content or "nothing")
    with pytest.raises(ConfigurationError, match=f"tls_certificate_path {path} contains no certificate"):
        first_certificate(str(path))


def test_what_is_not_a_file(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="contains no certificate"):
        first_certificate(str(tmp_path / "pipe"))
    for path in (tmp_path, tmp_path / "missing", f"{tmp_path}/a\0b"):
        with pytest.raises(ConfigurationError, match="cannot be read: "):
            first_certificate(str(path))


def test_a_file_that_is_not_readable(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(PermissionError):
        first_certificate(str(tmp_path))
