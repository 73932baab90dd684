# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.start_commands import (
    StartCommands,
    program_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import UnitNow

NO_FILES = UnitNow("u.service", None, (), True)


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("/bin/false hunter2", "/bin/false"),
        ("-/bin/false  hunter2", "-/bin/false"),
        ('"/opt/my program" hunter2', '"/opt/my program"'),
        ("'/bin/x'hunter2", "'/bin/x'"),
        ("/bin/x\thunter2", "/bin/x"),
        ('"hunter2', "(a command)"),
        ("", "(a command)"),
        ("x" * 400, "x" * 200),
    ],
)
def test_only_the_program_is_shown(command: str, program: str) -> None:
    assert program_of(command) == program


def test_which_command_may_have_failed_before() -> None:
    def shown(program: str, start: str, code: str, status: str, ignored: str = "no") -> tuple[str, str]:
        return "ExecStartPre", (
            f"{{ path={program} ; argv[]={program} hunter2 ; ignore_errors={ignored} ; start_time=[{start}] ;"
            f" stop_time=[n/a] ; pid=0 ; code={code} ; status={status} }}"
        )

    done = shown("/bin/done", "Mon", "exited", "0/SUCCESS")
    running, waiting = shown("/bin/running", "Mon", "(null)", "0/0"), shown("/bin/waiting", "n/a", "(null)", "0/0")
    ignored = shown("/bin/ignored", "n/a", "(null)", "0/0", "yes")

    def before(*commands: tuple[str, str]) -> str:
        return StartCommands(commands, lambda: NO_FILES).failed_before()

    assert before() == before(done) == before(ignored) == ""
    assert before(done, running, ignored) == "ExecStartPre=/bin/running"
    assert before(done, running, waiting) == "one of ExecStartPre=/bin/running or ExecStartPre=/bin/waiting"
    many = [shown(f"/bin/{number}", "n/a", "(null)", "0/0") for number in range(8)]
    assert before(*many).endswith("ExecStartPre=/bin/4 or 3 others")


def test_a_command_that_another_systemd_shows_in_another_way() -> None:
    odd = StartCommands([("ExecStartPre", "/bin/x hunter2")], lambda: NO_FILES)
    assert (odd.slow(), odd.failed(), odd.failed_before()) == ("", "", "")


def test_which_command_is_meant() -> None:
    def shown(stop: str, code: str, status: str) -> StartCommands:
        value = (
            "{ path=/bin/x ; argv[]=/bin/x hunter2 ; ignore_errors=no ; start_time=[Mon] ;"
            f" stop_time=[{stop}] ; pid=0 ; code={code} ; status={status} }}"
        )
        return StartCommands([("ExecStartPre", value), ("Other", value)], lambda: NO_FILES)

    running, failed = shown("n/a", "(null)", "0/0"), shown("Tue", "exited", "1/FAILURE")
    ended, done = shown("Tue", "killed", "15/TERM"), shown("Tue", "exited", "0/SUCCESS")
    assert [one.slow() for one in (running, failed, ended, done)] == ["ExecStartPre=/bin/x", ""] * 2
    assert [one.failed() for one in (running, failed, ended, done)] == ["", "ExecStartPre=/bin/x", "", ""]
