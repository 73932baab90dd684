# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.systemctl import (
    Shown,
    running_instances,
    show_units,
    start_line,
    started_configuration,
)

TEMPLATE = "matrix-synapse-worker@.service"


class Answers:
    """A systemctl with one answer. `asked`: the arguments of each call."""

    def __init__(self, output: str = "", status: int = 0, errors: str = "") -> None:
        self._answer = Completed(status, output, errors)
        self.asked: list[list[str]] = []

    def run(self, arguments: t.Sequence[str], timeout: float) -> Completed:
        assert timeout == 5
        self.asked.append(list(arguments))
        return self._answer


def test_one_command_for_all_units() -> None:
    systemctl = Answers("Id=a.service\nUser=\n\nId=b.service\nUser=x=y\n")
    shown = show_units(["a.service", "b.service"], systemctl.run, 5)
    assert [one.text("Id") for one in shown] == ["a.service", "b.service"]
    assert [one.text("User") for one in shown] == ["", "x=y"]
    [asked] = systemctl.asked
    assert asked[:4] == ["env", "LC_ALL=C", "systemctl", "show"]
    assert asked[-3:] == ["--", "a.service", "b.service"]
    assert "ExecStart" in asked[4]


@pytest.mark.parametrize("output", ["", "Id=a.service\n", "Id=a\n\nId=b\n\nId=c\n"])
def test_units_are_never_confused(output: str) -> None:
    with pytest.raises(SynapseError, match=r"printed \d instead of 2 units"):
        show_units(["a.service", "b.service"], Answers(output).run, 5)


@pytest.mark.parametrize("name", ["", "*.service", "a b.service", "a/b.service", "a\n.service", "[ab].service"])
def test_a_name_that_systemctl_would_take_for_something_else(name: str) -> None:
    systemctl = Answers()
    with pytest.raises(SynapseError, match="is not the name of a unit"):
        show_units([name], systemctl.run, 5)
    assert systemctl.asked == []


def test_systemctl_fails() -> None:
    systemctl = Answers(status=1, errors="Failed to connect to bus: Host is down\nmore\n")
    with pytest.raises(SynapseError, match=r"^systemctl show failed: Failed to connect to bus: Host is down[.]$"):
        show_units(["a.service"], systemctl.run, 5)
    with pytest.raises(SynapseError, match=r"^systemctl list-units failed: it printed nothing[.]$"):
        running_instances(TEMPLATE, Answers(status=1).run, 5)


def test_properties() -> None:
    shown = Shown(
        "ExecStart={ path=/opt/python ; argv[]=/opt/python -m app -c a ; b ; ignore_errors=no ; start_time=[n/a] ;"
        " stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\n"
        'Environment=A=1 "B=two words" "C=a\\"b\\\\c\\$d\\te\\x41\\102" D=é "" F=\n'
        "EnvironmentFiles=/etc/default/with space (ignore_errors=yes)\n"
        "EnvironmentFiles=/etc/*.env (ignore_errors=no)\n"
        "DropInPaths=\n"
    )
    assert shown.command() == "/opt/python -m app -c a ; b"
    assert shown.words("Environment") == ["A=1", "B=two words", 'C=a"b\\c$d\teAB', "D=é", "", "F="]
    assert shown.environment_files() == ["/etc/default/with space", "/etc/*.env"]
    assert shown.words("DropInPaths") == []


def test_the_format_of_newer_flags() -> None:
    shown = Shown("ExecStart={ path=/a ; argv[]=/a -c b ; flags= ; start_time=[n/a] }")
    assert shown.command() == "/a -c b"


def test_nothing_is_known() -> None:
    shown = Shown()
    assert (shown.text("Id"), shown.words("Environment"), shown.command()) == ("", [], "")
    assert shown.environment_files() == []


