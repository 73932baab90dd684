# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import pwd
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.systemctl import Shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.unit_description import (
    UnitReader,
    example_of,
)

NAME = "matrix-synapse.service"
COMMAND = "/opt/python -m synapse.app.homeserver --config-path=etc/homeserver.yaml --config-path=/etc/d//"


class Place:
    """A host with files of units, and the properties of one of them."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.units = directory / "units"
        self.units.mkdir()
        self.fragment = directory / "lib.service"
        self.properties = {
            "Id": NAME,
            "LoadState": "loaded",
            "ActiveState": "active",
            "UnitFileState": "enabled",
            "CanReload": "yes",
            "NeedDaemonReload": "no",
            "FragmentPath": str(self.fragment),
            "DropInPaths": "",
            "User": "",
            "WorkingDirectory": "/srv/chat",
            "ExecStart": f"{{ path=/opt/python ; argv[]={COMMAND} ; ignore_errors=no ; pid=0 }}",
            "Environment": "",
        }
        self.more: list[str] = []
        self.environment_files: list[str] = []
        self.unknown: list[str] = []

    def write(self, name: str, text: str | bytes) -> str:
        """Write a file and return its path."""
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def describe(self) -> dict[str, t.Any]:
        lines = [f"{key}={value}" for key, value in self.properties.items()]
        reader = UnitReader(self.environment_files, str(self.units))
        found = reader.describe(NAME, Shown("\n".join([*lines, *self.more])))
        assert reader.describe(NAME, Shown("\n".join([*lines, *self.more]))) == found
        self.unknown = [f"{each.name}: {each.reason}" for each in reader.unknown]
        return found

    def assigned(self) -> list[tuple[str, str, str]]:
        return [(each["name"], each["value"], each["source"]) for each in self.describe()["variables"]]


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


def test_a_unit(place: Place) -> None:
    place.fragment.write_text(f"[Service]\nExecStart={COMMAND}\n")
    assert place.describe() == {
        "name": NAME,
        "id": NAME,
        "exists": True,
        "file_exists": False,
        "fragment_path": str(place.fragment),
        "drop_in_paths": [],
        "written_by": "",
        "start_line": COMMAND,
        "exec_start": COMMAND,
        "config_path": ["/srv/chat/etc/homeserver.yaml", "/etc/d"],
        "working_directory": "/srv/chat",
        "variables": [],
        "enabled": True,
        "active": True,
        "can_reload": True,
        "needs_daemon_reload": False,
    }
    assert place.unknown == []


def test_a_unit_that_does_not_exist(place: Place) -> None:
    place.properties = {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}
    found = place.describe()
    assert not any(found[name] for name in ("exists", "file_exists", "enabled", "active", "can_reload"))
    assert (found["config_path"], found["working_directory"], found["start_line"]) == ([], "/", "")


def test_nothing_is_known_of_a_unit(place: Place) -> None:
    place.properties = {}
    assert None not in place.describe().values()


@pytest.mark.parametrize(("state", "active"), [("reloading", True), ("activating", False), ("failed", False)])
def test_states(place: Place, state: str, active: bool) -> None:
    place.properties.update(
        ActiveState=state, UnitFileState="enabled-runtime", NeedDaemonReload="yes", LoadState="masked"
    )
    found = place.describe()
    assert (found["active"], found["enabled"], found["exists"]) == (active, False, False)
    assert found["needs_daemon_reload"]


def test_who_has_written_the_unit(place: Place) -> None:
    place.fragment.write_text("# Written by the role matrix_ops.synapse.synapse_homeserver.\n")
    assert place.describe()["written_by"] == "matrix_ops.synapse.synapse_homeserver"
    place.fragment.write_bytes(b"#\xff" + b"x" * 4096 + b"matrix_ops.synapse")
    assert place.describe()["written_by"] == ""


def test_a_unit_that_systemd_has_not_read_yet(place: Place) -> None:
    (place.units / NAME).write_text("# matrix_ops.synapse\n")
    place.properties = {"LoadState": "not-found"}
    found = place.describe()
    assert (found["exists"], found["file_exists"], found["written_by"]) == (False, True, "matrix_ops.synapse")


def test_the_unit_in_force_counts_and_not_a_newer_file(place: Place) -> None:
    (place.units / NAME).write_text("# matrix_ops.synapse\n")
    place.fragment.write_text("")
    found = place.describe()
    assert (found["file_exists"], found["written_by"]) == (True, "")


def test_a_dangling_link_is_a_file(place: Place) -> None:
    os.symlink("missing", place.units / NAME)
    place.properties = {}
    found = place.describe()
    assert (found["file_exists"], found["written_by"], place.unknown) == (True, "", [])


def test_drop_ins(place: Place) -> None:
    place.fragment.write_text("[Service]\nExecStart=/first\n")
    second = place.write("a b.conf", "[Service]\nExecStart=\nExecStart=/second\n")
    ours = place.write("zz-matrix_ops-configuration.conf", "[Service]\nExecStart=\nExecStart=/second --more\n")
    removed = str(place.directory / "removed.conf")
    place.properties["DropInPaths"] = f'"{second}" {removed} {ours}'
    found = place.describe()
    assert found["drop_in_paths"] == [second, removed, ours]
    assert found["start_line"] == "/second"
    assert place.unknown == []


def test_a_file_of_the_unit_that_is_not_a_file(place: Place) -> None:
    os.mkfifo(place.fragment)
    found = place.describe()
    assert (found["start_line"], found["written_by"]) == ("", "")
    assert sorted(each.partition(":")[0] for each in place.unknown) == ["start_line", "written_by"]


@pytest.mark.parametrize(
    ("shown", "path"), [("", "/"), ("!/srv/x", "/srv/x"), ("/srv/x", "/srv/x"), ("~", pwd.getpwuid(0).pw_dir)]
)
def test_the_working_directory(place: Place, shown: str, path: str) -> None:
    place.properties["WorkingDirectory"] = shown
    assert place.describe()["working_directory"] == path


@pytest.mark.parametrize("user", [pwd.getpwuid(os.getuid()).pw_name, str(os.getuid())])
def test_the_home_directory_of_the_user(place: Place, user: str) -> None:
    place.properties.update(WorkingDirectory="!~", User=user)
    home = pwd.getpwuid(os.getuid()).pw_dir
    found = place.describe()
    assert found["working_directory"] == home
    assert found["config_path"][0] == os.path.join(home, "etc/homeserver.yaml")


def test_the_home_directory_of_nobody(place: Place) -> None:
    place.properties.update(WorkingDirectory="~", User="no-such-user")
    assert place.describe()["working_directory"] == "/"
    assert "working_directory: The unit starts in the home directory of the user no-such-user" in place.unknown[0]


def test_variables_in_their_order(place: Place) -> None:
    one, two = place.write("b.env", "SYNAPSE_CACHE_FACTOR=2\n"), place.write("a.env", "LD_PRELOAD='/x /y'\n")
    three = place.write("default", "LD_PRELOAD=\nPYTHONMALLOC=malloc\nexport LD_PRELOAD=/z\n")
    pattern = str(place.directory / "*.env")
    place.properties["Environment"] = 'LD_PRELOAD=/w "SYNAPSE_CACHE_FACTOR_GET_USERS=1 2"'
    place.more = [
        f"EnvironmentFiles={place.directory}/missing (ignore_errors=yes)",
        f"EnvironmentFiles={pattern} (ignore_errors=no)",
        f"EnvironmentFiles={one} (ignore_errors=no)",
    ]
    place.environment_files = [three, one, str(place.directory / "absent")]
    assert place.assigned() == [
        ("LD_PRELOAD", "/w", NAME),
        ("SYNAPSE_CACHE_FACTOR_GET_USERS", "1 2", NAME),
        ("LD_PRELOAD", "", three),
        ("PYTHONMALLOC", "malloc", three),
        ("LD_PRELOAD", "/x /y", two),
        ("SYNAPSE_CACHE_FACTOR", "2", one),
    ]
    assert place.unknown == []


def test_other_variables_are_never_returned(place: Place) -> None:
    place.properties["Environment"] = "SYNAPSE_PASSWORD=secret LD_PRELOADED=secret X=LD_PRELOAD=secret"
    place.environment_files = [place.write("default", 'A="\nLD_PRELOAD=secret"\nSYNAPSE_CACHE=secret\n')]
    assert "secret" not in str(place.describe())


def test_environment_files_that_cannot_be_read(place: Place) -> None:
    os.mkfifo(place.directory / "pipe")
    place.environment_files = [place.write("odd", b"LD_PRELOAD=/\xff\n"), str(place.directory / "pipe")]
    assert place.assigned() == []
    assert len(place.unknown) == 2
    assert "odd is not text in UTF-8" in place.unknown[0]
    assert "pipe is not a regular file" in place.unknown[1]


def test_examples_of_templates() -> None:
    assert example_of("a-worker@.service") == "a-worker@matrix_ops.service"
    assert [example_of(name) for name in ("a.service", "a@b.service")] == ["a.service", "a@b.service"]
