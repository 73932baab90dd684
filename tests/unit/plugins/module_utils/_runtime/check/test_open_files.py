# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.open_files import judge_open_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)

FEW = {"soft": 2048, "hard": 2048}
RESTART = f"It was not restarted after the limit was set: restart {UNIT}."


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def judge(machine: Machine, *processes: dict[str, t.Any], wanted: int = 16384) -> Verdict:
    verdict = Verdict()
    judge_open_files(machine.declared(open_files=wanted), processes, machine.units(), verdict)
    return verdict


def test_nothing_is_read_if_nothing_is_declared(machine: Machine) -> None:
    verdict = Verdict()
    judge_open_files(machine.declared(), [machine.process(file_limits=FEW)], machine.units(), verdict)
    assert (verdict.failures, verdict.proofs, verdict.warnings, machine.asked) == ([], {}, [], 0)


def test_the_proof(machine: Machine) -> None:
    processes = [
        machine.process(file_limits={"soft": 18000, "hard": 18000}),
        machine.process(file_limits={}, pid=71, name=None),
        machine.process(file_limits={"soft": 16384, "hard": 20000}, pid=72, name="w1"),
    ]
    verdict = judge(machine, *processes)
    assert (verdict.failures, verdict.warnings) == ([], [])
    assert verdict.proofs["open_files"] == (
        "Open files: main, worker, w1 can open 18000 or any number of or 16384 files. At least 16384 are required."
    )
    assert machine.asked == 1


def test_a_drop_in_of_the_unit(machine: Machine) -> None:
    machine.drop_in("10.conf", "[Service]\nLimitNOFILE=65536\n")
    path = machine.drop_in("zzz.conf", "[Service]\nUnsetEnvironment=A\nLimitNOFILE=1024:2048\n")
    machine.shown["LimitNOFILE"] = "2048"
    verdict = judge(machine, machine.process(file_limits=FEW))
    assert verdict.message == (
        f"main (process 70) can open 2048 files, but synapse_file_limits_nofile is 16384. {path}, line 3, sets"
        f" LimitNOFILE=1024:2048: remove it there, and run systemctl daemon-reload, and restart {UNIT} (systemctl cat"
        f" {UNIT} shows all files of the unit)."
    )
    [failure] = verdict.failures
    assert (failure["declared"], failure["process"], failure["pid"]) == ("open_files", "main", 70)
    assert "open_files" not in verdict.proofs
    # The failure names it already.
    assert verdict.warnings == []


def test_the_default_of_systemd(machine: Machine) -> None:
    machine.shown["LimitNOFILE"] = "4096"
    verdict = judge(machine, machine.process(file_limits={"soft": 4096, "hard": 4096}))
    assert "so DefaultLimitNOFILE of systemd applies, which is 4096. Set LimitNOFILE=16384" in verdict.message
    assert f"systemctl cat {UNIT}" in verdict.message


def test_a_unit_that_systemd_has_not_read(machine: Machine) -> None:
    path = machine.drop_in("10.conf", "[Service]\nLimitNOFILE=65536\n", loaded=False)
    machine.shown.update(LimitNOFILE="2048", NeedDaemonReload="yes")
    verdict = judge(machine, machine.process(file_limits=FEW))
    assert f"{path}, line 2, sets LimitNOFILE=65536, but systemd has not read it since" in verdict.message


@pytest.mark.parametrize(
    ("limits", "source"),
    [((20000, 1048576), "the hard limit of process 1"), ((1048576, 20000), "fs.nr_open")],
)
def test_the_system_gives_less(machine: Machine, limits: tuple[int, int], source: str) -> None:
    machine.system_gives(*limits)
    verdict = judge(machine, machine.process(file_limits={"soft": 20000, "hard": 20000}), wanted=65536)
    assert verdict.message == (
        f"main (process 70) can open 20000 files, but synapse_file_limits_nofile is 65536. {UNIT} sets enough, but the"
        f" system gives at most 20000 ({source}): lower synapse_file_limits_nofile, or raise the limit of the machine"
        " or of its container."
    )


def test_soft_file_limit_in_the_configuration(machine: Machine) -> None:
    machine.configure({"soft_file_limit": 3000})
    verdict = judge(machine, machine.process(file_limits={"soft": 3000, "hard": 65536}))
    reason = f"{machine.configuration} sets soft_file_limit to 3000: remove that setting, and restart {UNIT}."
    assert verdict.message.endswith(reason)
    assert verdict.warnings == []


@pytest.mark.parametrize("value", [0, 16384, None, "many", True, [1]])
def test_a_soft_limit_that_the_configuration_does_not_explain(machine: Machine, value: t.Any) -> None:
    machine.configure({"soft_file_limit": value})
    verdict = judge(machine, machine.process(file_limits={"soft": 3000}))
    assert verdict.message.endswith(RESTART)


def test_a_configuration_that_cannot_be_read(machine: Machine) -> None:
    machine.configuration.write_text("a: [")
    verdict = judge(machine, machine.process(file_limits={"soft": 3000, "hard": 65536}))
    assert "soft_file_limit may lower it, but cannot be read" in verdict.message
    assert judge(machine, machine.process()).warnings == []


def test_a_process_that_was_not_restarted(machine: Machine) -> None:
    machine.drop_in("10.conf", "[Service]\nLimitNOFILE=65536\n")
    assert judge(machine, machine.process(file_limits=FEW)).message.endswith(RESTART)
    # Without these files, the limit of the system is unknown.
    (machine.proc / "1" / "limits").unlink()
    assert judge(machine, machine.process(file_limits=FEW)).message.endswith(RESTART)


