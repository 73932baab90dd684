# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math
import os
import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import (
    UnitNow,
    drop_ins,
    hard_limit,
    read_unit_now,
    section_lines,
    variable_lines,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def read(machine: Machine) -> UnitNow:
    return read_unit_now(UNIT, machine.run, 5, machine.host.systemd)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("1024", 1024),
        ("1024:4096", 4096),
        ("1024: 4096", 4096),
        ("1024 : 4096", None),
        ("1024:", None),
        (" +12", 12),
        ("0", 0),
        ("0200000", 65536),
        ("0o777", 511),
        ("0O7", 7),
        ("0b101", 5),
        ("0X1f", 31),
        ("08", None),
        ("0b2", None),
        ("0x", None),
        ("18446744073709551614", 2**64 - 2),
        ("18446744073709551615", None),
        ("0xffffffffffffffff", None),
        ("99999999999999999999999", None),
        ("infinity", math.inf),
        ("1024:infinity", math.inf),
        ("0x10", 16),
        ("", None),
        ("4096:1024", None),
        ("-1", None),
        ("10K", None),
        ("1_000", None),
        ("\u0661", None),
        ("1" * 5000, None),
    ],
)
def test_a_limit(value: str, limit: float | None) -> None:
    assert hard_limit(value) == limit


