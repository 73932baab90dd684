# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx has on a host is found before anything is changed."""

from __future__ import annotations

import os
import pathlib
import socket

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import look_at_nginx
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import Nginx

_TEMPLATE = "server {\n    @listen https@\n    server_name x;\n}\nserver {\n    @listen http@\n}\n"


def _nginx(**values: object) -> Nginx:
    nginx = Nginx.__new__(Nginx)
    nginx.__dict__.update({"version": (1, 22, 1), "has_http2": True, "path": "/usr/sbin/nginx", **values})
    return nginx


@pytest.mark.parametrize(
    ("version", "has_http2", "expected"),
    [
        ((1, 25, 0), True, ["listen [::1]:443 ssl http2;", "listen 127.0.0.1:443 ssl http2;"]),
        ((1, 25, 1), True, ["listen [::1]:443 ssl;", "listen 127.0.0.1:443 ssl;", "http2 on;"]),
        ((1, 26, 0), False, ["listen [::1]:443 ssl;", "listen 127.0.0.1:443 ssl;"]),
    ],
)
def test_http2_is_written_as_the_version_wants_it(
    version: tuple[int, ...], has_http2: bool, expected: list[str]
) -> None:
    question = {"template": _TEMPLATE, "addresses": ["::1", "127.0.0.1"], "ports": {"https": [443], "http": []}}
    content = look_at_nginx.complete(question, _nginx(version=version, has_http2=has_http2))
    lines = "".join(f"    {line}\n" for line in expected)
    assert content == f"server {{\n{lines}    server_name x;\n}}\nserver {{\n}}\n"


def test_a_link_that_was_switched_counts_as_a_change(tmp_path: pathlib.Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1/x.pem").touch()
    (tmp_path / "current").symlink_to("1")
    (tmp_path / "x.pem").symlink_to("current/../current/x.pem")
    path = str(tmp_path / "x.pem")
    assert look_at_nginx.links_to(path) == [path, *[str(tmp_path / "current")] * 2]
    before = look_at_nginx.newest_change([path])
    while look_at_nginx.newest_change([path]) <= before:
        (tmp_path / "current").unlink()
        (tmp_path / "current").symlink_to(tmp_path / "1")
    assert look_at_nginx.newest_change([path]) == os.lstat(tmp_path / "current").st_ctime


def test_a_circle_of_links_has_an_end(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert len(look_at_nginx.links_to(str(tmp_path / "a"))) == 40


@pytest.mark.parametrize(
    ("state", "is_present", "active", "expected"),
    [
        ("masked", True, False, "nginx.service is masked"),
        ("masked", False, True, "nginx.service is masked"),
        ("masked", False, False, ""),
        ("not-found", True, False, "systemd cannot use nginx.service (its state is not-found)"),
        ("loaded", True, False, ""),
    ],
)
def test_a_service_that_cannot_start_is_refused(state: str, is_present: bool, active: bool, expected: str) -> None:
    found = look_at_nginx.service_faults(_nginx(load_state=state, active=active), is_present)
    assert [sentence[: len(expected)] for sentence in found] == ([expected] if expected else [])


def test_a_host_without_nginx_needs_no_service() -> None:
    assert look_at_nginx.service_faults(_nginx(load_state="not-found", active=False, path=""), True) == []


def test_a_file_of_another_user_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "x.conf")
    assert look_at_nginx.owner_faults(path) == []
    (tmp_path / "x.conf").touch()
    assert look_at_nginx.owner_faults(path) == []
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    (sentence,) = look_at_nginx.owner_faults(path)
    assert sentence == f"{path} belongs to the user with the number {os.getuid()}, who could change it. " + (
        f"Run chown root {path}."
    )


def test_a_directory_that_others_changed_is_no_reason_without_the_ports_of_the_role() -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        ports = {"https": [used.getsockname()[1]], "http": []}
        assert look_at_nginx.still_listens({"state": "absent", "ports": ports})
    assert not look_at_nginx.still_listens({"state": "absent", "ports": ports})
    assert look_at_nginx.still_listens({"state": "present", "ports": ports})
