# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check import unit_evidence
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.not_running import (
    why_no_main_process,
    why_not_ready,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.running import judge_running
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)

CONTAINER = {
    "pid": 9,
    "app": "synapse.app.homeserver",
    "config_path": ["/data/homeserver.yaml"],
    "container": "docker-1",
}
STOPPED = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead", "Result": "success", "NRestarts": "0"}
FAILED = {**STOPPED, "ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "InvocationID": "a1"}
LOOPING = {**FAILED, "ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "7"}
STARTING = {**LOOPING, "SubState": "start", "Result": "success"}
APPLY = f"run systemctl daemon-reload, and restart {UNIT}"


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def why(machine: Machine, shown: dict[str, str], *containers: dict[str, t.Any], **declared: t.Any) -> str:
    """Return what the failure reports between the configuration and the URL."""
    machine.shown.update(shown)
    verdict, options = Verdict(), {"base_url": "http://a", **declared}
    found = {"processes": [], "unknown": [], **({"in_containers": list(containers)} if containers else {})}
    assert not judge_running(machine.declared(**options), found, verdict, machine.units())
    before = f"No Synapse process runs on this host with the configuration {machine.configuration}. "
    assert verdict.message.startswith(before)
    assert "base_url" not in verdict.message
    [failure] = verdict.failures
    assert failure["declared"] == "config_path"
    return verdict.message[len(before) :]


def command(words: str, start: str = "n/a", stop: str = "n/a", code: str = "(null)", status: str = "0/0") -> str:
    """Return a command as systemctl shows it."""
    return (
        f"{{ path=/bin/x ; argv[]={words} ; ignore_errors=no ; start_time=[{start}] ; stop_time=[{stop}] ; pid=0 ;"
        f" code={code} ; status={status} }}"
    )


@pytest.mark.parametrize("case", ["no reason", "no unit", "no systemd", "no units"])
def test_without_a_reason(machine: Machine, case: str) -> None:
    unit = "" if case == "no unit" else UNIT
    units: Units | None = machine.units()
    if case == "no systemd":
        units = Units(machine.host._replace(systemd=machine.host.systemd._replace(running="/gone")), 5)
    if case == "no units":
        units = None
    verdict = Verdict()
    judge_running(machine.declared(unit=unit), {"processes": [], "unknown": []}, verdict, units)
    hint = f"journalctl --unit {UNIT}" if unit else "the log of Synapse"
    assert f". Start Synapse. See {hint} if it does not stay up. If a server" in verdict.message
    assert machine.asked == (1 if case == "no reason" else 0)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (STOPPED, f"{UNIT} was not started: run systemctl start {UNIT}."),
        ({**STOPPED, "InvocationID": "a1"}, f"{UNIT} was stopped: run systemctl start {UNIT}."),
        # Before that, systemd has restarted it.
        ({**STOPPED, "InvocationID": "a1", "NRestarts": "2"}, f"{UNIT} was stopped: run systemctl start {UNIT}."),
        (
            {**STOPPED, "UnitFileState": "disabled"},
            f"{UNIT} was not started, and is not started at boot (disabled): run systemctl enable --now {UNIT}.",
        ),
        (
            {**STOPPED, "LoadState": "masked", "UnitFileState": "masked"},
            f"{UNIT} is masked, so systemd never starts it: run systemctl unmask {UNIT}, and start it.",
        ),
        (
            {**STOPPED, "LoadState": "not-found"},
            f"There is no unit {UNIT} on this host: install Synapse, or set my_unit to the unit that starts it.",
        ),
        (
            {**STOPPED, "LoadState": "bad-setting"},
            f"{UNIT} has files that systemd refuses: run systemd-analyze verify {UNIT}, and correct what it reports.",
        ),
        (
            {**FAILED, "Result": "oom-kill"},
            f"{UNIT} was ended by the kernel because of too little memory (Result=oom-kill): give the host more memory"
            " or Synapse smaller caches, and start it.",
        ),
        (
            {**FAILED, "Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"},
            f"{UNIT} does not stay up: it was ended by the signal SIGKILL (Result=signal). See journalctl --unit"
            f" {UNIT}, correct what is reported there, and start {UNIT}.",
        ),
        (
            {**FAILED, "Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "999"},
            f"{UNIT} does not stay up: it was ended by the signal 999 (Result=signal). See journalctl --unit"
            f" {UNIT}, correct what is reported there, and start {UNIT}.",
        ),
        (
            {**FAILED, "ExecMainCode": "1", "ExecMainStatus": "1"},
            f"{UNIT} does not stay up: it was ended with exit status 1 (Result=exit-code). See journalctl --unit"
            f" {UNIT}, correct what is reported there, and start {UNIT}.",
        ),
        (
            {**STOPPED, "ActiveState": "deactivating"},
            f"{UNIT} is being stopped: wait until it has ended, and start it.",
        ),
        (
            STARTING,
            f"{UNIT} does not stay up (systemd has restarted it 7 times), and is starting once more: correct what the"
            f" log reports. See journalctl --unit {UNIT}.",
        ),
        (
            {**STARTING, "NRestarts": "0"},
            f"{UNIT} is still starting, and it has no process of Synapse yet: wait. See journalctl --unit {UNIT} if it"
            " does not start.",
        ),
    ],
)
def test_what_systemd_knows(machine: Machine, shown: dict[str, str], reason: str) -> None:
    assert why(machine, shown, option_names={"unit": "my_unit"}) == reason


def test_a_command_that_takes_longer_than_the_limit(machine: Machine) -> None:
    machine.drop_in("10.conf", "[Service]\nExecStartPre=/bin/true\nTimeoutStartSec=300\n")
    path = machine.drop_in("20.conf", "[Service]\nExecStartPre=-/bin/sleep  100\nTimeoutStartSec=90\n")
    machine.commands = [
        command("/bin/true", "Mon", "Mon", "exited"),
        command("/bin/sleep 100", "Mon", "Tue", "killed", "15/TERM"),
    ]
    shown = {**FAILED, "Result": "timeout", "TimeoutStartUSec": "1min 30s"}
    assert why(machine, shown) == (
        f"{UNIT} does not start: ExecStartPre=-/bin/sleep ({path}, line 2) takes longer than TimeoutStartSec=90"
        f" ({path}, line 3), so systemd ends it: make it faster or remove it, or raise that limit, and {APPLY}."
    )
    machine.commands[1] = command("/bin/sleep 100", "Mon")
    for state in ({**STARTING, "SubState": "start-pre"}, {**STARTING, "SubState": "start-pre", "NRestarts": "0"}):
        assert why(machine, state) == (
            f"{UNIT} is still starting: ExecStartPre=-/bin/sleep ({path}, line 2) has not ended. systemd ends it"
            f" after TimeoutStartSec=90 ({path}, line 3): wait, or remove it if it never ends."
        )


def test_a_command_that_is_written_differently(machine: Machine) -> None:
    path = machine.drop_in(
        "10.conf", '[Service]\nExecStartPre=/bin/false\nExecStartPre=\nExecStartPre="/bin/sleep" %i1\n'
    )
    machine.commands = [command("/bin/sleep 1", "Mon", "Tue", "killed", "15/TERM")]
    shown = {**FAILED, "Result": "timeout", "TimeoutStartUSec": "1min 30s"}
    assert why(machine, shown).startswith(
        f'{UNIT} does not start: ExecStartPre="/bin/sleep" ({path}, line 4) takes longer than 1min 30s, which is'
        " DefaultTimeoutStartSec of systemd (set TimeoutStartSec to change it)"
    )
    later = machine.drop_in("20.conf", "[Service]\nExecStartPre=%h\n")
    machine.commands.append(command("/root", "Mon"))
    assert f"ExecStartPre=%h ({later}, line 2) takes longer" in why(machine, shown)
    machine.commands = [machine.commands[0], command("/bin/true"), command("/bin/true")]
    assert "ExecStartPre=/bin/sleep takes longer" in why(machine, shown)


def test_a_command_that_fails(machine: Machine) -> None:
    path = machine.drop_in("10.conf", "[Service]\nExecStartPre=/bin/false\n")
    machine.commands = [command("/bin/false", "Mon", "Mon", "exited", "1/FAILURE")]
    reason = f"{UNIT} does not start, because ExecStartPre=/bin/false ({path}, line 2) fails: correct or remove it"
    assert why(machine, LOOPING).startswith(reason)
    machine.commands = [machine.commands[0].replace("errors=no", "errors=yes")]
    assert "ExecStartPre" not in why(machine, LOOPING)


def test_a_command_that_is_not_to_blame(machine: Machine) -> None:
    machine.synapse_wrote("Error in configuration:", "  bad")
    before = {**STARTING, "SubState": "start-pre"}
    assert "Error in configuration: bad." in why(machine, before)
    # It was ended in a start before this one.
    machine.commands = [command("/bin/sleep 9", "Mon", "Mon", "killed", "15/TERM")]
    assert "/bin/sleep has not ended" in why(machine, before)
    assert "Error in configuration: bad." in why(machine, LOOPING)


def test_synapse_itself_takes_longer_than_the_limit(machine: Machine) -> None:
    path = machine.drop_in("10.conf", "[Service]\nTimeoutSec=30\n")
    assert why(machine, {**LOOPING, "Result": "timeout"}) == (
        f"{UNIT} does not start: Synapse was not ready within TimeoutSec=30 ({path}, line 2), so systemd ended it. An"
        f" update of the database schema can take that long: raise that limit in a drop-in, and {APPLY}. See journalctl"
        f" --unit {UNIT}."
    )


def test_a_missing_file_of_variables(machine: Machine) -> None:
    gone = machine.directory / "gone"
    path = machine.drop_in("10.conf", f"[Service]\nEnvironmentFile=-/no\nEnvironmentFile={gone}\n")
    assert why(machine, {**LOOPING, "Result": "resources"}) == (
        f"{UNIT} does not start, because {gone} does not exist. {path}, line 3, sets EnvironmentFile={gone}: create"
        f" that file, or write a hyphen before its path, and {APPLY}."
    )
    # Only with this result it is the reason.
    assert f"{gone}" not in why(machine, LOOPING)
    gone.write_text("")
    assert "(Result=resources)" in why(machine, {**LOOPING, "Result": "resources"})


@pytest.mark.parametrize(
    ("status", "setting", "problem"),
    [
        (200, "WorkingDirectory=/gone", "it cannot enter the directory"),
        (203, "ExecStart=/gone/python", "it cannot run the command, which does not exist or is not a program"),
        (216, "Group=gone", "the group does not exist"),
        (217, "User=gone", "the user does not exist"),
    ],
)
def test_what_systemd_cannot_prepare(machine: Machine, status: int, setting: str, problem: str) -> None:
    path = machine.drop_in("10.conf", f"[Service]\n{setting}\n")
    assert why(machine, {**LOOPING, "ExecMainCode": "1", "ExecMainStatus": str(status)}) == (
        f"{UNIT} does not start, because systemd reports {problem} (exit status {status}). {path}, line 2, sets"
        f" {setting}: correct that, and {APPLY}."
    )
    # That of a signal has another meaning.
    assert "exit status" not in why(machine, {**LOOPING, "ExecMainCode": "2", "ExecMainStatus": str(status)})


def test_the_words_of_synapse_without_secrets(machine: Machine) -> None:
    machine.configure({"macaroon_secret_key": "hunter2222"})
    machine.start_synapse()
    machine.synapse_wrote("Error in configuration at 'redis':", "  'hunter2222' is not of type 'object'")
    expected = (
        f"{UNIT} does not stay up (systemd has restarted it 7 times). Synapse reported: Error in configuration at"
        " 'redis': '(hidden)' is not of type 'object'. Correct that, and run systemctl restart {UNIT}."
    ).replace("{UNIT}", UNIT)
    assert why(machine, LOOPING) == expected
    # Between two failures, it is starting.
    assert why(machine, STARTING) == expected
    assert "(systemd has restarted it" not in why(machine, FAILED)
    machine.configuration.write_text("a: [")
    assert "'redis': '(hidden)' is not of type '(hidden)'" in why(machine, LOOPING)


def test_the_words_of_another_synapse_without_secrets(machine: Machine) -> None:
    machine.configure({"macaroon_secret_key": "hunter2222"})
    machine.start_synapse(f"{machine.configuration}.other")
    machine.synapse_wrote("Error in configuration at 'redis':", "  'hunter3333' is not of type 'object'")
    assert "hunter3333" not in why(machine, FAILED)


def test_words_of_an_earlier_start_are_not_those_of_a_stop(machine: Machine) -> None:
    machine.synapse_wrote("Error in configuration:", "  bad")
    assert "bad" in why(machine, FAILED)
    assert "bad" not in why(machine, STOPPED)


def test_a_unit_that_runs_something_else(machine: Machine) -> None:
    reason = why(machine, {**STOPPED, "ActiveState": "active", "MainPID": "77"})
    assert reason == (
        f"{UNIT} runs (process 77), but not with this configuration. {machine.fragment}, line 4, sets"
        " ExecStart=/bin/true: correct that, or set config_path to the paths in the command."
    )
    assert f"{UNIT} is active, but" in why(machine, {**STOPPED, "ActiveState": "active", "MainPID": "odd"})


def test_systemd_or_the_journal_that_fails(machine: Machine) -> None:
    machine.fails = "systemctl cannot be run: No such file."
    assert why(machine, FAILED) == f"Why is unknown, because its unit cannot be read. {machine.fails}"


def test_processes_in_containers(machine: Machine) -> None:
    reason = why(machine, STOPPED, CONTAINER)
    assert reason.endswith(
        " In containers, Synapse runs as process 9 with /data/homeserver.yaml in docker-1. A process in a container has"
        " other files at the same paths, so it is never taken for this one."
    )
    many = [{**CONTAINER, "pid": number} for number in range(5)]
    assert "process 2 with /data/homeserver.yaml in docker-1, and 2 more. A process" in why(machine, STOPPED, *many)


def missing(machine: Machine, shown: dict[str, str], *, answers: bool = True, units: bool = True) -> str:
    """Return what is reported of a host with workers only."""
    machine.shown.update(shown)
    verdict = Verdict()
    if not answers:
        verdict.fail("answers", "Synapse does not answer.")
    worker = machine.process(app="synapse.app.generic_worker", name="a", unit="w@a.service")
    found = {"processes": [worker, {**worker, "name": "b"}], "unknown": []}
    assert judge_running(machine.declared(), found, verdict, machine.units() if units else None)
    failures = [failure for failure in verdict.failures if failure["declared"] == "config_path"]
    assert all(failure.keys() == {"declared", "reason"} for failure in failures)
    return " ".join(failure["reason"] for failure in failures)


def test_a_main_process_that_is_missing_next_to_workers(machine: Machine) -> None:
    machine.start_synapse()
    machine.synapse_wrote("Error in configuration:", "  bad")
    for shown, times in ((FAILED, ""), (LOOPING, " (systemd has restarted it 7 times)")):
        assert missing(machine, shown) == (
            "No main process of this Synapse runs on this host, but the workers a, b do."
            f" {UNIT} does not stay up{times}. Synapse reported: Error in configuration: bad. Correct that, and run"
            f" systemctl restart {UNIT}. If the main process runs on another host, run systemctl disable --now {UNIT}"
            f" here, and systemctl reset-failed {UNIT}."
        )
    stopped = {**STOPPED, "InvocationID": "a1", "UnitFileState": "enabled"}
    assert f"do. {UNIT} was stopped: run systemctl start {UNIT}. If the" in missing(machine, stopped)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ({**STOPPED, "UnitFileState": "disabled"}, "(disabled): run systemctl enable --now"),
        ({**STOPPED, "UnitFileState": "masked", "LoadState": "masked"}, "is masked"),
        ({**STARTING, "NRestarts": "0"}, "is still starting"),
        ({**STOPPED, "ActiveState": "deactivating", "UnitFileState": "enabled"}, "is being stopped"),
        ({**STOPPED, "LoadState": "not-found"}, ""),
        ({**STOPPED, "ActiveState": "active", "UnitFileState": "enabled"}, ""),
        ({"LoadState": "loaded", "ActiveState": "", "UnitFileState": "enabled"}, ""),
    ],
)
def test_a_host_that_may_have_workers_only(machine: Machine, shown: dict[str, str], reason: str) -> None:
    machine.start_synapse()
    assert missing(machine, shown) == ""
    found = missing(machine, shown, answers=False)
    assert reason in found
    assert bool(found) == bool(reason)


