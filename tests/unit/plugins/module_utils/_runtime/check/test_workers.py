# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import runtime
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.workers import (
    UnitState,
    configured_names,
    judge_workers,
    list_units,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import Machine

TEMPLATE = "matrix-synapse-worker@.service"
LISTED = ["list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager", "--"]


class Units:
    """A systemd that lists units. `listed`, `shown`: what it prints."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.listed = self.shown = ""
        self.status, self.errors = 0, ""
        self.asked: list[list[str]] = []

    def run(self, arguments: t.Sequence[str], timeout: float) -> Completed:
        """Answer as systemctl."""
        assert (list(arguments[:3]), timeout) == (["env", "LC_ALL=C", "systemctl"], 5)
        self.asked.append(list(arguments[3:]))
        return Completed(self.status, self.listed if arguments[3] == "list-units" else self.shown, self.errors)

    @property
    def host(self) -> runtime.Host:
        """The host."""
        return self._machine.host._replace(run=self.run)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def systemd(machine: Machine) -> Units:
    return Units(machine)


def worker(machine: Machine, name: str | None, pid: int = 71, unit: str | None = None) -> dict[str, t.Any]:
    unit = unit or f"matrix-synapse-worker@{name}.service"
    return machine.process(app="synapse.app.generic_worker", name=name, pid=pid, unit=unit)


def judge(machine: Machine, systemd: Units, *workers: dict[str, t.Any], wanted: int | None, **more: t.Any) -> Verdict:
    verdict = Verdict()
    declared = machine.declared(workers=wanted, **{"worker_unit": TEMPLATE, **more})
    judge_workers(declared, {"processes": [machine.process(), *workers]}, systemd.host, 5, verdict)
    return verdict


def test_nothing_is_declared(machine: Machine, systemd: Units) -> None:
    machine.configuration.unlink()
    verdict = judge(machine, systemd, worker(machine, "a"), wanted=None)
    assert (verdict.failures, verdict.proofs, systemd.asked) == ([], {}, [])


@pytest.mark.parametrize(
    ("names", "proof"),
    [
        ([], "Workers: 0 workers run."),
        (["a"], "Workers: 1 worker runs: a."),
        (["a", None], "Workers: 2 workers run: a, worker."),
    ],
)
def test_the_proof(machine: Machine, systemd: Units, names: list[str | None], proof: str) -> None:
    verdict = judge(machine, systemd, *(worker(machine, name) for name in names), wanted=len(names))
    assert (verdict.failures, verdict.proofs) == ([], {"workers": proof})
    assert systemd.asked == []


def test_too_many(machine: Machine, systemd: Units) -> None:
    verdict = judge(
        machine,
        systemd,
        worker(machine, "a"),
        worker(machine, "b", 72),
        wanted=1,
        option_names={"workers": "my_number"},
    )
    assert verdict.message == (
        "2 workers of this Synapse run on this host (a (process 71), b (process 72)), but my_number is 1. Stop those"
        " that are not needed, or set my_number to 2."
    )
    assert (systemd.asked, verdict.proofs) == ([], {})


def test_too_few_without_a_culprit(machine: Machine, systemd: Units) -> None:
    verdict = judge(machine, systemd, wanted=1)
    assert verdict.message == (
        "0 workers of this Synapse run on this host, but workers is 1. Start the missing workers, or set workers to 0."
    )


def test_workers_of_the_configuration(machine: Machine, systemd: Units) -> None:
    machine.configure({"instance_map": {"main": {}, "a": {}, "b": {}}, "federation_sender_instances": ["c"]})
    verdict = judge(machine, systemd, worker(machine, "a"), wanted=3, worker_unit="")
    assert verdict.message.endswith(
        "The configuration names workers that do not run on this host: b, c. Start those that belong here."
    )
    assert systemd.asked == []
    verdict = judge(machine, systemd, worker(machine, None), wanted=3)
    assert "a, b, c (some of them may be the workers whose name is unknown). Start those that belong" in verdict.message


def test_a_configuration_that_cannot_be_read(machine: Machine, systemd: Units) -> None:
    machine.configuration.write_text("a: [")
    message = judge(machine, systemd, wanted=1).message
    assert f"Which workers are configured is unknown. {machine.configuration} is not valid YAML" in message


def test_the_names_in_settings() -> None:
    settings = {
        "instance_map": {"main": {}, "a": {}, 1: {}},
        "stream_writers": {"events": ["b", "a", None], "typing": "c", "presence": {"x": 1}, "receipts": 5},
        "federation_sender_instances": "d",
        "pusher_instances": ["e", ["f"], ""],
        "outbound_federation_restricted_to": ["g"],
        "media_instance_running_background_jobs": "h",
        "run_background_tasks_on": "master",
        "notify_appservices_from_worker": "i",
        "update_user_directory_from_worker": None,
    }
    assert configured_names(settings) == ["a", "b", "c", "x", "d", "e", "g", "h", "i"]
    assert configured_names({"stream_writers": ["z"], "instance_map": 4}) == ["z"]
    assert configured_names({}) == []


def test_two_workers_with_the_same_name(machine: Machine, systemd: Units) -> None:
    workers = [worker(machine, "a", 71), worker(machine, "a", 72), worker(machine, None, 73), worker(machine, None, 74)]
    verdict = judge(machine, systemd, *workers, wanted=4)
    assert verdict.message == (
        "a (process 71), a (process 72) are workers with the same worker_name a: stop all but one of them, or give each"
        " a worker_name of its own."
    )
    assert verdict.proofs == {}


def test_units_that_do_not_run(machine: Machine, systemd: Units) -> None:
    systemd.listed = (
        "matrix-synapse-worker@a.service loaded failed failed Synapse a\n"
        "matrix-synapse-worker@b.service loaded activating auto-restart Synapse b\n"
        "matrix-synapse-worker@c.service loaded active running Synapse c\n"
        "matrix-synapse-worker@d.service not-found inactive dead d\n"
        "\n"
        "short\n"
    )
    systemd.shown = (
        "Result=exit-code\nId=matrix-synapse-worker@a.service\n\nId=matrix-synapse-worker@b.service\nResult=success\n"
    )
    verdict = judge(machine, systemd, worker(machine, "c"), wanted=3)
    assert verdict.message.endswith(
        "but workers is 3."
        " matrix-synapse-worker@a.service is failed (failed) with the result exit-code: see journalctl --unit"
        " matrix-synapse-worker@a.service."
        " matrix-synapse-worker@b.service is activating (auto-restart): see journalctl --unit"
        " matrix-synapse-worker@b.service."
        " matrix-synapse-worker@d.service is inactive (dead): see journalctl --unit matrix-synapse-worker@d.service."
    )
    names = [f"matrix-synapse-worker@{name}.service" for name in "abd"]
    assert systemd.asked == [
        [*LISTED, "matrix-synapse-worker@*.service"],
        ["show", "--property=Id,Result", "--", *names],
    ]


def test_units_with_another_configuration(machine: Machine, systemd: Units) -> None:
    systemd.listed = "matrix-synapse-worker@c.service loaded active running c\n"
    message = judge(machine, systemd, wanted=1).message
    assert "matrix-synapse-worker@c.service runs, but not with the configuration" in message
    assert len(systemd.asked) == 1
    # A process whose unit is unknown may belong to it.
    hidden = {**worker(machine, "x"), "unit": None}
    assert "not with the configuration" not in judge(machine, systemd, hidden, wanted=2).message


def test_many_units(machine: Machine, systemd: Units) -> None:
    systemd.listed = "".join(f"w@{number}.service loaded failed failed x\n" for number in range(50))
    message = judge(machine, systemd, wanted=50, worker_unit="w@.service").message
    assert message.count("journalctl") == 10


def test_many_workers(machine: Machine, systemd: Units) -> None:
    names = [f"w{number:02}" for number in range(12)]
    machine.configure({"pusher_instances": names[:10]})
    assert f"on this host: {', '.join(names[:10])}. Start" in judge(machine, systemd, wanted=12).message
    machine.configure({"pusher_instances": names})
    assert f"on this host: {', '.join(names[:10])} and 2 more. Start" in judge(machine, systemd, wanted=12).message


def test_a_systemd_that_fails(machine: Machine, systemd: Units) -> None:
    systemd.status, systemd.errors = 1, "Failed to connect to bus.\nmore\n"
    message = judge(machine, systemd, wanted=1).message
    assert message.endswith(
        f"The state of the units {TEMPLATE} is unknown. systemctl list-units failed: Failed to connect to bus."
    )
    systemd.errors = ""
    with pytest.raises(SynapseError, match="it printed nothing"):
        list_units(TEMPLATE, systemd.host, 5)


def test_a_host_without_systemd(machine: Machine, systemd: Units) -> None:
    host = systemd.host._replace(systemd=systemd.host.systemd._replace(running=str(machine.directory / "none")))
    assert (list_units(TEMPLATE, host, 5), systemd.asked) == ([], [])


def test_a_unit_that_is_no_template(systemd: Units) -> None:
    systemd.listed = "own-worker.service loaded inactive dead x\n"
    assert list_units("own-worker.service", systemd.host, 5) == [UnitState("own-worker.service", "inactive", "dead")]
    assert systemd.asked == [[*LISTED, "own-worker.service"]]