def test_lines_with_comments_and_continuations(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text(
        "[Unit]\nLimitNOFILE=1\n[Service]\n# LimitNOFILE=2\n ; x=y\nA=one \\\n# between\n two\\\n\n B = =c \nno value\n"
        "[Install]\nC=3"
    )
    lines = [(line.number, line.key, line.value) for line in section_lines(str(path), "[Service]")]
    assert lines == [(6, "A", "one two"), (10, "B", "=c")]


def test_files_that_cannot_be_read_have_no_lines(tmp_path: pathlib.Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(b"[Service]\n\xff\xfe=\xff\nLimitNOFILE=7\\")
    assert [line.value for line in section_lines(str(odd), "[Service]")][-1:] == ["7"]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("missing", "pipe", "loop", "", "nul\0"):
        assert section_lines(str(tmp_path / name), "[Service]") == []


def test_variables(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "environment"
    path.write_text(
        '# LD_PRELOAD=/no\nA=\'one two\'\nB="b\nLD_PRELOAD=/no\n" \nLD_PRELOAD = /a \\\n/b \n\nx\nC="/c\n/d"\nD=1'
    )
    assert [(line.number, line.key, line.value) for line in variable_lines(str(path))] == [
        (2, "A", "one two"),
        (3, "B", "b\nLD_PRELOAD=/no\n"),
        (6, "LD_PRELOAD", "/a /b"),
        (10, "C", "/c\n/d"),
        (12, "D", "1"),
    ]
    path.write_bytes(b"A=\xff\n")
    assert variable_lines(str(path)) == []
    assert variable_lines(str(tmp_path / "missing")) == []


@pytest.mark.parametrize(
    ("end", "continued"), [("\\", True), ("\\\\", False), ("\\\\\\", True), ("\\ ", False), ("\\\t", False)]
)
def test_the_end_of_a_line(tmp_path: pathlib.Path, end: str, continued: bool) -> None:
    path = tmp_path / "a.conf"
    path.write_text(f"[Service]\nEnvironment=A=1{end}\nLimitNOFILE=1024\n")
    keys = [line.key for line in section_lines(str(path), "[Service]")]
    assert keys == (["Environment"] if continued else ["Environment", "LimitNOFILE"])


def test_drop_ins_with_a_space_in_their_names(machine: Machine) -> None:
    machine.shown["DropInPaths"] = f'"{machine.drop_in("10 mine.conf", "[Service]", loaded=False)}"'
    found = read(machine)
    assert found.is_read
    assert found.paths[-1].endswith("10 mine.conf")


def test_drop_ins_in_the_order_of_systemd(machine: Machine) -> None:
    expected = [
        machine.write(machine.usr / "service.d" / "10-all.conf", ""),
        machine.write(machine.usr / "matrix-.service.d" / "20-prefix.conf", ""),
        machine.drop_in("30-own.conf", ""),
    ]
    machine.write(machine.usr / f"{UNIT}.d" / "30-own.conf", "hidden by the one in etc")
    machine.write(machine.usr / f"{UNIT}.d" / "40-masked.conf", "")
    (machine.etc / f"{UNIT}.d" / "40-masked.conf").symlink_to(os.devnull)
    machine.write(machine.etc / f"{UNIT}.d" / "50-other.txt", "")
    machine.write(machine.etc / "other.service.d" / "50-other.conf", "")
    control = machine.write(machine.directory / "system.control" / "60-control.conf", "")
    found = drop_ins(UNIT, [control, str(machine.etc / "gone.conf")], (str(machine.etc), str(machine.usr)))
    assert found == [*expected, control]


def test_an_instance_has_the_drop_ins_of_its_template(machine: Machine) -> None:
    template = machine.write(machine.etc / "synapse-worker@.service.d" / "a.conf", "")
    own = machine.write(machine.etc / "synapse-worker@one.service.d" / "b.conf", "")
    other = machine.write(machine.etc / "synapse-worker@two.service.d" / "c.conf", "")
    found = drop_ins("synapse-worker@one.service", [], (str(machine.etc),))
    assert found == [template, own]
    assert other not in found


def test_the_last_valid_limit_counts(machine: Machine) -> None:
    machine.drop_in("10.conf", "[Service]\nLimitNOFILE=100\nLimitNOFILE=200:300\n")
    machine.drop_in("20.conf", "[Service]\nLimitNOFILE=many\n[Unit]\nLimitNOFILE=5\n")
    found = read(machine).limit_line()
    assert found is not None
    assert (os.path.basename(found[0].path), found[0].number, found[1]) == ("10.conf", 3, 300)
    # It does not reset the limit.
    machine.drop_in("30.conf", "[Service]\nLimitNOFILE=\n")
    assert read(machine).limit_line() == found


def test_what_systemd_has_not_read(machine: Machine) -> None:
    path = machine.drop_in("10.conf", "")
    assert read(machine).is_read
    os.unlink(path)
    assert not read(machine).is_read
    machine.drop_in("10.conf", "")
    machine.drop_in("20.conf", "", loaded=False)
    assert not read(machine).is_read
    machine.drop_in("20.conf", "")
    assert read(machine).is_read
    machine.shown["NeedDaemonReload"] = "yes"
    assert not read(machine).is_read


def test_systemd_fails(machine: Machine) -> None:
    with pytest.raises(SynapseError, match=r"^systemctl show matrix-synapse\.service failed: No bus\.$"):
        read_unit_now(UNIT, lambda *_: Completed(1, "", "x\nNo bus.\n"), 5, machine.host.systemd)


@pytest.mark.parametrize(
    ("command", "starts"),
    [
        ("/bin/python -c /e/h.yaml -D", True),
        ("/bin/python --config-path=/e/h.yaml", True),
        ("/bin/python '-c=/e/h.yaml'", True),
        ('/bin/python "--config-path" "/e/h.yaml"', True),
        ("/bin/python -c /e/h.yaml.old", False),
        ("/bin/python -c /other/e/h.yaml", False),
        ("/bin/python -c /e/hayaml", False),
        ("/bin/python -c ${CONFIGURATION}", False),
    ],
)
def test_whether_a_unit_starts_with_a_path(machine: Machine, command: str, starts: bool) -> None:
    machine.drop_in("10.conf", f"[Service]\nExecStart={command}\n")
    assert read(machine).starts_with("/e/h.yaml") == starts
    # An empty value removes the command before.
    machine.drop_in("20.conf", "[Service]\nExecStart=\nExecStart=/bin/true /a/\n")
    assert not read(machine).starts_with("/e/h.yaml")
    assert read(machine).starts_with("/a")
    assert read(machine).starts_with("/a//")
    assert not read(machine).starts_with("/")