def test_a_main_process_of_another_synapse_may_be_missing(machine: Machine) -> None:
    assert missing(machine, FAILED) == missing(machine, FAILED, answers=False) == ""
    machine.start_synapse()
    assert missing(machine, FAILED) != ""
    assert missing(machine, FAILED, units=False) == ""
    systemd = machine.host.systemd._replace(running="/gone")
    assert (
        why_no_main_process(machine.declared(), Units(machine.host._replace(systemd=systemd), 5), answers=False) == ""
    )
    machine.fails = "systemctl cannot be run."
    assert missing(machine, FAILED) == ""


def test_the_unit_of_a_main_process_is_not_asked_for_without_a_reason(machine: Machine) -> None:
    verdict = Verdict()
    assert judge_running(
        machine.declared(), {"processes": [machine.process()], "unknown": []}, verdict, machine.units()
    )
    hidden = {"name": "processes", "reason": "Process 7 is hidden.", "fix": "Run the task with become."}
    worker = machine.process(app="synapse.app.generic_worker")
    judge_running(machine.declared(), {"processes": [worker], "unknown": [hidden]}, verdict, machine.units())
    judge_running(machine.declared(unit=""), {"processes": [worker], "unknown": []}, verdict, machine.units())
    assert (machine.asked, verdict.failures) == (0, [])