def test_a_process_without_a_unit(machine: Machine) -> None:
    verdict = judge(machine, machine.process(file_limits=FEW, unit=None))
    assert "It was not started by systemd" in verdict.message
    assert "ulimit -n 16384" in verdict.message
    assert machine.asked == 0
    machine.system_gives(4096, 1048576)
    assert "The system gives at most 4096" in judge(machine, machine.process(file_limits=FEW, unit=None)).message


def test_systemd_that_fails(machine: Machine) -> None:
    machine.fails = "systemctl cannot be run: No such file."
    assert judge(machine, machine.process(file_limits=FEW)).message.endswith(machine.fails)
    assert judge(machine, machine.process()).warnings == []


def test_warnings_of_the_next_start(machine: Machine) -> None:
    machine.configure({"soft_file_limit": 100})
    path = machine.drop_in("10.conf", "[Service]\nLimitNOFILE=2048\n", loaded=False)
    verdict = judge(machine, machine.process(), machine.process(pid=71, name="w1"))
    assert verdict.failures == []
    assert len(verdict.warnings) == 2
    setting, unit = verdict.warnings
    assert "main can open 100 files, but synapse_file_limits_nofile is 16384" in setting
    assert f"{machine.configuration} sets soft_file_limit to 100" in setting
    assert f"{UNIT} can open 2048 files" in unit
    assert f"{path}, line 2, sets LimitNOFILE=2048: remove it there" in unit


def test_a_removed_drop_in_gives_the_default_at_the_next_start(machine: Machine) -> None:
    machine.default_limit = "4096"
    machine.shown["DropInPaths"] = str(machine.etc / "gone.conf")
    [warning] = judge(machine, machine.process()).warnings
    assert f"{UNIT} can open 4096 files" in warning
    assert "No file of" in warning


def test_a_warning_next_to_a_failure_of_another_cause(machine: Machine) -> None:
    machine.configure({"soft_file_limit": 100})
    machine.system_gives(2048, 1048576)
    verdict = judge(machine, machine.process(file_limits=FEW))
    assert "the system gives at most 2048" in verdict.message
    assert len(verdict.warnings) == 1


def test_a_warning_of_another_unit_with_the_same_file(machine: Machine) -> None:
    machine.write(machine.etc / "service.d" / "10.conf", "[Service]\nLimitNOFILE=1000\n")
    machine.shown["LimitNOFILE"] = "1000"
    verdict = judge(machine, machine.process(file_limits=FEW), machine.process(pid=71, unit="other.service"))
    assert [failure["pid"] for failure in verdict.failures] == [70]
    [warning] = verdict.warnings
    assert warning.startswith("After its next start, other.service can open 1000 files, but")


def test_a_limit_of_one_instance(machine: Machine) -> None:
    machine.drop_in("10.conf", "[Service]\nLimitNOFILE=65536\n")
    one, two = "matrix-synapse-worker@one.service", "matrix-synapse-worker@two.service"
    template = machine.write(
        machine.etc / "matrix-synapse-worker@.service.d" / "10.conf", "[Service]\nLimitNOFILE=65536\n"
    )
    path = machine.write(machine.etc / f"{one}.d" / "limit.conf", "[Service]\nLimitNOFILE=2048\n")
    machine.others[one] = {"LimitNOFILE": "2048", "DropInPaths": f"{template} {path}"}
    machine.others[two] = {"LimitNOFILE": "65536", "DropInPaths": template}
    verdict = judge(
        machine,
        machine.process(),
        machine.process(pid=71, name="one", unit=one, file_limits=FEW),
        machine.process(pid=72, name="two", unit=two, file_limits={"soft": 65536, "hard": 65536}),
    )
    assert [failure["process"] for failure in verdict.failures] == ["one"]
    assert f"{path}, line 2, sets LimitNOFILE=2048: remove it there, and run systemctl" in verdict.message
    assert f"restart {one} (" in verdict.message
    assert verdict.warnings == []


def test_a_soft_limit_in_a_later_file_undoes_that_of_the_unit(machine: Machine) -> None:
    machine.drop_in("10.conf", "[Service]\nLimitNOFILE=65536\n")
    directory = machine.directory / "conf.d"
    path = machine.write(directory / "50-mine.yaml", "soft_file_limit: 1024\n")
    process = machine.process(
        file_limits={"soft": 1024, "hard": 65536}, config_path=[str(machine.configuration), str(directory)]
    )
    message = judge(machine, process).message
    assert message.endswith(f"{path} sets soft_file_limit to 1024: remove that setting, and restart {UNIT}.")


@pytest.mark.parametrize("limits", [{"soft": 2048, "hard": 65536}, {"soft": 2048, "hard": 2048}])
def test_a_limit_that_was_lowered_at_run_time(machine: Machine, limits: dict[str, int]) -> None:
    message = judge(machine, machine.process(file_limits=limits, outdated_by=[])).message
    assert message.endswith(
        "None of its files has changed since it was started, so another program (prlimit), or the command that starts"
        f" it (systemctl cat {UNIT} shows it), has lowered its limit: restart {UNIT}."
    )
    changed = [{"path": "/u", "kind": "unit", "reason": "/u was changed."}]
    assert judge(machine, machine.process(file_limits=limits, outdated_by=changed)).message.endswith(RESTART)


def test_the_limit_of_a_container_without_systemd(machine: Machine) -> None:
    machine.system_gives(4096, 1048576)
    verdict = judge(machine, machine.process(file_limits={"soft": 4096, "hard": 4096}, unit=None, outdated_by=[]))
    assert "The system gives at most 4096 (the hard limit of process 1)" in verdict.message
