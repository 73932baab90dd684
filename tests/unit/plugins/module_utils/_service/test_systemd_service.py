# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._service.managed_host import (
    MAIN,
    ONE,
    TEMPLATE,
    TWO,
    UNIT,
    WORKER,
    ManagedHost,
)

NOTHING: dict[str, t.Any] = {"main": False, "units": [], "daemons": [], "directory": ""}


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ManagedHost:
    return ManagedHost(tmp_path, monkeypatch)


def test_all_units_are_stopped_with_one_command_and_started_again(host: ManagedHost) -> None:
    host.process(MAIN, UNIT)
    host.process(WORKER, TWO, more=["/w2"])
    host.process(WORKER, ONE, more=["/w1"])
    service = host.service()
    service.require_control()
    assert service.is_running()
    told = service.running()
    assert told == {**NOTHING, "main": True, "units": [ONE, TWO]}
    service.stop()
    assert host.done == [["stop", UNIT, ONE, TWO]]
    assert not service.is_running()
    host.done.clear()
    service.start(told)
    # The workers need the database of the main process.
    assert host.done == [["reset-failed", UNIT], ["start", UNIT], ["reset-failed", ONE, TWO], ["start", ONE, TWO]]
    assert len(host.pids()) == 3
    assert service.described == UNIT


def test_nothing_to_do(host: ManagedHost) -> None:
    service = host.service()
    assert service.running() == NOTHING
    service.stop()
    service.start(NOTHING)
    assert host.done == []
    host.process(MAIN, UNIT)
    service.start()
    assert host.done == []


def test_an_interrupted_run_remembers_what_it_has_stopped(host: ManagedHost) -> None:
    service = host.service()
    host.process(WORKER, TWO)
    kept = {**NOTHING, "main": True, "units": [ONE]}
    assert service.running(kept) == {**NOTHING, "main": True, "units": [ONE, TWO]}


def test_a_unit_that_systemd_is_about_to_start_again(host: ManagedHost) -> None:
    """It has no process, but would have one a moment later."""
    host.units[UNIT] = "activating"
    service = host.service()
    assert service.is_running()
    assert service.running()["main"]
    host.units[ONE] = "activating"
    assert service.running() == {**NOTHING, "main": True, "units": [ONE]}
    service.stop()
    assert host.done == [["stop", UNIT, ONE]]


def test_worker_in_a_unit_of_its_own(host: ManagedHost) -> None:
    host.process(WORKER, "chat-worker.service")
    service = host.service(worker_unit="")
    assert service.running() == {**NOTHING, "units": ["chat-worker.service"]}
    service.stop()
    assert host.done == [["stop", "chat-worker.service"]]


@pytest.mark.parametrize(
    ("app", "unit", "message"),
    [
        (MAIN, "", r"^Process 1001 .*no unit of systemd has started it\. End it \(kill 1001\)"),
        (WORKER, "", r"^Process 1001 .*no unit of systemd has started it"),
        (MAIN, "other.service", r"runs in other.service, not in matrix-synapse.service\. Set unit to other.service"),
        # The unit of cron has another main process.
        (WORKER, "cron.service", "no unit of systemd has started it"),
        (WORKER, "user@1000.service/app.slice/chat.service", "is a unit of the systemd of a user"),
    ],
)
def test_process_of_something_else_is_left_alone(host: ManagedHost, app: str, unit: str, message: str) -> None:
    pid = host.process(app, unit)
    host.main_pids = {"cron.service": "7"}
    service = host.service()
    for attempt in (service.require_control, service.stop, service.running, service.start):
        with pytest.raises(SynapseError, match=message):
            attempt()
    assert host.done == []
    assert host.pids() == [pid]


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ({"LoadState": "not-found"}, r"^There is no unit matrix-synapse.service\. Correct it, or set unit"),
        ({"LoadState": "masked"}, r"systemd cannot start \(LoadState=masked\) matrix-synapse.service"),
    ],
)
def test_unit_that_cannot_be_started(host: ManagedHost, shown: dict[str, str], message: str) -> None:
    host.shown = shown
    with pytest.raises(SynapseError, match=message):
        host.service().require_control()