def ended(start: str, command: str, status: int, result: str, code: str = "exited") -> list[dict[str, t.Any]]:
    """Return what systemd writes of a start that has failed."""
    base = {"UNIT": UNIT, "INVOCATION_ID": start}
    process = {**base, "COMMAND": command, "EXIT_CODE": code, "EXIT_STATUS": str(status)}
    return [process, {**base, "UNIT_RESULT": result}]


@pytest.mark.parametrize("command", ["ExecStart", "ExecStartPre"])
@pytest.mark.parametrize(
    ("status", "setting"), [(203, "ExecStart=/opt/nope hunter2"), (200, "WorkingDirectory=/nowhere")]
)
def test_an_attempt_that_runs_after_one_that_systemd_could_not_prepare(
    machine: Machine, command: str, status: int, setting: str
) -> None:
    path = machine.drop_in("10.conf", f"[Service]\n{setting}\n")
    machine.journal = ended("a", command, status, "exit-code")
    found = why(machine, STARTING)
    assert f"(exit status {status}). {path}, line 2, sets {setting.partition(' ')[0]}: correct that" in found
    # The same in the present start, before it has ended.
    machine.journal.append({"UNIT": UNIT, "INVOCATION_ID": "b"})
    assert why(machine, STARTING) == found
    # Of a start long ago, nothing is known.
    machine.journal.append({"UNIT": UNIT, "INVOCATION_ID": "c"})
    assert "is starting once more" in why(machine, STARTING)
    # A start that nobody has repeated has a reason of its own.
    machine.journal.pop()
    assert "is still starting" in why(machine, {**STARTING, "NRestarts": "0"})


