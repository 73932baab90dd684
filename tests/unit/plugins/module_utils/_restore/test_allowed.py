# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An archive may only write to the server that the task declares."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.allowed import AllowedPaths, is_plain

_CONFIG_PATH = ["/etc/matrix-synapse/homeserver.yaml", "/etc/matrix-synapse/conf.d"]
_UNITS = ["matrix-synapse.service", "matrix-synapse-worker@.service"]


def _allowed(*more: str, system: bool = True) -> AllowedPaths:
    return AllowedPaths(_CONFIG_PATH, _UNITS, more, system=system)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/matrix-synapse/homeserver.yaml",
        "/etc/matrix-synapse/example.org.signing.key",
        "/etc/matrix-synapse/conf.d/60-matrix_ops-database.yaml",
        "/etc/matrix-synapse/.token",
        "/etc/systemd/system/matrix-synapse.service",
        "/etc/systemd/system/matrix-synapse.service.d/limits.conf",
        "/etc/systemd/system/matrix-synapse-worker@.service",
        "/etc/systemd/system/matrix-synapse-worker@one.service.d/override.conf",
        "/etc/default/matrix-synapse",
        "/etc/default/matrix-synapse-matrix_ops-jemalloc",
        "/var/lib/matrix-synapse",
        "/var/lib/matrix-synapse/media_store",
        "/root/.synapse-token",
    ],
)
def test_what_belongs_to_the_server(path: str) -> None:
    assert _allowed("/etc/default/matrix-synapse", "/var/lib/matrix-synapse", "/root/.synapse-token").contains(path)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/matrix-synapse2/homeserver.yaml",
        "/etc/matrix-synapse/../passwd",
        "/etc/matrix-synapse//homeserver.yaml",
        "/etc/matrix-synapse/.ssh/authorized_keys",
        "/etc/matrix-synapse/.matrix_ops-restore.json",
        "/etc/matrix-synapse/.matrix_ops.synapse.restoring",
        "/etc/matrix-synapse/a\nb",
        "etc/matrix-synapse/homeserver.yaml",
        "/",
        "",
        "/etc/systemd/system/ssh.service",
        "/etc/systemd/system/ssh.service.d/matrix-synapse.conf",
        "/etc/systemd/system/matrix-synapse.service.d/a/b.conf",
        "/etc/systemd/system/matrix-synapse.service.d/a.sh",
        "/etc/systemd/system/matrix-synapse.service.wants/a.conf",
        "/etc/systemd/system/matrix-synapse-worker@../a.service",
        "/etc/default/ssh",
        "/etc/default/x/y-matrix_ops-z",
        "/var/lib/matrix-synapse/media_store",
        "/root/.ssh/authorized_keys",
        "/root/.synapse-token",
    ],
)
def test_what_does_not(path: str) -> None:
    assert not _allowed().contains(path)


def test_units_only_with_systemd() -> None:
    assert not _allowed(system=False).contains("/etc/systemd/system/matrix-synapse.service")
    assert not _allowed(system=False).contains("/etc/default/matrix-synapse-matrix_ops-jemalloc")


def test_a_directory_of_the_system_allows_only_the_file_itself() -> None:
    allowed = _allowed("/etc/cron.d", "/usr/share/x", "relative", "/srv/ok/")
    assert not allowed.contains("/etc/cron.d/evil")
    assert not allowed.contains("/usr/share/x/y")
    assert not allowed.contains("/nowhere")
    assert allowed.contains("/srv/ok/file")
    assert _allowed("/etc/cron.d/backup").contains("/etc/cron.d/backup")


def test_a_link_to_a_directory_of_the_system(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    allowed = _allowed(str(tmp_path))
    assert allowed.contains(str(tmp_path / "file"))
    assert not allowed.contains(str(tmp_path / "link" / "file"))


def test_the_message_names_some_of_them() -> None:
    with pytest.raises(InvalidInput, match=r"/a/0, /a/1, /a/2, /a/3, /a/4 and 2 more, where") as raised:
        _allowed().require([f"/a/{number}" for number in range(7)])
    assert "\n" not in raised.value.message
    with pytest.raises(InvalidInput) as raised:
        _allowed().require(["/a\nb"])
    assert "\n" not in raised.value.message
    _allowed().require([])


def test_plain_paths() -> None:
    assert is_plain("/a/b")
    assert not is_plain("/a/b/")
    assert not is_plain("/a/./b")
