# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.open_files import judge_open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.server import judge_server
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unready import explain_failures
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)

STARTING = {"LoadState": "loaded", "ActiveState": "activating", "SubState": "start", "Result": "success"}
RAISED = {"soft": 1024, "hard": 524288}
URL = "http://127.0.0.1:8008"


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    machine = Machine(tmp_path)
    for pid in ("70", "71"):
        (machine.proc / pid).mkdir()
    return machine


def judge(
    machine: Machine,
    *processes: dict[str, t.Any],
    health: str | None = None,
    systemd: bool = True,
    unix_socket: str | None = None,
) -> Verdict:
    declared = machine.declared(open_files=16384, answers=True, base_url=URL, unix_socket=unix_socket)
    verdict = Verdict()
    host = machine.host if systemd else machine.host._replace(systemd=machine.host.systemd._replace(running="/gone"))
    units = Units(host, 5)
    server = {"server": {}} if health else {"server": {"name": "a"}}
    judge_server(declared, {"unknown": [], **server}, health, verdict)
    judge_open_files(declared, processes, units, verdict)
    explain_failures(declared, processes, units, verdict)
    return verdict


def test_a_process_that_is_starting(machine: Machine) -> None:
    machine.shown.update(STARTING, NRestarts="0")
    verdict = judge(machine, machine.process(file_limits=RAISED, outdated_by=[]), health="Connection refused")
    assert verdict.message == (
        f"main (process 70) is not ready. {UNIT} is still starting, and Synapse is not ready yet: wait. See journalctl"
        f" --unit {UNIT} if it does not start."
    )
    assert [failure["declared"] for failure in verdict.failures] == ["answers", "open_files"]


def test_a_process_that_does_not_stay_up(machine: Machine) -> None:
    machine.start_synapse()
    machine.synapse_wrote("Error in configuration:", "  bad")
    for state in (STARTING, {**STARTING, "SubState": "auto-restart", "Result": "exit-code"}):
        machine.shown.update(state, NRestarts="1", ExecMainCode="1", ExecMainStatus="1")
        verdict = judge(machine, machine.process(file_limits=RAISED, outdated_by=[]), health="status 404")
        assert verdict.message == (
            f"main (process 70) is not ready. {UNIT} does not stay up (systemd has restarted it once). Synapse"
            f" reported: Error in configuration: bad. Correct that, and run systemctl restart {UNIT}."
        )


def test_a_process_that_ends_again_and_again_without_a_reason(machine: Machine) -> None:
    for state, reason in (
        (STARTING, "does not stay up (systemd has restarted it twice), and is starting once more"),
        (
            {**STARTING, "SubState": "auto-restart"},
            "does not stay up: it was ended with exit status 0 (Result=success)",
        ),
    ):
        machine.shown.update(state, NRestarts="2")
        verdict = judge(machine, machine.process(file_limits=RAISED, outdated_by=[]))
        assert verdict.message.startswith(f"main (process 70) is not ready. {UNIT} {reason}")


def test_a_process_that_is_ready(machine: Machine) -> None:
    for state in ("active", "reloading", "", "failed"):
        machine.shown.update(STARTING, ActiveState=state, NRestarts="3")
        verdict = judge(machine, machine.process(file_limits=RAISED, outdated_by=[]), health="Connection refused")
        assert "is not ready" not in verdict.message
        assert "another program (prlimit)" in verdict.message
        assert "does not answer at" in verdict.message


def test_a_process_that_has_just_ended(machine: Machine) -> None:
    (machine.proc / "70").rmdir()
    machine.shown.update(STARTING, ActiveState="failed", Result="oom-kill")
    verdict = judge(machine, machine.process(file_limits=RAISED, outdated_by=[]))
    assert verdict.message.startswith(f"main (process 70) has ended. {UNIT} was ended by the kernel")


def test_causes_that_do_not_depend_on_the_start(machine: Machine) -> None:
    machine.shown.update(STARTING, LimitNOFILE="2048")
    few = machine.process(file_limits={"soft": 2048, "hard": 2048})
    assert "is not ready" not in judge(machine, few).message
    machine.configure({"soft_file_limit": 1024})
    found = judge(machine, machine.process(file_limits=RAISED))
    assert f"{machine.configuration} sets soft_file_limit to 1024" in found.message