def test_an_attempt_that_runs_after_a_timeout(machine: Machine) -> None:
    path = machine.drop_in("10.conf", "[Service]\nExecStartPre=/bin/sleep 100\nTimeoutStartSec=3\n")
    machine.commands = [command("/bin/sleep 100", "Mon")]
    machine.journal = ended("a", "ExecStartPre", 15, "timeout", "killed")
    found = why(machine, {**STARTING, "SubState": "start-pre"})
    assert found.startswith(f"{UNIT} does not start: ExecStartPre=/bin/sleep ({path}, line 2) takes longer than")
    machine.commands = []
    machine.journal = ended("a", "ExecStart", 15, "timeout", "killed")
    assert "Synapse was not ready within TimeoutStartSec=3" in why(machine, STARTING)


def test_an_attempt_that_runs_after_one_that_failed(machine: Machine) -> None:
    path = machine.drop_in("10.conf", "[Service]\nExecStartPre=/bin/false hunter2\n")
    machine.commands = [command("/bin/false hunter2", "Mon")]
    machine.journal = ended("a", "ExecStartPre", 1, "exit-code")
    before = {**STARTING, "SubState": "start-pre"}
    assert f"because ExecStartPre=/bin/false ({path}, line 2) fails" in why(machine, before)
    machine.commands = []
    assert "it was ended before it was ready (Result=exit-code)" in why(machine, before)
    machine.journal = ended("a", "ExecStart", 9, "signal", "killed")
    assert "it was ended by the signal SIGKILL (Result=signal)" in why(machine, STARTING)
    machine.journal = ended("a", "ExecStart", 3, "exit-code")
    assert "it was ended with exit status 3 (Result=exit-code)" in why(machine, STARTING)
    machine.journal = ended("a", "ExecStart", 9, "oom-kill", "killed")
    assert "too little memory" in why(machine, STARTING)


