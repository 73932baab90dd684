# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx says is shown as it is, and files of others are known as such."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import host_of_nginx
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import Nginx


def test_processes_that_were_replaced_have_the_configuration_of_the_last_reload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nginx = host_of_nginx.Nginx.__new__(host_of_nginx.Nginx)
    nginx.__dict__.update({"main_pid": 1, "told_at": 0.0})
    now = time.time()
    found = {
        "1": (1, 0, "nginx: master process", now - 90),
        "2": (2, 1, "nginx: worker process", now - 20),
        "3": (3, 1, "nginx: worker process", now - 30),
        "4": (4, 1, "nginx: worker process is shutting down", now - 80),
        "5": (5, 2, "worker process of another program", now - 80),
    }
    monkeypatch.setattr(host_of_nginx, "process_of", found.get)
    monkeypatch.setattr(os, "listdir", lambda _path: ["x", *found])
    assert nginx.started() == now - 30
    monotonic = time.clock_gettime(time.CLOCK_MONOTONIC)
    nginx.told_at = monotonic - 60
    assert nginx.started() == pytest.approx(now - 60, abs=1)
    nginx.told_at = monotonic - 10
    assert nginx.started() == now - 30


def test_reasons_are_shown_once() -> None:
    said = "2026/01/02 03:04:05 [warn] 7#7: old\n2026/01/02 03:04:05 [emerg] 7#7: bad\nnginx: [emerg] bad\n"
    assert host_of_nginx.reasons(said) == "[emerg] bad"
    assert host_of_nginx.reasons("Job failed.\nSee the journal.\n") == "Job failed. See the journal."


def test_a_file_of_others_is_recognized() -> None:
    assert host_of_nginx.is_foreign("server {}\n# matrix_ops.synapse\n")
    assert not host_of_nginx.is_foreign("# Written by matrix_ops.synapse\n")
    assert not host_of_nginx.is_foreign("")
    assert not host_of_nginx.is_foreign(None)


def _run(built: str, state: str) -> t.Callable[[list[str]], subprocess.CompletedProcess[str]]:
    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        is_nginx = command == ["/usr/sbin/nginx", "-V"]
        assert is_nginx or command[:3] == ["systemctl", "show", "nginx.service"]
        return subprocess.CompletedProcess(command, 0, "" if is_nginx else state, built if is_nginx else "")

    return run


def _nginx(monkeypatch: pytest.MonkeyPatch, built: str = "", state: str = "", is_there: bool = True) -> Nginx:
    monkeypatch.setattr(host_of_nginx, "run", _run(built, state))
    monkeypatch.setattr(shutil, "which", lambda _name, path: "/usr/sbin/nginx" if is_there else None)
    monkeypatch.setattr(os.path, "isdir", lambda _path: True)
    return Nginx()


def test_what_nginx_and_systemd_say(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text("# error_log /a;\n  error_log /var/log/web.log warn;\n", encoding="utf-8")
    built = f"nginx version: nginx/1.18.2 (Ubuntu)\nconfigure arguments: --conf-path={main} --with-http_v2_module\n"
    state = "MainPID=7\nLoadState=loaded\nActiveState=reloading\nUnitFileState=static\nno property\n"
    found = _nginx(monkeypatch, built, f"{state}StateChangeTimestampMonotonic=2500000\n")
    assert (found.version, found.has_http2, found.main_file) == ((1, 18, 2), True, str(main))
    assert found.error_log == "/var/log/web.log"
    assert (found.main_pid, found.load_state, found.told_at) == (7, "loaded", 2.5)
    assert (found.active, found.enabled) == (True, True)
    assert not _nginx(monkeypatch, built.replace("--with-http_v2_module", "")).has_http2


@pytest.mark.parametrize("is_there", [True, False])
def test_a_host_that_says_nothing(is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _nginx(monkeypatch, state="ActiveState=inactive\nUnitFileState=disabled\n", is_there=is_there)
    assert found.path == ("/usr/sbin/nginx" if is_there else "")
    assert (found.version, found.has_http2) == ((1, 26, 0), True)
    assert found.main_file == "/etc/nginx/nginx.conf"
    assert (found.main_pid, found.load_state, found.told_at) == (0, "", 0.0)
    assert (found.active, found.enabled) == (False, False)


def test_a_host_without_systemd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _nginx(monkeypatch)
    monkeypatch.setattr(os.path, "isdir", lambda path: path != "/run/systemd/system")
    with pytest.raises(OSError, match="does not run systemd"):
        Nginx()


def test_only_files_are_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"a\xff")
    assert host_of_nginx.read(str(tmp_path / "file")) == "a\udcff"
    assert host_of_nginx.read(str(tmp_path / "none")) is None
    assert host_of_nginx.read(str(tmp_path / "file/none")) is None
    with pytest.raises(OSError, match="is not a file"):
        host_of_nginx.read(str(tmp_path))


def test_a_process_of_this_host() -> None:
    found = host_of_nginx.process_of(str(os.getpid()))
    assert found is not None
    pid, parent, title, started = found
    assert (pid, parent) == (os.getpid(), os.getppid())
    assert "python" in title
    assert time.time() - 3600 < started <= time.time()
    assert host_of_nginx.process_of("self") is None
    assert host_of_nginx.process_of("4194305") is None


def test_processes_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nginx = Nginx.__new__(Nginx)
    nginx.__dict__.update({"main_pid": 1, "told_at": 0.0})
    found = {"1": (1, 0, "nginx: master process", 50.0), "2": (2, 0, "bash", 20.0)}
    monkeypatch.setattr(os, "listdir", lambda _path: list(found))
    monkeypatch.setattr(host_of_nginx, "process_of", found.get)
    assert nginx.started() == 50.0
    nginx.main_pid = 9
    assert nginx.started() == 0.0
