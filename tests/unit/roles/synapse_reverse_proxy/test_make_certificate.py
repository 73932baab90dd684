# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate for tests."""

from __future__ import annotations

import os
import pathlib
import shutil
import stat

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import make_certificate
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import is_foreign


@pytest.mark.skipif(not shutil.which("openssl"), reason="it needs openssl")
def test_a_certificate_has_all_names_and_is_of_its_owner_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "made.pem"
    (tmp_path / "made.pem.unfinished").touch(mode=0o644)
    make_certificate.make_certificate(["A.example", "192.0.2.1", "[2001:DB8::1]"], str(path))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["made.pem"]
    assert not is_foreign(path.read_text(encoding="ascii"))
    names = ["a.example", "192.0.2.1", "[2001:db8::1]"]
    assert make_certificate.is_usable(str(path), names)
    assert not make_certificate.is_usable(str(path), names[:2])
    path.chmod(0o644)
    assert not make_certificate.is_usable(str(path), names)
    path.chmod(0o600)
    path.write_text(path.read_text(encoding="ascii").replace("PRIVATE KEY", "KEY"), encoding="ascii")
    assert not make_certificate.is_usable(str(path), names)
    assert make_certificate.certificate_names(str(path)) == {"a.example", "192.0.2.1", "2001:db8::1"}


@pytest.mark.skipif(not shutil.which("openssl"), reason="it needs openssl")
@pytest.mark.parametrize(("days", "expected"), [("29", False), ("31", True)])
def test_a_certificate_that_ends_soon_is_replaced(
    days: str, expected: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_certificate, "VALID_DAYS", days)
    path = str(tmp_path / "made.pem")
    make_certificate.main({"names": ["a.example"], "self_signed_path": path})
    assert make_certificate.is_usable(path, ["a.example"]) is expected