def test_one_of_several_commands_failed_before(machine: Machine) -> None:
    path = machine.drop_in("10.conf", "[Service]\nExecStartPre=/bin/one\nExecStartPre=/bin/two\nTimeoutStartSec=3\n")
    machine.commands = [command("/bin/one", "Mon"), command("/bin/two")]
    before = {**STARTING, "SubState": "start-pre"}
    both = f"one of ExecStartPre=/bin/one ({path}, line 2) or ExecStartPre=/bin/two ({path}, line 3)"
    machine.journal = ended("a", "ExecStartPre", 1, "exit-code")
    assert f"does not start, because {both} fails" in why(machine, before)
    machine.journal = ended("a", "ExecStartPre", 15, "timeout", "killed")
    assert f"does not start: {both} takes longer than TimeoutStartSec=3" in why(machine, before)
    # The first one has ended well this time.
    machine.commands[0] = command("/bin/one", "Mon", "Mon", "exited", "0/SUCCESS")
    assert f"does not start: ExecStartPre=/bin/two ({path}, line 3) takes longer than" in why(machine, before)


def test_a_condition_that_is_not_fulfilled(machine: Machine) -> None:
    path = machine.drop_in("10.conf", "[Unit]\nConditionPathExists=/gone/x\n")
    shown = {**STOPPED, "UnitFileState": "disabled", "ConditionResult": "no"}
    assert why(machine, {**shown, "ConditionTimestamp": "Mon"}) == (
        f"{UNIT} was not started, because one of its lines Condition...= is not fulfilled:"
        f" ConditionPathExists=/gone/x ({path}, line 2): correct or remove that, and {APPLY}."
    )
    assert "was not started, and is not started at boot" in why(machine, {**shown, "ConditionTimestamp": ""})


