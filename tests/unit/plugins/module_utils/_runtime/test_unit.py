# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.inputs import Input
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.unit import (
    Systemd,
    Unit,
    read_unit,
    unit_name,
)

NAME = "matrix-synapse.service"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"0::/system.slice/{NAME}\n", NAME),
        (f"12:cpu:/\n1:name=systemd:/system.slice/{NAME}\n0::/\n", NAME),
        (f"0::/lxc.payload.chat/system.slice/{NAME}\n", NAME),
        (f"0::/machine.slice/systemd-nspawn@chat.service/payload/system.slice/{NAME}\n", NAME),
        (f"0::/system.slice/{NAME}/inner\n", NAME),
        ("0::/system.slice/system-w.slice/matrix-synapse-worker@a.service\n", "matrix-synapse-worker@a.service"),
        ("0::/user.slice/user-0.slice/session-3.scope\n", None),
        ("0::/user.slice/user-9.slice/user@9.service/user.slice/podman-7.scope\n", None),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_the_name_of_a_unit(text: str, name: str | None) -> None:
    assert unit_name(text) == name


def test_a_unit_of_a_user() -> None:
    with pytest.raises(SynapseError, match=r"^chat\.service is a unit of the systemd of a user"):
        unit_name("0::/user.slice/user-9.slice/user@9.service/app.slice/chat.service\n")


