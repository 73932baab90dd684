# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd and nginx say about a failure is not lost."""

from __future__ import annotations

import pathlib
import subprocess
import time

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import apply_nginx
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import Nginx


class Outcry(apply_nginx.Outcry):
    """An nginx that says this."""

    def __init__(self, said: str) -> None:
        self.said = said

    def text(self) -> str:
        return self.said


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", "Failed to start nginx.service: Unit nginx.service is masked."),
        ("nginx: [emerg] bind() failed\n", "[emerg] bind() failed"),
    ],
)
def test_the_reason_is_that_of_nginx_or_else_that_of_systemd(
    said: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        words = "Failed to start nginx.service:\n Unit nginx.service is masked.\n"
        return subprocess.CompletedProcess(command, 1, "", words)

    monkeypatch.setattr(apply_nginx, "run", run)
    assert apply_nginx.bring_about("start", Outcry(said)) == expected
    assert commands == [["systemctl", "start", "nginx.service"]]


def test_a_host_whose_nginx_was_removed_needs_no_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    nginx = Nginx.__new__(Nginx)
    nginx.__dict__.update({"path": "", "active": False})
    monkeypatch.setattr(apply_nginx, "Nginx", lambda: nginx)
    apply_nginx.main({"state": "absent"})


class Host:
    """A host on which nothing happens. `refused`: what nginx says each time; `said`: what is in its log.

    `failing`: the beginning of a command that fails; `done`: what was done, in its order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **nginx: object) -> None:
        self.refused: list[str] = []
        self.said = ""
        self.taken: list[str] = []
        self.failing = "none"
        self.done: list[str] = []
        self.nginx = Nginx.__new__(Nginx)
        self.nginx.__dict__.update({"path": "nginx", "active": True, "enabled": True, **nginx})
        monkeypatch.setattr(apply_nginx, "Nginx", lambda: self.nginx)
        monkeypatch.setattr(apply_nginx, "Outcry", lambda _nginx: Outcry(self.said))
        monkeypatch.setattr(apply_nginx, "run", self._run)
        monkeypatch.setattr(apply_nginx, "bring_about", self._bring_about)
        monkeypatch.setattr(apply_nginx, "taken_ports", lambda _question: self.taken)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        self.done.append(" ".join(command))
        fails = self.done[-1].startswith(self.failing)
        return subprocess.CompletedProcess(command, int(fails), "", "nginx: [emerg] it\ndoes not work\n")

    def _bring_about(self, verb: str, _outcry: Outcry) -> str:
        self.done.append(verb)
        return self.refused.pop(0) if self.refused else ""

    def apply(self, state: str = "present") -> list[str]:
        apply_nginx.main({"state": state, "port_names": {"443": "synapse_reverse_proxy_https_port"}})
        return self.done


@pytest.mark.parametrize(
    ("active", "enabled", "state", "expected"),
    [
        (True, True, "present", ["nginx -t", "reload"]),
        (False, True, "present", ["nginx -t", "start"]),
        (False, False, "present", ["nginx -t", "start", "systemctl enable nginx.service"]),
        (True, False, "absent", ["nginx -t", "reload"]),
        # The program may have been removed before its configuration.
        (False, False, "absent", []),
    ],
)
def test_nginx_is_reloaded_or_started(
    active: bool, enabled: bool, state: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Host(monkeypatch, active=active, enabled=enabled).apply(state) == expected


def test_a_configuration_that_nginx_refuses_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    host.failing = "nginx -t"
    with pytest.raises(OSError, match=r"^nginx refuses the configuration: \[emerg\] it$"):
        host.apply()
    assert host.done == ["nginx -t"]


@pytest.mark.parametrize("active", [True, False])
def test_nginx_is_started_again_if_its_own_processes_have_the_port(
    active: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(monkeypatch, active=active)
    host.refused = ["it cannot bind."]
    host.said = "[emerg] bind() to 0.0.0.0:443 failed (98: Address already in use)"
    if active:
        assert host.apply() == ["nginx -t", "reload", "restart"]
    else:
        with pytest.raises(OSError, match=r"^nginx does not start: it cannot bind\. journalctl "):
            host.apply()
        assert host.done == ["nginx -t", "start"]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("[emerg] bind() to 0.0.0.0:8080 failed", []),
        ("[emerg] bind() to 0.0.0.0:443 failed\n[emerg] bind() to [::]:8080 failed", []),
        ("[emerg] bind() to 0.0.0.0:443 failed", ["Port 443 is used."]),
        ("[emerg] no such file", []),
    ],
)
def test_nginx_is_not_stopped_if_it_would_not_start_again(
    said: str, taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(monkeypatch)
    host.said, host.taken, host.refused = said, taken, ["why."]
    with pytest.raises(OSError, match=r"^nginx does not use its new configuration: why\. journalctl "):
        host.apply()
    assert host.done == ["nginx -t", "reload"]


def test_nginx_that_is_not_refused_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    host.said = "[emerg] bind() to 0.0.0.0:443 failed"
    assert host.apply() == ["nginx -t", "reload"]


def test_a_service_that_cannot_be_enabled_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, enabled=False)
    host.failing = "systemctl enable"
    with pytest.raises(OSError, match=r"^nginx\.service cannot be enabled: nginx: \[emerg\] it does not work$"):
        host.apply()


def _waiting(monkeypatch: pytest.MonkeyPatch, *started: float, active: bool = True) -> list[float]:
    """Let nginx have these times of its start, one after the other. Return for how long was waited, and when."""
    times = list(started)
    waited: list[float] = []

    class Started:
        """An nginx of a moment."""

        def __init__(self) -> None:
            self.active = active

        def started(self) -> float:
            return times.pop(0) if len(times) > 1 else times[0]

    monkeypatch.setattr(apply_nginx, "Nginx", Started)
    monkeypatch.setattr(apply_nginx, "run", lambda command: subprocess.CompletedProcess(command, 0, "", ""))
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def test_nginx_has_its_files_when_its_processes_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = _waiting(monkeypatch, time.time() - 60, time.time() + 60)
    assert apply_nginx.bring_about("reload", Outcry("")) == ""
    assert len(waited) == 1


def test_what_nginx_gives_up_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = _waiting(monkeypatch, time.time() - 60)
    said = "[emerg] 7#7: still could not bind()\n"
    assert apply_nginx.bring_about("reload", Outcry(said)) == "[emerg] still could not bind()"
    assert waited == []


@pytest.mark.parametrize(("started", "active"), [(-60, True), (60, False)])
def test_nginx_does_not_become_ready(started: float, active: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_nginx, "RELOAD_LIMIT", 0.05)
    waited = _waiting(monkeypatch, time.time() + started, active=active)
    assert apply_nginx.bring_about("start", Outcry("")) == "it did not do so within 0.05 seconds."
    assert waited


def test_only_new_words_of_nginx_count(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, "started\nnginx: [emerg] in the journal\n", "")

    monkeypatch.setattr(apply_nginx, "run", run)
    nginx = Nginx.__new__(Nginx)
    log = tmp_path / "error.log"
    nginx.error_log = str(log)
    first = apply_nginx.Outcry(nginx)
    assert first.text() == "nginx: [emerg] in the journal"
    log.write_text("[emerg] one\n", encoding="utf-8")
    second = apply_nginx.Outcry(nginx)
    log.write_text("[emerg] one\n[warn] two\n[emerg] three\n", encoding="utf-8")
    assert first.text().splitlines() == ["[emerg] one", "[emerg] three", "nginx: [emerg] in the journal"]
    assert second.text().splitlines() == ["[emerg] three", "nginx: [emerg] in the journal"]