def test_the_arguments_of_commands_are_not_shown(machine: Machine) -> None:
    machine.drop_in("10.conf", "[Service]\nExecStartPre=/bin/false hunter2\nExecStart=/opt/nope hunter2\n")
    machine.commands = [command("/bin/false hunter2", "Mon", "Mon", "exited", "1/FAILURE")]
    for shown in (
        LOOPING,
        {**LOOPING, "ExecMainCode": "1", "ExecMainStatus": "203"},
        {**STOPPED, "ActiveState": "active"},
    ):
        assert "hunter2" not in why(machine, shown)


def logging(machine: Machine, *lines: str, **settings: t.Any) -> pathlib.Path:
    """Make Synapse write these lines to a log of its own in a start that began a minute ago."""
    log = machine.directory / "homeserver.log"
    head = "2026-11-29 21:18:16,264 - twisted - 273 - ERROR - sentinel - "
    text = "".join(f"{head}{line}\n" for line in lines)
    log.write_text(f"2026-11-29 21:18:16,248 - x - 377 - WARNING - main - ***** STARTING SERVER *****\n{text}")
    config = machine.directory / "log.yaml"
    config.write_text(json.dumps({"version": 1, "handlers": {"file": {"filename": str(log)}}}))
    machine.configure({"log_config": str(config), **settings})
    machine.start_synapse()
    began = int((time.monotonic() - 60) * 1e6)
    machine.shown.update(ExecMainCode="1", ExecMainStatus="1", ExecMainStartTimestampMonotonic=str(began))
    return log


TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "x.py", line 35, in run',
    "    f()",
    "TypeError: no 'hunter2'",
)


def test_the_reason_is_in_the_log_of_synapse(machine: Machine) -> None:
    log = logging(machine, *TRACEBACK, form_secret="hunter2 or so", soft_file_limit="1024")
    assert why(machine, FAILED) == (
        f"{UNIT} does not stay up. Synapse reported: TypeError: no 'hunter2'. It is at the end of {log}."
        f' soft_file_limit in {machine.configuration} is the text "1024", and Synapse ends right after its start: write'
        f" a whole number, without quotes, or remove it. Correct that, and run systemctl restart {UNIT}."
    )
    # A new start may have begun to write.
    log.write_text(log.read_text() + "x - ***** STARTING SERVER *****\nx - more\n")
    assert "Synapse reported" not in why(machine, FAILED)
    machine.journal = ended("a", "ExecStart", 1, "exit-code")
    assert "Synapse reported: TypeError: no 'hunter2'." in why(machine, STARTING)


