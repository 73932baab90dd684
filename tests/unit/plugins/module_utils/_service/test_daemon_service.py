# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service import managed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.control import Service
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._service.managed_host import (
    MAIN,
    UNIT,
    WORKER,
    ManagedHost,
)

NOTHING: dict[str, t.Any] = {"main": False, "units": [], "daemons": [], "directory": ""}


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ManagedHost:
    return ManagedHost(tmp_path, monkeypatch)


def daemon(host: ManagedHost, **options: t.Any) -> Service:
    return host.service(manager="daemon", unit="", **{"working_directory": str(host.directory), **options})


def worker(host: ManagedHost, name: str, settings: str = '{"worker_pid_file": "/w.pid"}') -> str:
    path = host.directory / f"{name}.yaml"
    path.write_text(settings)
    return str(path)


def test_the_processes_are_ended_and_started_again(host: ManagedHost) -> None:
    path = worker(host, "one")
    host.process(WORKER, more=[path])
    host.process(MAIN)
    service = daemon(host)
    service.require_control()
    told = service.running()
    paths = [str(host.configuration), path]
    workers = [{"app": WORKER, "config_path": paths, "directory": "/"}]
    assert told == {"main": True, "units": [], "daemons": workers, "directory": "/"}
    assert service.running(told) == told
    service.stop()
    assert host.pids() == []
    assert not service.is_running()
    assert service.running(told) == told
    service.start(told)
    options = [f"--config-path={each}" for each in paths]
    assert host.done == [
        [str(host.directory), str(host.python), "-m", MAIN, "--daemonize", options[0]],
        ["/", str(host.python), "-m", WORKER, "--daemonize", *options],
    ]
    service.start(told)
    assert len(host.pids()) == 2
    assert service.described == f"The daemon with {host.configuration}"


def test_nothing_to_do(host: ManagedHost) -> None:
    service = daemon(host)
    assert service.running() == NOTHING
    service.stop()
    service.start(NOTHING)
    assert host.done == []


def test_the_directory_is_that_of_the_configuration_if_nothing_else_is_known(host: ManagedHost) -> None:
    daemon(host, working_directory=None).start()
    assert host.done[0][0] == str(host.directory)


def test_what_belongs_to_systemd_or_to_another_user_is_left_alone(host: ManagedHost) -> None:
    service = daemon(host)
    pid = host.process(MAIN, UNIT)
    for attempt in (service.require_control, service.stop, service.start):
        with pytest.raises(SynapseError, match=f"runs in {UNIT}, so systemd would start it again. Set manager to sys"):
            attempt()
    host.kill(pid, 15)
    pid = host.process(MAIN, user=4321)
    for attempt in (service.require_control, service.stop, service.start):
        with pytest.raises(SynapseError, match=r"runs as 4321, and would be started as root\. Run the task as 4321"):
            attempt()
    assert host.pids() == [pid]


def test_started_with_other_paths(host: ManagedHost, tmp_path: pathlib.Path) -> None:
    conf, link = str(tmp_path / "conf.d"), tmp_path / "link.yaml"
    link.symlink_to(host.configuration)
    service = daemon(host)
    service.require_same_configuration()
    host.process(WORKER, more=[worker(host, "one")])
    service.require_same_configuration()
    host.process(MAIN, more=[conf])
    daemon(host, config_path=[str(link), f"{conf}/"]).require_same_configuration()
    message = (
        rf"Process 1002 .* was started with {host.configuration}, {conf}, but config_path is {host.configuration}\."
    )
    with pytest.raises(SynapseError, match=message):
        service.require_same_configuration()


def test_silent(host: ManagedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managed, "_PATIENCE", 0.0)
    host.answers = False
    service = daemon(host)
    host.process(WORKER, more=[worker(host, "one")])
    service.require_answer()
    host.process(MAIN)
    with pytest.raises(StateNotReached, match=r"runs, but does not answer\. .* If it should not answer, stop it first"):
        service.require_answer()
    host.answers = True
    service.require_answer()


def test_one_that_ends_as_soon_as_it_is_started(host: ManagedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.answers = False
    pid = host.process(MAIN)

    def end(_seconds: float) -> None:
        # Its server_name is not that of its database, and systemd starts it again.
        if pid in host.pids():
            host.kill(pid, 15)
            host.process(MAIN)

    monkeypatch.setattr(time, "sleep", end)
    daemon(host).require_answer()


def test_worker_that_could_not_be_started_again(host: ManagedHost) -> None:
    host.process(WORKER, more=[worker(host, "one", "{}")])
    with pytest.raises(SynapseError, match=r"Process 1001 .* worker_pid_file is not set in .*one\.yaml\. Set it"):
        daemon(host).require_control()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("synapse_python", "/nowhere/python", "synapse_python /nowhere/python is not a program"),
        ("synapse_python", "/", "synapse_python / is not a program"),
        ("working_directory", "/nowhere", "The directory /nowhere does not exist. Set working_directory"),
    ],
)
def test_options_that_do_not_fit(host: ManagedHost, option: str, value: str, message: str) -> None:
    with pytest.raises(SynapseError, match=message):
        daemon(host, **{option: value}).require_control()


def test_start_that_fails(host: ManagedHost) -> None:
    host.launches = False
    match = r"did not start \(exit status 1\)\. Synapse reported: Error in configuration at 'database': it is missing\."
    with pytest.raises(StateNotReached, match=match):
        daemon(host).start()


def test_start_that_a_killed_task_has_begun(host: ManagedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = host.process(MAIN)
    ask: t.Any = Client.get

    def end_first(_client: Client, path: str) -> t.Any:
        if begun in host.pids():
            host.kill(begun, 13)
        return ask(path)

    monkeypatch.setattr(Client, "get", end_first)
    daemon(host, start_timeout=60).start()
    assert [words[3] for words in host.done] == [MAIN]
    assert len(host.pids()) == 1


def test_words_at_the_end_of_the_log(host: ManagedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that has ended after it was started has written the reason to its log only."""
    log = host.directory / "homeserver.log"
    log_configuration = host.directory / "log.yaml"
    log_configuration.write_text(json.dumps({"version": 1, "handlers": {"file": {"filename": str(log)}}}))
    host.configuration.write_text(f'{{"log_config": "{log_configuration}", "form_secret": "a-long-secret"}}')
    host.answers = False

    def ends(pid: int, unit: str = "", **_more: t.Any) -> int:
        log.write_text("1 - root - ***** STARTING SERVER *****\n1 - root - Traceback (most recent call last):\n")
        with log.open("a") as file:
            file.write("1 - root -   File x\n1 - root - ValueError: a-long-secret does not fit\n")
        return 0

    monkeypatch.setattr(host, "process", ends)
    with pytest.raises(
        StateNotReached, match=r"did not start\. Synapse reported: ValueError: .* does not fit"
    ) as raised:
        daemon(host, start_timeout=60).start()
    assert "a-long-secret" not in str(raised.value)
    assert str(log) in str(raised.value)


def test_process_that_does_not_end(host: ManagedHost) -> None:
    host.ignores_end = {host.process(MAIN)}
    with pytest.raises(StateNotReached, match="did not end within 1 seconds"):
        daemon(host).stop()


def test_start_that_lasts_too_long(host: ManagedHost) -> None:
    host.hangs = True
    with pytest.raises(StateNotReached, match=r"did not start within 1 seconds \(start_timeout\)\. If it needs"):
        daemon(host).start()
