# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx has on a host is found before anything is changed."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import socket
import time
import typing as t

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


class Host:
    """A host with an nginx, whose parts find what a test says. `asked`: which of them were asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: pathlib.Path) -> None:
        self.asked: list[str] = []
        self.found: dict[str, list[str]] = {}
        self.path = path
        self.programs = {"openssl"}
        known: dict[str, object] = {
            "active": True,
            "enabled": True,
            "load_state": "loaded",
            "main_file": str(path / "nginx.conf"),
        }
        self.nginx = _nginx(**known)
        self.started = 2.0
        for name in ("value_faults", "declared_faults", "unsafe_way", "owner_faults"):
            monkeypatch.setattr(look_at_nginx, name, functools.partial(self._ask, name))
        for name in ("taken_ports", "backend_faults", "refusals"):
            monkeypatch.setattr(look_at_nginx, name, functools.partial(self._ask, name))
        monkeypatch.setattr(look_at_nginx, "Nginx", lambda: self.nginx)
        monkeypatch.setattr(self.nginx, "started", lambda: self.started, raising=False)
        monkeypatch.setattr(look_at_nginx, "newest_change", lambda _paths: 1.0)
        monkeypatch.setattr(look_at_nginx, "still_listens", lambda question: question["state"] == "present")
        monkeypatch.setattr(look_at_nginx, "is_usable", lambda path, _names: os.path.exists(path))
        monkeypatch.setattr(shutil, "which", lambda name: name if name in self.programs else None)
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def _ask(self, name: str, *_arguments: object) -> list[str]:
        self.asked.append(name)
        return list(self.found.get(name, []))

    def look(self, **values: object) -> dict[str, t.Any]:
        self.asked.clear()
        question: dict[str, t.Any] = {
            "state": "present",
            "template": _TEMPLATE,
            "addresses": ["127.0.0.1"],
            "ports": {"https": [443], "http": []},
            "config_path": str(self.path / "m.conf"),
            "self_signed_path": str(self.path / "m.pem"),
            "self_signed": False,
            "names": ["a.example"],
            "installs": True,
            "values": {
                "synapse_reverse_proxy_certificate_path": "/x.crt",
                "synapse_reverse_proxy_private_key_path": "/x.key",
            },
            "synapse_config_path": [str(self.path), "/nonexistent"],
            "synapse_python": "/nonexistent",
        }
        return look_at_nginx.look({**question, **values})


def test_a_host_that_is_ready(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    host = Host(monkeypatch, tmp_path)
    found = host.look()
    assert "listen 127.0.0.1:443 ssl http2;" in found.pop("content")
    assert found == {
        "packages": [],
        "present_content": None,
        "makes_certificate": False,
        "has_certificate": False,
        "active": True,
        "enabled": True,
        "outdated": "",
        "synapse_config_path": [],
        "wrong": [],
    }
    assert host.asked[-3:] == ["taken_ports", "backend_faults", "refusals"]
    assert host.asked.count("owner_faults") == 2


def test_without_root_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    host = Host(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(OSError, match="needs root: set become to true"):
        host.look()


def test_files_that_are_newer_than_nginx_are_not_in_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    host = Host(monkeypatch, tmp_path)
    host.started = 1.0
    path = tmp_path / "m.conf"
    assert host.look()["outdated"] == f"{path} or a file of the certificate was changed after nginx had read it."
    # The ports are not in use, so what has changed is of somebody else.
    assert host.look(state="absent")["outdated"] == ""
    assert "refusals" not in host.asked
    host.nginx.active = False
    assert host.look()["outdated"] == ""


def test_a_role_that_is_removed_tests_what_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    host = Host(monkeypatch, tmp_path)
    host.found["refusals"] = ["nginx refuses it."]
    assert host.look(state="absent")["wrong"] == []
    assert host.asked == []
    (tmp_path / "m.conf").write_text("# Written by matrix_ops.synapse.\n", encoding="utf-8")
    found = host.look(state="absent")
    assert (found["wrong"], found["content"]) == (["nginx refuses it."], "")
    assert found["present_content"] == "# Written by matrix_ops.synapse.\n"
    host.nginx.path = ""
    assert host.look(state="absent")["wrong"] == []
    assert host.look(state="absent")["packages"] == []


def test_files_of_others_are_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    host = Host(monkeypatch, tmp_path)
    for name in ("m.conf", "m.pem"):
        (tmp_path / name).write_text("of somebody else\n", encoding="utf-8")
    (sentence,) = host.look()["wrong"]
    assert sentence.startswith(f"{tmp_path}/m.conf was not written by this collection")
    assert not {"taken_ports", "backend_faults", "refusals"} & set(host.asked)
    assert len(host.look(self_signed=True)["wrong"]) == 2
    assert len(host.look(state="absent", self_signed=True)["wrong"]) == 1
    assert not host.look()["has_certificate"]
    (tmp_path / "m.pem").write_text("# Made by the role matrix_ops.synapse.x\n", encoding="utf-8")
    assert host.look()["has_certificate"]


@pytest.mark.parametrize("name", ["value_faults", "declared_faults", "unsafe_way", "owner_faults"])
def test_nothing_is_tried_with_wrong_values(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    host = Host(monkeypatch, tmp_path)
    host.found = {name: ["It is wrong."], "refusals": ["nginx refuses it."], "taken_ports": ["It is taken."]}
    assert set(host.look()["wrong"]) == {"It is wrong."}
    assert not {"taken_ports", "backend_faults", "refusals"} & set(host.asked)


@pytest.mark.parametrize("name", ["taken_ports", "backend_faults"])
def test_nginx_is_asked_last(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    host = Host(monkeypatch, tmp_path)
    host.found = {name: ["It is wrong."], "refusals": ["nginx refuses it."]}
    assert host.look()["wrong"] == ["It is wrong."]
    assert "refusals" not in host.asked
    del host.found[name]
    assert host.look()["wrong"] == ["nginx refuses it."]


def test_what_is_missing_is_installed_or_told(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    host = Host(monkeypatch, tmp_path)
    host.nginx.path = ""
    host.programs.clear()
    assert host.look()["packages"] == ["nginx"]
    assert "refusals" not in host.asked
    found = host.look(self_signed=True)
    assert (found["packages"], found["makes_certificate"]) == (["nginx", "openssl"], True)
    (sentence,) = host.look(installs=False)["wrong"]
    assert sentence.startswith("nginx is not installed on this host.")
    host.nginx.path, host.programs = "/usr/sbin/nginx", {"openssl"}
    assert host.look(self_signed=True)["packages"] == []
    assert host.look(self_signed=True)["makes_certificate"]
    assert host.look(installs=False)["wrong"] == []
    # The one that is there can be used.
    (tmp_path / "m.pem").write_text("# matrix_ops.synapse\n", encoding="utf-8")
    assert not host.look(self_signed=True)["makes_certificate"]
    assert not host.look(state="absent", self_signed=True)["makes_certificate"]


def test_a_synapse_of_the_same_host_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "python").touch()
    found = Host(monkeypatch, tmp_path).look(synapse_python=str(tmp_path / "python"))
    assert found["synapse_config_path"] == [str(tmp_path)]


def test_a_directory_where_others_write_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    owner = os.stat("/").st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert look_at_nginx.unsafe_way("/nonexistent/nginx/m.conf") == []
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    (sentence,) = look_at_nginx.unsafe_way("/nonexistent/nginx/m.conf")
    assert sentence.startswith("/ is not a safe place for /nonexistent/nginx/m.conf, because others than root")
    monkeypatch.setattr(os, "geteuid", os.getuid)
    for mode in (0o770, 0o707):
        tmp_path.chmod(mode)
        (sentence,) = look_at_nginx.unsafe_way(f"{tmp_path}/none/m.conf")
        assert sentence.startswith(f"{os.path.realpath(tmp_path)} is not a safe place")


def test_the_files_that_nginx_reads_for_the_role() -> None:
    values = {"synapse_reverse_proxy_certificate_path": "/c", "synapse_reverse_proxy_private_key_path": "/k"}
    question = {"state": "present", "config_path": "/n/m.conf", "self_signed_path": "/s", "values": values}
    assert look_at_nginx.used_files({**question, "self_signed": False}) == ["/n/m.conf", "/c", "/k"]
    assert look_at_nginx.used_files({**question, "self_signed": True}) == ["/n/m.conf", "/s"]
    assert look_at_nginx.used_files({**question, "self_signed": True, "state": "absent"}) == ["/n"]
    assert look_at_nginx.declared_faults({**question, "self_signed": True}) == []
    found = look_at_nginx.declared_faults({**question, "self_signed": False, "names": []})
    assert [sentence.split(" ")[0] for sentence in found] == ["/c", "/k"]


def test_a_file_from_the_future_makes_nothing_newer(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    changed = os.stat(tmp_path / "a").st_ctime
    paths = [str(tmp_path / "a"), str(tmp_path / "none")]
    assert look_at_nginx.newest_change(paths) == changed
    monkeypatch.setattr(time, "time", lambda: changed - 2)
    assert look_at_nginx.newest_change(paths) == 0.0