def test_unit_with_another_configuration(host: ManagedHost) -> None:
    host.command = "/bin/python -m synapse.app.homeserver --config-path=/etc/other.yaml"
    with pytest.raises(SynapseError, match="does not start Synapse with .*homeserver.yaml, but with /etc/other.yaml"):
        host.service().require_control()


def test_unit_that_starts_a_script(host: ManagedHost) -> None:
    host.command = "/usr/local/bin/start-synapse"
    host.service().require_control()


def test_only_root_can(host: ManagedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    with pytest.raises(SynapseError, match="Only root can stop and start matrix-synapse.service"):
        host.service().require_control()
    with pytest.raises(SynapseError, match="Only root can stop and start matrix-synapse.service"):
        host.service().require_rights()


def test_rights_without_a_unit(host: ManagedHost) -> None:
    host.shown = {"LoadState": "not-found"}
    host.service().require_rights()


def test_host_without_systemd(host: ManagedHost) -> None:
    host.booted.rmdir()
    for attempt in (host.service().require_control, host.service().require_rights):
        with pytest.raises(SynapseError, match="systemd does not run on this host, so .* cannot be stopped or started"):
            attempt()
    assert not host.service().is_running()


def test_process_that_does_not_end(host: ManagedHost) -> None:
    host.ignores_end = {host.process(MAIN, UNIT)}
    with pytest.raises(StateNotReached, match=r"Process 1001 .* did not end within 1 seconds \(start_timeout\)"):
        host.service().stop()


def test_stop_that_lasts_too_long(host: ManagedHost) -> None:
    host.process(MAIN, UNIT)
    host.hangs = True
    match = f"^{UNIT} was not stopped. systemctl did not end within 1 seconds. Look at systemctl status {UNIT}, and run"
    with pytest.raises(StateNotReached, match=match):
        host.service().stop()


def test_process_that_is_started_again_by_something_else(host: ManagedHost) -> None:
    host.process(MAIN, UNIT)
    host.again = True
    with pytest.raises(StateNotReached, match="Process 1002 .* was started while Synapse was being stopped"):
        host.service().stop()


def test_new_files_of_a_unit_are_read_before_the_start(host: ManagedHost) -> None:
    host.shown = {"LoadState": "not-found"}
    host.service().start()
    assert host.done[0] == ["daemon-reload"]
    assert host.done[-1] == ["start", UNIT]


def test_start_that_fails(host: ManagedHost) -> None:
    host.broken = {UNIT}
    with pytest.raises(
        StateNotReached, match=r"matrix-synapse.service did not start\. No Synapse process runs on this"
    ):
        host.service().start()


@pytest.mark.parametrize("state", ["failed", "activating"])
def test_worker_that_does_not_start(host: ManagedHost, state: str) -> None:
    host.broken, host.after_failure = {TWO}, state
    with pytest.raises(StateNotReached, match=f"{TWO} did not start. .*does not stay up"):
        host.service().start({**NOTHING, "main": True, "units": [ONE, TWO]})
    assert host.units[UNIT] == host.units[ONE] == "active"


def test_server_that_does_not_answer(host: ManagedHost) -> None:
    host.answers = False
    match = r"matrix-synapse.service was started, but is not ready\. Synapse did not answer within 1 seconds"
    with pytest.raises(StateNotReached, match=match):
        host.service().start()


def test_server_that_ends_while_it_is_waited_for(host: ManagedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.answers = False
    started = host._start

    def fails_later(names: list[str]) -> t.Any:
        done = started(names)
        host._stop(UNIT)
        return done

    monkeypatch.setattr(host, "_start", fails_later)
    with pytest.raises(StateNotReached, match=r"matrix-synapse.service did not start\. No Synapse process runs"):
        host.service(start_timeout=60).start()


def test_options_that_cannot_be_meant(host: ManagedHost) -> None:
    with pytest.raises(InvalidInput, match="unit is empty"):
        host.service(unit="")
    with pytest.raises(InvalidInput, match="config_path is empty"):
        host.service(config_path=[])
    with pytest.raises(InvalidInput, match="start_timeout is 0"):
        host.service(start_timeout=0)
    assert host.service(worker_unit=None).managed.worker_unit == ""
    assert host.service().managed.worker_unit == TEMPLATE