def test_systemd_is_only_asked_about_failures(machine: Machine) -> None:
    machine.shown.update(STARTING)
    verdict = Verdict()
    verdict.fail("user", "Wrong user.", machine.process())
    explain_failures(machine.declared(base_url=URL), [machine.process()], machine.units(), verdict)
    assert (machine.asked, verdict.message) == (0, "Wrong user.")
    for process in (machine.process(file_limits=RAISED, outdated_by=[], unit=None),):
        assert "prlimit" in judge(machine, process).message
    assert "prlimit" in judge(machine, machine.process(file_limits=RAISED, outdated_by=[]), systemd=False).message
    machine.fails = "systemctl cannot be run."
    assert "prlimit" in judge(machine, machine.process(file_limits=RAISED, outdated_by=[])).message


def test_a_worker_that_is_starting_is_not_why_the_server_does_not_answer(machine: Machine) -> None:
    machine.others["w@a.service"] = {**STARTING, "NRestarts": "0"}
    machine.shown["ActiveState"] = "active"
    worker = machine.process(app="synapse.app.generic_worker", name="a", pid=71, unit="w@a.service", file_limits=RAISED)
    verdict = judge(machine, machine.process(), {**worker, "outdated_by": []}, health="Connection refused")
    reasons = [failure["reason"] for failure in verdict.failures]
    assert reasons[0].startswith("Synapse does not answer at")
    assert reasons[1].startswith("a (process 71) is not ready. w@a.service is still starting")


def test_the_log_of_the_main_process_is_not_that_of_a_worker(machine: Machine) -> None:
    log, config = machine.directory / "homeserver.log", machine.directory / "log.yaml"
    log.write_text("x - ***** STARTING SERVER *****\nTraceback (most recent call last):\nTypeError: of a request\n")
    config.write_text(json.dumps({"handlers": {"file": {"filename": str(log)}}}))
    machine.configure({"log_config": str(config)})
    machine.start_synapse()
    ended = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}
    ended.update(ExecMainCode="1", ExecMainStatus="1", ExecMainStartTimestampMonotonic="1")
    machine.shown.update({**STARTING, **ended})
    machine.others["w@a.service"] = dict(machine.shown)
    for pid in ("70", "71"):
        (machine.proc / pid).rmdir()
    worker = machine.process(app="synapse.app.generic_worker", name="a", pid=71, unit="w@a.service", file_limits=RAISED)
    verdict = judge(machine, machine.process(file_limits=RAISED), worker)
    main, other = (failure["reason"] for failure in verdict.failures)
    assert f"Synapse reported: TypeError: of a request. It is at the end of {log}." in main
    assert "a (process 71) has ended. w@a.service does not stay up: it was ended with exit status 1" in other


def network(machine: Machine, pid: str, number: int) -> None:
    (machine.proc / pid / "ns").mkdir(parents=True, exist_ok=True)
    (machine.proc / pid / "ns" / "net").symlink_to(f"net:[{number}]")


def test_a_network_of_its_own(machine: Machine) -> None:
    machine.shown["ActiveState"] = "active"
    network(machine, "self", 1)
    assert "does not answer" in judge(machine, machine.process(), health="Connection refused").message
    network(machine, "70", 2)
    reason = f"main (process 70) has a network of its own, so {URL} of this host does not lead to it."
    found = judge(machine, machine.process(), health="Connection refused")
    assert found.message == (
        f"{reason} Start it in the network of the host (systemctl cat {UNIT} shows all files of the unit)."
    )
    path = machine.drop_in("10.conf", "[Service]\nPrivateNetwork=yes\n")
    found = judge(machine, machine.process(), health="Connection refused")
    assert found.message == (
        f"{reason} {path}, line 2, sets PrivateNetwork=yes: remove it there, and run systemctl daemon-reload, and"
        f" restart {UNIT}."
    )
    # A proxy reaches it.
    assert "network of its own" not in judge(machine, machine.process(), health="status 502").message
    # No network leads to a socket.
    found = judge(machine, machine.process(), health="Connection refused", unix_socket="/run/main.sock")
    assert "network of its own" not in found.message
    assert judge(machine, machine.process()).failures == []


@pytest.mark.parametrize(("url", "is_meant"), [("http://localhost:8008", True), ("https://a.org", False), ("x", False)])
def test_which_urls_lead_to_this_host(machine: Machine, url: str, is_meant: bool) -> None:
    network(machine, "self", 1)
    network(machine, "70", 2)
    declared, verdict = machine.declared(answers=True, base_url=url), Verdict()
    judge_server(declared, {"unknown": []}, "Connection refused", verdict)
    explain_failures(declared, [machine.process(unit=None)], machine.units(), verdict)
    assert ("(look at how it is started)" in verdict.message) == is_meant
