# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal is read with a program in place of journalctl, which prints what a test has written."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import journal
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal import Tools, full_unit_name, read_journal
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_entry import FIELDS, Entry

UNIT = "matrix-synapse.service"
HINT = """Hint: You are currently not seeing messages from other users and the system.
      Users in groups 'adm', 'systemd-journal' can see all messages.
      Pass -q to turn off this notice.
"""
PROGRAM = """#!/bin/sh
cd {directory}
printf '%s\\n' "$@" . >> asked
case "$*" in *--output=json*--lines=1*) kind=probe ;; *--lines=1*) kind=plain ;; *) kind=main ;; esac
cat $kind.errors >&2
cat $kind.output
exit "$(cat $kind.status)"
"""


class Journal:
    """A journalctl that answers what a test sets, once for all entries and once for the last one (probe)."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.program = directory / "journalctl"
        self.program.write_text(PROGRAM.format(directory=directory))
        self.program.chmod(0o755)
        self.units: dict[str, str] = {}
        self.answer("main")
        self.answer("probe")
        self.answer("plain")

    def answer(self, kind: str, output: str = "", status: int = 0, errors: str = "") -> None:
        for name, text in (("output", output), ("status", str(status)), ("errors", errors)):
            (self.directory / f"{kind}.{name}").write_text(text)

    def tools(self) -> Tools:
        return Tools(str(self.program), self._run)

    def read(self, *units: str, since: float | None = None, until: float | None = None) -> list[Entry]:
        return list(read_journal(units or [UNIT], since, until, tools=self.tools()))

    def asked(self) -> list[list[str]]:
        """Return the arguments of each call."""
        calls = (self.directory / "asked").read_text().split(".\n")
        return [call.splitlines() for call in calls if call]

    def _run(self, arguments: t.Sequence[str], timeout: float) -> Completed:
        if "systemctl" in arguments:
            return Completed(0, self.units.get(arguments[-1], "Id=x\nLoadState=not-found\n"), "")
        return run_command(arguments, timeout)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Journal:
    return Journal(tmp_path)


def line(message: str = "text", unit: str = UNIT, **fields: t.Any) -> str:
    entry = {"__REALTIME_TIMESTAMP": "1700000000250000", "_PID": "12", "_SYSTEMD_UNIT": unit, "MESSAGE": message}
    return json.dumps({**entry, **fields}) + "\n"


def test_the_entries_of_a_unit(host: Journal) -> None:
    host.answer("main", line("one") + line("two"))
    assert [entry.message for entry in host.read()] == [b"one", b"two"]
    fields = f"--output-fields={','.join(FIELDS)}"
    assert host.asked() == [[f"--unit={UNIT}", "--output=json", "--no-pager", "--all", fields]]


def test_several_units_and_a_window(host: Journal) -> None:
    host.answer("main", line(unit="a.service") + line(unit="b.service"))
    assert len(host.read("a", "b.service", "a.service", since=1_700_000_000.5, until=1_800_000_000)) == 2
    (asked,) = host.asked()
    assert asked[:2] == ["--unit=a.service", "--unit=b.service"]
    assert asked[-2:] == ["--since=@1700000000.500000", "--until=@1800000000.000000"]


def test_a_time_before_1970(host: Journal) -> None:
    host.answer("main", line())
    host.read(since=-5)
    assert host.asked()[0][-1] == "--since=@0.000000"


def test_divided_lines_are_joined_to_the_end(host: Journal) -> None:
    host.answer("main", line("a", _LINE_BREAK="nul") + line("b", _LINE_BREAK="line-max"))
    assert [entry.message for entry in host.read()] == [b"a\0b"]


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("matrix-synapse", "matrix-synapse.service"),
        ("matrix-synapse.service", "matrix-synapse.service"),
        ("synapse.main", "synapse.main.service"),
        ("worker@1", "worker@1.service"),
        ("a\\x2db", "a\\x2db.service"),
        ("synapse.target", "synapse.target"),
        (".service", ".service.service"),
    ],
)
def test_the_full_name_of_a_unit(name: str, full: str) -> None:
    assert full_unit_name(name) == full


@pytest.mark.parametrize("name", ["", "-x", "--file=/etc/shadow", "a b", "a*", "a/b", "a;b", "ä", "a\n", "a" * 300])
def test_what_is_not_the_name_of_a_unit(name: str, host: Journal) -> None:
    # At once, and not when the first entry is read.
    with pytest.raises(InvalidInput, match="^unit contains '.*, which is not the name of a systemd unit"):
        read_journal([UNIT, name], tools=host.tools())


def test_no_unit(host: Journal) -> None:
    with pytest.raises(InvalidInput, match="^unit is empty"):
        read_journal([], tools=host.tools())


def test_the_pattern_of_a_template(host: Journal) -> None:
    host.answer("main", line(unit="my\\x2dworker@1.service"))
    assert [entry.unit for entry in host.read("my\\x2dworker@")] == ["my\\x2dworker@1.service"]
    assert host.asked()[0][0] == "--unit=my\\\\x2dworker@*.service"
    # Another unit has no entry then.
    host.answer("main", line(unit="worker@1.service"))
    with pytest.raises(SynapseError, match="no entry of unit orker@.service"):
        host.read("orker@")


def test_nothing_in_the_window(host: Journal) -> None:
    host.answer("probe", line())
    assert host.read() == []
    assert host.asked()[1] == [f"--unit={UNIT}", "--output=json", "--no-pager", "--lines=1"]


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ("Id=a.service\nLoadState=not-found\n", "there is no such unit on this host; correct unit, or set path"),
        (
            "Id=matrix-synapse.service\nLoadState=loaded\n",
            "it is another name of matrix-synapse.service; set unit to that",
        ),
        ("Id=a.service\nLoadState=loaded\n", "it may log to a file, to a namespace of its own"),
        ("\n\n\n", "correct unit, or set path"),
    ],
)
def test_a_unit_without_entries(shown: str, reason: str, host: Journal) -> None:
    host.units["a.service"] = shown
    # That another unit has entries does not hide it.
    host.answer("main", line())
    with pytest.raises(SynapseError) as caught:
        host.read(UNIT, "a")
    assert str(caught.value).startswith(f"The journal has no entry of unit a.service: {reason}")


def test_a_template_without_entries(host: Journal) -> None:
    for kind in ("main", "probe"):
        host.answer(kind, status=1, errors="Failed to add filter for units: No data available\n")
    with pytest.raises(SynapseError, match="no entry of unit worker@.service: none of its instances has ever written"):
        host.read("worker@.service")


@pytest.mark.parametrize(
    ("status", "errors"),
    [
        (0, HINT),
        (1, f"{HINT}No journal files were opened due to insufficient permissions.\n"),
        (1, "Failed to open journal: Permission denied\n"),
    ],
)
def test_a_user_who_may_not_read_the_journal(status: int, errors: str, host: Journal) -> None:
    host.answer("main", status=status, errors=errors)
    host.answer("probe", status=status, errors=errors)
    with pytest.raises(SynapseError, match="^This user is not allowed to read the journal.*: run the task with become"):
        host.read()


def test_a_user_to_whom_journalctl_says_so_only_in_plain_text(host: Journal) -> None:
    host.answer("plain", output="-- No entries --\n", errors=HINT)
    with pytest.raises(SynapseError, match="^This user is not allowed to read the journal of matrix-synapse.service"):
        host.read()
    assert host.asked()[-1] == [f"--unit={UNIT}", "--no-pager", "--lines=1"]


def test_a_user_who_may_read_these_entries(host: Journal) -> None:
    warnings: list[str] = []
    host.answer("main", line(), errors=f"{HINT}Journal file /x is truncated, ignoring file.\n")
    assert len(list(read_journal([UNIT], warn=warnings.append, tools=host.tools()))) == 1
    assert warnings == ["Journal file /x is truncated, ignoring file."]


def test_a_user_who_may_read_a_part(host: Journal) -> None:
    host.answer("main", line(), errors="Some journal files were not opened due to insufficient permissions.\n")
    with pytest.raises(SynapseError, match="not allowed to read the journal of matrix-synapse.service"):
        host.read()


def test_a_failure_that_looks_like_a_template_without_entries(host: Journal) -> None:
    host.answer("main", line(), 1, "Failed to iterate through journal: No data available\n")
    with pytest.raises(SynapseError, match="^journalctl failed with status 1"):
        host.read()


def test_a_failure_in_the_middle(host: Journal) -> None:
    host.answer("main", line("one"), 1, "Failed to iterate through journal: Bad message\n")
    entries = read_journal([UNIT], tools=host.tools())
    assert next(entries).message == b"one"
    with pytest.raises(SynapseError) as caught:
        next(entries)
    assert str(caught.value).startswith(
        "journalctl failed with status 1 (Failed to iterate through journal: Bad message)"
    )


def test_a_failure_of_the_second_command(host: Journal) -> None:
    host.answer("probe", status=1, errors="Failed to open the journal: Input/output error\n")
    with pytest.raises(SynapseError, match="^journalctl failed with status 1 .Failed to open the journal"):
        host.read()


def test_a_command_that_is_killed(host: Journal) -> None:
    host.program.write_text("#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(SynapseError, match="it was ended by signal 9"):
        host.read()


def test_no_journalctl(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SynapseError) as caught:
        list(read_journal([UNIT], tools=Tools(str(tmp_path / "journalctl"))))
    assert str(caught.value) == (
        f"{tmp_path}/journalctl cannot be run (No such file or directory): the journal needs a host with systemd. Set"
        " path to a log file instead."
    )


def test_the_command_ends_when_the_iterator_is_closed(host: Journal) -> None:
    # It would print forever.
    host.program.write_text(
        f"#!/bin/sh\necho $$ > {host.directory}/pid\nwhile :; do cat {host.directory}/main.output; done\n"
    )
    host.answer("main", line() * 1000)
    entries = t.cast(t.Generator[Entry, None, None], read_journal([UNIT], tools=host.tools()))
    next(entries)
    pid = int((host.directory / "pid").read_text())
    os.kill(pid, 0)
    entries.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_entry_that_is_too_long(host: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_LONGEST_LINE", 1024 * 1024)
    host.answer("main", line() + line("x" * 1024 * 1024))
    entries = read_journal([UNIT], tools=host.tools())
    next(entries)
    with pytest.raises(SynapseError, match="^The journal has an entry of more than 1 MiB"):
        next(entries)


def test_another_output(host: Journal) -> None:
    host.answer("main", "Nov 20 10:00:00 host python[12]: text\n")
    with pytest.raises(SynapseError, match="^journalctl printed something"):
        host.read()