class Manager:
    """A systemd whose answers a test sets."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.systemd = Systemd(str(directory), (str(directory / "etc"), str(directory / "run")))
        self.properties = {
            "LoadState": "loaded",
            "MainPID": "70",
            "ExecMainPID": "70",
            "ExecMainStartTimestamp": "Tue 2026-11-24 10:00:00 UTC",
            "FragmentPath": "/lib/systemd/system/matrix-synapse.service",
            "SourcePath": "",
            "DropInPaths": "",
            "NeedDaemonReload": "no",
        }
        self.environment_files: list[str] = []
        self.status, self.errors = 0, ""
        self.asked: list[str] = []

    def run(self, arguments: t.Sequence[str], timeout: float) -> Completed:
        self.asked = list(arguments)
        lines = [f"{key}={value}" for key, value in self.properties.items()]
        lines += [f"EnvironmentFiles={value}" for value in self.environment_files]
        return Completed(self.status, "\n".join(lines) + "\n", self.errors)

    def read(self, name: str = NAME, pid: int = 70, parent: int = 1) -> Unit | None:
        return read_unit(f"0::/system.slice/{name}\n", (pid, parent), self.run, 5, self.systemd)

    def files(self, name: str = NAME) -> list[Input]:
        unit = self.read(name)
        assert unit is not None
        return [place for place in unit.inputs if place.suffix is None]

    def folders(self, name: str = NAME) -> list[str]:
        unit = self.read(name)
        assert unit is not None
        return [place.path for place in unit.inputs if place.suffix == ".conf" and not place.required]


@pytest.fixture
def manager(tmp_path: pathlib.Path) -> Manager:
    return Manager(tmp_path)


def test_a_unit(manager: Manager) -> None:
    assert manager.files() == [Input("/lib/systemd/system/matrix-synapse.service", "unit")]
    unit = manager.read()
    assert unit is not None
    # 10:00:00 UTC, and an unknown fraction of that second.
    assert (unit.name, unit.started, unit.outdated) == (NAME, 1795514401.0, False)
    assert manager.asked[:5] == ["env", "LC_ALL=C", "TZ=UTC", "systemctl", "show"]
    assert manager.asked[-2:] == ["--", NAME]


def test_drop_ins_with_spaces_in_their_names(manager: Manager) -> None:
    manager.properties["DropInPaths"] = r'"/etc/x.service.d/10 a \"b\".conf" /etc/x.service.d/20.conf'
    assert [place.path for place in manager.files()][1:] == [
        '/etc/x.service.d/10 a "b".conf',
        "/etc/x.service.d/20.conf",
    ]


def test_a_host_without_systemd(manager: Manager, tmp_path: pathlib.Path) -> None:
    manager.systemd = manager.systemd._replace(running=str(tmp_path / "missing"))
    assert manager.read() is None
    assert manager.asked == []


def test_a_process_that_was_started_by_hand_does_not_belong_to_the_unit_of_its_control_group(manager: Manager) -> None:
    assert manager.read("ssh.service", pid=80, parent=79) is None


def test_a_wrapper_that_starts_synapse(manager: Manager) -> None:
    unit = manager.read(pid=80, parent=70)
    assert unit is not None
    # This is the start of the wrapper.
    assert (unit.name, unit.started) == (NAME, None)


def test_a_unit_without_a_main_process(manager: Manager) -> None:
    manager.properties["MainPID"] = "0"
    assert manager.read() is not None


def test_files_that_systemd_knows_and_files_that_it_has_not_read_yet(manager: Manager) -> None:
    folder = manager.directory / "etc" / f"{NAME}.d"
    folder.mkdir(parents=True)
    (folder / "new.conf").touch()
    (folder / "new.conf~").touch()
    manager.properties["DropInPaths"] = f"{folder}/removed.conf /usr/lib/systemd/system/service.d/all.conf"
    assert [place.path for place in manager.files()[1:]] == [
        f"{folder}/new.conf",
        f"{folder}/removed.conf",
        "/usr/lib/systemd/system/service.d/all.conf",
    ]
    assert manager.folders() == [
        str(folder),
        f"{manager.directory}/run/{NAME}.d",
        "/usr/lib/systemd/system/service.d",
    ]


def test_an_instance_has_the_drop_ins_of_its_template(manager: Manager) -> None:
    names = [path.rpartition("/")[2] for path in manager.folders("worker@a.b.service")]
    assert names == ["worker@.service.d", "worker@a.b.service.d"] * 2


def test_files_that_systemd_writes_itself_do_not_count(manager: Manager) -> None:
    manager.properties["FragmentPath"] = f"/run/systemd/generator.late/{NAME}"
    manager.properties["SourcePath"] = "/etc/init.d/matrix-synapse"
    manager.properties["DropInPaths"] = " ".join(
        [
            f"/etc/systemd/system.control/{NAME}.d/50-MemoryMax.conf",
            f"/run/systemd/system.control/{NAME}.d/50-CPUQuota.conf",
            f"/run/systemd/generator/{NAME}.d/x.conf",
            "/run/systemd/system/service.d/zzz-lxc-service.conf",
            f"{manager.directory}/run/{NAME}.d/own.conf",
        ]
    )
    assert [place.path for place in manager.files()] == [
        "/etc/init.d/matrix-synapse",
        f"{manager.directory}/run/{NAME}.d/own.conf",
    ]


def test_files_of_variables(manager: Manager) -> None:
    for name in ("b.env", "a.env"):
        (manager.directory / name).touch()
    manager.environment_files = [
        "/etc/default/matrix-synapse (ignore_errors=yes)",
        "/etc/needed (with) brackets (ignore_errors=no)",
        f"{manager.directory}/*.env (ignore_errors=yes)",
    ]
    assert manager.files()[1:] == [
        Input("/etc/default/matrix-synapse", "environment", required=False),
        Input("/etc/needed (with) brackets", "environment"),
        Input(f"{manager.directory}/a.env", "environment"),
        Input(f"{manager.directory}/b.env", "environment"),
    ]
    unit = manager.read()
    assert unit is not None
    assert Input(str(manager.directory), "environment", required=False, suffix=".env") in unit.inputs


def test_systemd_reports_that_it_has_not_read_a_change(manager: Manager) -> None:
    manager.properties["NeedDaemonReload"] = "yes"
    unit = manager.read()
    assert unit is not None
    assert unit.outdated


@pytest.mark.parametrize("text", ["", "n/a", "Tue", "yesterday at noon"])
def test_a_start_that_systemd_does_not_know(manager: Manager, text: str) -> None:
    manager.properties["ExecMainStartTimestamp"] = text
    unit = manager.read()
    assert unit is not None
    assert unit.started is None


def test_a_systemd_that_does_not_answer(manager: Manager) -> None:
    manager.status, manager.errors = 1, "Failed to connect to bus: Host is down\n"
    with pytest.raises(SynapseError, match=r"^systemctl show matrix-synapse\.service failed: .* bus: Host is down\.$"):
        manager.read()


def test_a_unit_that_was_removed(manager: Manager) -> None:
    manager.properties["LoadState"] = "not-found"
    with pytest.raises(SynapseError, match="was removed while it runs"):
        manager.read()