def test_the_log_of_synapse_is_of_another_start(machine: Machine) -> None:
    log = logging(machine, *TRACEBACK)
    os.utime(log, (1, 1))
    assert "it was ended with exit status 1" in why(machine, FAILED)
    log = logging(machine, *TRACEBACK)
    machine.shown["ExecMainStartTimestampMonotonic"] = "0"
    assert "it was ended with exit status 1" in why(machine, FAILED)
    # A process that was killed has no last words.
    logging(machine, *TRACEBACK)
    machine.shown.update(ExecMainCode="2", ExecMainStatus="9")
    assert "it was ended by the signal SIGKILL" in why(machine, {**FAILED, "Result": "signal"})


def test_the_settings_that_synapse_refuses(machine: Machine) -> None:
    machine.configure({"max_upload_size": "lots", "presence": {"enabled": "false"}})
    machine.start_synapse()
    machine.synapse_wrote("Traceback (most recent call last):", "  x", "ValueError: invalid literal for int(): 'lots'")
    assert why(machine, FAILED) == (
        f"{UNIT} does not stay up. Synapse reported: ValueError: invalid literal for int(): 'lots'. max_upload_size in"
        f' {machine.configuration} is the text "lots", and Synapse does not start with it: write a number of bytes,'
        " or a number with K, M, G or T directly behind it, such as 50M. Correct that, and run systemctl restart"
        f" {UNIT}."
    )


def test_the_settings_with_which_synapse_ends_when_it_starts(machine: Machine) -> None:
    machine.configure({"listeners": [{"port": 70000, "type": "http"}]})
    machine.start_synapse()
    machine.synapse_wrote("Traceback (most recent call last):", "  x", "OverflowError: x")
    found = why(machine, FAILED)
    assert "Synapse reported: OverflowError: x. listeners" in found
    assert "write a port from 1 to 65535. " in found


def test_a_port_that_is_in_use(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[dict[str, t.Any], int, str]] = []

    def held(settings: dict[str, t.Any], own: int, proc: str) -> str:
        asked.append((settings, own, proc))
        return "Port 9 is held."

    monkeypatch.setattr(unit_evidence, "held_ports", held)
    machine.configure({"metrics_port": 9})
    machine.start_synapse()
    machine.synapse_wrote("Traceback (most recent call last):", "OSError: [Errno 98] Address already in use")
    found = why(machine, {**LOOPING, "NRestarts": "2", "MainPID": "70"})
    words = "OSError: [Errno 98] Address already in use. Port 9 is held. Correct that"
    assert f"(systemd has restarted it twice). Synapse reported: {words}" in found
    assert asked == [({"metrics_port": 9}, 70, str(machine.proc))]
    machine.synapse_wrote("Error in configuration:", "  bad")
    why(machine, LOOPING)
    machine.start_synapse("/other.yaml")
    machine.synapse_wrote("Traceback (most recent call last):", "OSError: [Errno 98] Address already in use")
    why(machine, LOOPING)
    # The ports of a worker are set elsewhere.
    machine.start_synapse()
    assert "already in use. Correct" in why_not_ready(machine.declared(), machine.units(), UNIT, is_worker=True)
    assert len(asked) == 1


def test_the_cause_is_reported_once(machine: Machine) -> None:
    machine.shown.update(STOPPED)
    verdict = Verdict()
    for need in (Need.ANSWER, Need.CONNECTION):
        verdict.fail("answers", "Synapse does not answer.", need=need)
    found: dict[str, t.Any] = {"processes": [], "unknown": []}
    judge_running(machine.declared(base_url="http://a"), found, verdict, machine.units())
    assert verdict.message.endswith(f"{UNIT} was not started: run systemctl start {UNIT}.")
    assert len({failure["reason"] for failure in verdict.failures}) == 1
    # Another server answers.
    verdict = Verdict()
    judge_running(machine.declared(base_url="http://a"), {**found, "server": {"name": "b"}}, verdict, machine.units())
    assert "If a server still answers at http://a, it is a different one: set base_url" in verdict.message