def test_running_instances() -> None:
    systemctl = Answers(
        "matrix-synapse-worker@b.service loaded active running Worker b\n"
        "  matrix-synapse-worker@a.service loaded active running Worker a\n"
        "matrix-synapse-worker@b.service loaded active running twice\n"
        "matrix-synapse-worker-other@c.service loaded active running\n"
        "\n"
    )
    found = running_instances(TEMPLATE, systemctl.run, 5)
    assert found == ["matrix-synapse-worker@a.service", "matrix-synapse-worker@b.service"]
    [asked] = systemctl.asked
    assert "--state=running" in asked
    assert asked[-2:] == ["--", "matrix-synapse-worker@*.service"]


def test_a_backslash_in_a_pattern_is_itself() -> None:
    systemctl = Answers()
    assert running_instances(r"a\x2db@.service", systemctl.run, 5) == []
    assert systemctl.asked[0][-1] == r"a\\x2db@*.service"


@pytest.mark.parametrize("name", ["matrix-synapse.service", "@.service", "*@.service", "a@b.service", ""])
def test_what_is_not_a_template(name: str) -> None:
    with pytest.raises(SynapseError, match="is not the name of a template"):
        running_instances(name, Answers().run, 5)


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("/v/bin/python -m synapse.app.homeserver --config-path=/a.yaml --config-path=/d/", ["/a.yaml", "/d/"]),
        ("/v/bin/python3.11 -B -m synapse.app.generic_worker -c a.yaml --config-path w.yaml", ["a.yaml", "w.yaml"]),
        ("/v/bin/synapse_homeserver -c /a.yaml", ["/a.yaml"]),
        ("/v/bin/python /v/bin/synapse_worker -c /a.yaml", ["/a.yaml"]),
        ("/usr/bin/env PYTHONUNBUFFERED=1 /v/bin/python -m synapse.app.homeserver -c/a.yaml", ["/a.yaml"]),
        ("/bin/sh -c exec /v/bin/python -m synapse.app.homeserver -c /a.yaml", ["/a.yaml"]),
        ("/bin/sh -c /opt/start.sh", []),
        ("/opt/start --config-path=/a.yaml --config-path /d", ["/a.yaml", "/d"]),
        ("/v/bin/synctl start -c /a.yaml", []),
        ("/v/bin/python -m synapse.app.homeserver", []),
        ("", []),
    ],
)
def test_the_configuration_of_a_command(command: str, paths: list[str]) -> None:
    assert started_configuration(command) == paths


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["[Service]\nExecStart=/a b\n"], "/a b"),
        (["[Service]\nExecStart = /a  b \t\n"], "/a  b"),
        (["[Service]\nExecStart=/a \\\n    b \\\n# not this \\\n; nor this\n    c\nUser=x\n"], "/a  b  c"),
        (['[Service]\nExecStart=/a "b\\\\"\n'], '/a "b\\\\"'),
        (["[Service]\nExecStart=/a \\\\\nExecStartPre=/b\n"], "/a \\\\"),
        (["[Service]\nExecStart=/a \\"], "/a"),
        (["[Service]\nExecStart=/a \\\n\nExecStart=/b\n"], "/b"),
        (["[Service]\nExecStart=/a\n", "[Service]\nExecStart=\nExecStart=/b\n"], "/b"),
        (["[Service]\nExecStart=/a\n", "[Service]\nExecStart=\n"], ""),
        (["[Service]\nExecStart=/a\n#ExecStart=/b\nExecStartPre=/c\nExecReload=/d\n"], "/a"),
        (["[X-Other]\nExecStart=/a\n[Service]\nType=notify\n"], ""),
        (["ExecStart=/a\n"], ""),
        (["[Service]\nExecStart=/a\n", "ExecStart=/b\n"], "/a"),
        (["[Service]\r\nExecStart=/a\r\n"], "/a"),
        ([], ""),
    ],
)
def test_the_line_that_starts_a_unit(texts: list[str], line: str) -> None:
    assert start_line(texts) == line
