# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import growth
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.growth import (
    State,
    growth_of,
    keep_state,
    read_state,
    state_text,
    with_growth,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown

BEFORE = Clock("boot", 1000.0, 1_700_000_000.0)
# Some seconds after the figures were read.
NOW = Clock("boot", 4650.5, 1_700_003_650.5)


def process(**changes: t.Any) -> dict[str, t.Any]:
    described: dict[str, t.Any] = {
        "pid": 7,
        "started_ts": 1_699_999_500_000,
        "uptime_seconds": 4100,
        "name": "main",
        "environment": {"LD_PRELOAD": "/secret"},
        "open_files": 100,
        "open_files_by_kind": {"client": 60, "federation": 30, "other": 10},
        "memory": {"resident_bytes": 5000, "proportional_bytes": 4000},
    }
    described.update(changes)
    return {name: value for name, value in described.items() if value is not None}


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "state.json"


def written(path: pathlib.Path, *processes: dict[str, t.Any], clock: Clock = BEFORE) -> State:
    path.write_text(state_text([{**each, "uptime_seconds": 500} for each in processes], clock))
    path.chmod(0o600)
    state = read_state(str(path))
    assert isinstance(state, State)
    return state


def test_growth_since_the_last_run(path: pathlib.Path) -> None:
    grown = process(
        open_files=250,
        open_files_by_kind={"client": 40, "federation": 200, "other": 10},
        memory={"resident_bytes": 9000},
    )
    assert growth_of(grown, written(path, process()), NOW) == {
        "since": "2023-11-14T22:13:20Z",
        "since_ts": 1_700_000_000_000,
        "seconds": 3600,
        "open_files": 150,
        "open_files_by_kind": {"client": -20, "federation": 170, "other": 0},
        "resident_bytes": 4000,
    }


@pytest.mark.parametrize("missing", ["open_files", "open_files_by_kind", "memory"])
def test_figures_that_are_unknown_in_one_of_the_two_are_left_out(path: pathlib.Path, missing: str) -> None:
    absent = "resident_bytes" if missing == "memory" else missing
    for before, after in ((process(), process(**{missing: None})), (process(**{missing: None}), process())):
        growth = growth_of(after, written(path, before), NOW)
        assert growth is not None
        expected = {"since", "since_ts", "seconds", "open_files", "open_files_by_kind", "resident_bytes"} - {absent}
        assert set(growth) == expected


def test_without_figures_there_is_no_growth(path: pathlib.Path) -> None:
    bare = process(open_files=None, open_files_by_kind=None, memory=None)
    assert growth_of(process(), written(path, bare), NOW) is None


def test_kinds_that_only_one_of_the_two_has(path: pathlib.Path) -> None:
    state = written(path, process(open_files_by_kind={"client": 1, "old": 5}))
    growth = growth_of(process(open_files_by_kind={"client": 2, "new": 5}), state, NOW)
    assert growth is not None
    assert growth["open_files_by_kind"] == {"client": 1}
    growth = growth_of(process(open_files_by_kind={"new": 5}), state, NOW)
    assert growth is not None
    assert "open_files_by_kind" not in growth


def test_another_process_is_not_compared(path: pathlib.Path) -> None:
    state = written(path, process())
    assert growth_of(process(pid=8), state, NOW) is None
    assert growth_of(process(started_ts=1_699_999_503_000), state, NOW) is None
    assert growth_of(process(started_ts=1_699_999_497_000), state, NOW) is None
    assert growth_of(process(started_ts=1_699_999_501_500), state, NOW) is not None


def test_another_boot_is_not_compared(path: pathlib.Path) -> None:
    state = written(path, process())
    assert growth_of(process(), state, NOW._replace(boot_id="other")) is None
    assert growth_of(process(), state, NOW._replace(boot_id=None)) is None
    assert growth_of(process(), written(path, process(), clock=BEFORE._replace(boot_id=None)), NOW) is None
    unknown = NOW._replace(boot_id=None)
    assert growth_of(process(), written(path, process(), clock=BEFORE._replace(boot_id=None)), unknown) is None


def test_a_wall_clock_that_was_set_in_between(path: pathlib.Path) -> None:
    # The start of a process is known on the clock of the boot, and shown on the wall clock.
    later = NOW._replace(wall=NOW.wall + 86_400)
    growth = growth_of(process(started_ts=1_699_999_500_000 + 86_400_000), written(path, process()), later)
    assert growth is not None
    assert growth["seconds"] == 3600
    assert growth["since_ts"] == 1_700_086_400_000


def test_the_time_counts_at_which_the_figures_were_read(path: pathlib.Path) -> None:
    # The earlier run waited for metrics after it had read the figures, this one did not.
    state = written(path, process(), clock=Clock("boot", 1060.0, 1_700_000_060.0))
    growth = growth_of(process(uptime_seconds=561), state, Clock("boot", 1061.0, 1_700_000_061.0))
    assert growth is not None
    assert (growth["seconds"], growth["since_ts"]) == (61, 1_700_000_000_000)


@pytest.mark.parametrize("uptime", [500, 400])
def test_without_time_in_between_there_is_no_growth(path: pathlib.Path, uptime: int) -> None:
    assert growth_of(process(uptime_seconds=uptime), written(path, process()), BEFORE) is None


def test_growth_is_added_to_each_process_that_was_there(path: pathlib.Path) -> None:
    written(path, process(open_files=90))
    found = {"processes": [process(), process(pid=8)], "unknown": [], "host": {}}
    grown = with_growth(found, str(path), NOW)
    assert [each.get("growth", {}).get("open_files") for each in grown["processes"]] == [10, None]
    assert [{**each, "growth": None} for each in grown["processes"]] == [
        {**each, "growth": None} for each in found["processes"]
    ]
    assert "growth" not in grown["processes"][1]
    assert (grown["unknown"], grown["host"]) == ([], {})


def test_growth_without_a_boot_id(path: pathlib.Path) -> None:
    unknown = NOW._replace(boot_id=None)
    found = {"processes": [process()], "unknown": []}
    # In the first run there is nothing to compare.
    assert with_growth(found, str(path), unknown) == found
    written(path, process())
    bad = with_growth(found, str(path), unknown)
    assert bad["processes"] == found["processes"]
    assert [item["name"] for item in bad["unknown"]] == ["growth"]
    assert bad["unknown"][0]["fix"] == "Allow the task to read /proc/sys/kernel/random/boot_id."


def test_growth_without_a_file_or_with_a_bad_one(path: pathlib.Path) -> None:
    found = {"processes": [process()], "unknown": [{"name": "server"}]}
    assert with_growth(found, str(path), NOW) == found
    path.write_text("{")
    path.chmod(0o600)
    bad = with_growth(found, str(path), NOW)
    assert bad["processes"] == found["processes"]
    assert [item["name"] for item in bad["unknown"]] == ["server", "growth"]
    assert bad["unknown"][1].keys() == {"name", "reason", "fix"}


def test_the_text_contains_only_the_figures_of_the_given_processes() -> None:
    text = state_text([process()], BEFORE)
    assert json.loads(text) == {
        "boot_id": "boot",
        "processes": {
            "7": {
                "started": 500.0,
                "uptime_seconds": 4100,
                "open_files": 100,
                "open_files_by_kind": {"client": 60, "federation": 30, "other": 10},
                "resident_bytes": 5000,
            }
        },
    }
    assert "secret" not in text
    # The newline at the end is added by the caller.
    assert text.endswith("}")


def test_the_text_is_stable() -> None:
    one, other = process(), process(pid=12)
    kinds = dict(reversed(list(one["open_files_by_kind"].items())))
    backwards = {**dict(reversed(list(one.items()))), "open_files_by_kind": kinds}
    assert state_text([one, other], BEFORE) == state_text([other, backwards], BEFORE)


def test_no_processes(path: pathlib.Path) -> None:
    assert written(path).processes == {}


def test_a_file_that_does_not_exist(path: pathlib.Path) -> None:
    assert read_state(str(path)) is None


def reason(path: pathlib.Path) -> str:
    found = read_state(str(path))
    assert isinstance(found, Unknown)
    assert found.name == "growth"
    assert found.fix == "Set state_path to another file, or remove this one. It was not changed."
    return found.reason


def test_a_file_that_other_users_can_change_is_ignored(path: pathlib.Path) -> None:
    written(path, process())
    path.chmod(0o606)
    assert reason(path) == f"{path} can be written by users other than root and this user, so it was ignored."


def test_a_link_is_not_followed(path: pathlib.Path) -> None:
    written(path, process())
    link = path.with_name("link")
    link.symlink_to(path)
    assert reason(link) == f"{link} is a link, so it was ignored."


RECORD = '{"boot_id": "a", "processes": %s}'
OTHERS = '"started": 1, "uptime_seconds": 1'


def test_the_records_below_are_bad_for_one_reason_only(path: pathlib.Path) -> None:
    path.write_text(RECORD % f'{{"7": {{{OTHERS}, "open_files": 1, "open_files_by_kind": {{"a": 1}}}}}}')
    path.chmod(0o600)
    assert isinstance(read_state(str(path)), State)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"processes"',
        RECORD % "5",
        RECORD % f'{{"x": {{{OTHERS}}}}}',
        RECORD % '{"7": 5}',
        RECORD % '{"7": []}',
        RECORD % '{"7": {}}',
        RECORD % '{"7": {"started": 1}}',
        RECORD % '{"7": {"uptime_seconds": 1}}',
        RECORD % '{"7": {"started": "1", "uptime_seconds": 1}}',
        RECORD % '{"7": {"started": true, "uptime_seconds": 1}}',
        RECORD % '{"7": {"started": NaN, "uptime_seconds": 1}}',
        RECORD % '{"7": {"started": Infinity, "uptime_seconds": 1}}',
        RECORD % '{"7": {"started": 1, "uptime_seconds": 1.5}}',
        RECORD % '{"7": {"started": 1, "uptime_seconds": -1}}',
        RECORD % f'{{"7": {{{OTHERS}, "open_files": -1}}}}',
        RECORD % f'{{"7": {{{OTHERS}, "open_files": 1.5}}}}',
        RECORD % f'{{"7": {{{OTHERS}, "open_files": true}}}}',
        RECORD % f'{{"7": {{{OTHERS}, "open_files": 99999999999999999999}}}}',
        RECORD % f'{{"7": {{{OTHERS}, "resident_bytes": "5"}}}}',
        RECORD % f'{{"7": {{{OTHERS}, "open_files_by_kind": 5}}}}',
        RECORD % f'{{"7": {{{OTHERS}, "open_files_by_kind": {{"a": null}}}}}}',
        '{"boot_id": 5, "processes": {}}',
        '{"boot_id": "a"}',
    ],
)
def test_a_file_without_figures(path: pathlib.Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    assert reason(path) == f"{path} does not contain figures of an earlier run, so it was ignored."


def test_a_time_after_all_dates_is_left_out(path: pathlib.Path) -> None:
    path.write_text(
        '{"boot_id": "boot", "processes": {"7": {"started": 500, "uptime_seconds": 999999999999, "open_files": 1}}}'
    )
    path.chmod(0o600)
    state = read_state(str(path))
    assert isinstance(state, State)
    growth = growth_of(process(uptime_seconds=999_999_999_999 + 1), state, NOW)
    assert growth is not None
    assert "since" not in growth


def test_the_figures_are_kept_for_the_next_run(path: pathlib.Path) -> None:
    keep_state(str(path), [process()], BEFORE)
    assert path.stat().st_mode & 0o777 == 0o600
    keep_state(str(path), [process(pid=8)], NOW)
    state = read_state(str(path))
    assert isinstance(state, State)
    assert list(state.processes) == [8]


@pytest.mark.parametrize("kind", ["configuration", "open to others", "link", "pipe", "device"])
def test_something_else_is_never_replaced(path: pathlib.Path, kind: str) -> None:
    target = path.with_name("target")
    if kind == "configuration":
        path.write_text("server_name: example.org\n")
    elif kind == "open to others":
        written(path, process())
        path.chmod(0o666)
    elif kind == "link":
        written(target, process())
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    place = str(path) if kind != "device" else "/dev/zero"
    before = os.lstat(place)
    keep_state(place, [process(pid=8)], NOW)
    after = os.lstat(place)
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)


def test_two_runs_keep_their_figures_at_the_same_moment(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disturbed(name: str, text: str) -> None:
        raise SynapseError(f"Another process replaced {name} ({len(text)}).")

    monkeypatch.setattr(growth, "write_private", disturbed)
    with pytest.raises(SynapseError, match="Another process replaced"):
        keep_state(str(path), [process()], NOW)
    written(path, process())
    keep_state(str(path), [process(pid=8)], NOW)
