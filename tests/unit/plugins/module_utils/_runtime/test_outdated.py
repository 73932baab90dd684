# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.outdated import (
    Start,
    changed_for_reload,
    outdated_by,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Snapshot
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.outdated_machine import (
    CACHES,
    CHANGES,
    DROP_IN,
    FOLDER,
    MAIN,
    UNIT_FOLDER,
    VARIABLES,
    YEAR,
    Machine,
)

each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@pytest.mark.parametrize("noting", [False, True])
def test_a_process_is_younger_than_its_files(noting: bool) -> None:
    host = Machine()
    host.restart(noting)
    assert host.found() == []


@pytest.mark.parametrize("noting", [False, True])
@pytest.mark.parametrize("path", [MAIN, DROP_IN, VARIABLES])
@each_change
def test_a_restart_that_was_lost(change: t.Callable[[Machine, str], None], path: str, noting: bool) -> None:
    host = Machine()
    host.restart(noting)
    change(host, path)
    assert host.outdated() == [path]
    host.restart()
    assert host.outdated() == []


def test_a_finding() -> None:
    host = Machine()
    host.started, host.unit_started = 5000.0, 1_700_005_001.0
    host.boottime = 5090.0
    host.write(MAIN)
    assert host.found()[0] == {
        "path": MAIN,
        "kind": "configuration",
        "reason": f"{MAIN} was changed at 2023-11-14T23:38:20Z, after the process was started at 2023-11-14T23:36:40Z.",
    }


@each_change
@pytest.mark.parametrize("seconds", [-YEAR, -3600.0, 3600.0, YEAR])
@pytest.mark.parametrize("systemd", [False, True])
def test_a_lost_restart_and_a_clock_that_is_set_before_the_check(
    systemd: bool, seconds: float, change: t.Callable[[Machine, str], None]
) -> None:
    host = Machine()
    host.restart()
    change(host, MAIN)
    host.set_clock(seconds)
    assert host.outdated(systemd=systemd) == [MAIN]


@pytest.mark.parametrize("seconds", [-YEAR, -3600.0, 3600.0, YEAR])
def test_without_a_record_systemd_knows_what_the_clock_showed(seconds: float) -> None:
    host = Machine()
    host.write(MAIN)
    host.set_clock(seconds)
    assert MAIN in host.outdated()


@pytest.mark.parametrize("seconds", [-YEAR, -3600.0, 3600.0, YEAR])
@pytest.mark.parametrize("systemd", [False, True])
def test_with_a_record_no_setting_of_the_clock_makes_a_fresh_process_old(systemd: bool, seconds: float) -> None:
    host = Machine()
    host.write(MAIN)
    host.set_clock(seconds)
    host.restart()
    assert host.outdated(systemd=systemd) == []
    host.set_clock(seconds)
    assert host.outdated(systemd=systemd) == []
    host.set_clock(-2 * seconds)
    assert host.outdated(systemd=systemd) == []


def test_a_clock_that_is_set_back_needs_one_restart_without_a_record() -> None:
    host = Machine()
    host.write(MAIN)
    host.set_clock(-3600)
    host.restart(noting=False)
    assert MAIN in host.outdated()
    host.restart()
    assert host.outdated() == []


def test_a_clock_that_is_set_between_the_change_and_the_start() -> None:
    host = Machine()
    host.write(MAIN)
    host.set_clock(3600)
    host.restart(noting=False)
    assert host.outdated() == []


def test_a_record_before_a_restart_that_never_happened() -> None:
    host = Machine()
    host.write(MAIN)
    host.note()
    assert host.outdated() == [MAIN]


def test_a_time_in_the_future_counts_until_there_is_a_record() -> None:
    host = Machine()
    host.write(MAIN, content_time=host.wall + YEAR)
    host.restart(noting=False)
    assert [(item["path"], "a time in the future" in item["reason"]) for item in host.found()] == [(MAIN, True)]
    host.restart()
    assert host.found() == []
    host.reboot()
    assert host.found() == []


@pytest.mark.parametrize("noting", [False, True])
def test_after_a_boot(noting: bool) -> None:
    host = Machine()
    host.write(MAIN)
    if noting:
        host.note()
    host.reboot()
    assert host.outdated() == []
    host.write(MAIN)
    assert host.outdated() == [MAIN]


def test_a_host_without_a_clock_of_its_own_boots_in_the_past() -> None:
    host = Machine()
    host.restart()
    host.set_clock(-40 * YEAR)
    host.reboot()
    host.set_clock(40 * YEAR)
    assert host.outdated() == []
    host.write(DROP_IN)
    assert host.outdated() == [DROP_IN]


def test_a_record_is_ignored_if_the_boot_id_is_unknown() -> None:
    host = Machine()
    host.restart()
    host.set_clock(-3600)
    now = host.snapshot()
    unknown = Snapshot(now.clock._replace(boot_id=None), now.places)
    start = Start(host.started, host.inputs())
    assert outdated_by(start, now, host.record) == []
    assert MAIN in [item["path"] for item in outdated_by(start, unknown, host.record)]


@pytest.mark.parametrize("noting", [False, True])
def test_a_file_that_was_removed(noting: bool) -> None:
    host = Machine()
    host.restart(noting)
    host.remove(MAIN)
    assert host.outdated() == [MAIN]
    host.restart()
    assert host.outdated() == []


def test_an_optional_file() -> None:
    host = Machine()
    host.remove(VARIABLES)
    host.restart()
    assert host.outdated() == []
    host.write(VARIABLES)
    assert host.outdated() == [VARIABLES]
    host.restart()
    host.remove(VARIABLES)
    assert host.outdated() == [VARIABLES]


@pytest.mark.parametrize(("noting", "named"), [(False, FOLDER), (True, DROP_IN)])
def test_a_drop_in_that_was_removed(noting: bool, named: str) -> None:
    host = Machine()
    host.restart(noting)
    host.remove(DROP_IN)
    assert host.outdated() == [named]
    host.restart()
    assert host.outdated() == []


@pytest.mark.parametrize("noting", [False, True])
def test_a_drop_in_that_is_new(noting: bool) -> None:
    host = Machine()
    host.restart(noting)
    host.write(f"{FOLDER}/99-new.yaml")
    assert host.outdated() == [f"{FOLDER}/99-new.yaml"]
    host.restart()
    assert host.outdated() == []


def test_a_drop_in_of_the_unit_that_is_created_and_removed_with_its_directory() -> None:
    host = Machine()
    host.restart()
    host.write(f"{UNIT_FOLDER}/limits.conf")
    assert host.outdated() == [f"{UNIT_FOLDER}/limits.conf"]
    host.restart()
    assert host.outdated() == []
    host.remove(f"{UNIT_FOLDER}/limits.conf")
    host.remove_folder(UNIT_FOLDER)
    assert host.outdated() == [UNIT_FOLDER]
    host.restart()
    assert host.outdated() == []


def test_a_file_of_an_editor_does_not_count_after_a_restart_by_the_roles() -> None:
    host = Machine()
    host.restart()
    host.wait()
    host.touch_folder(FOLDER)
    assert host.outdated() == []


def test_without_one_it_counts_once() -> None:
    host = Machine()
    host.wait()
    host.touch_folder(FOLDER)
    assert host.outdated() == [FOLDER]
    host.restart()
    assert host.outdated() == []


def test_a_drop_in_that_was_created_and_removed_between_restarts_by_hand() -> None:
    host = Machine()
    host.restart()
    host.wait(3600)
    host.write(f"{FOLDER}/99-try.yaml")
    host.restart(noting=False)
    host.remove(f"{FOLDER}/99-try.yaml")
    # The process still uses it, and only the time of the directory shows it.
    assert host.outdated() == [FOLDER]


def test_a_file_that_was_moved_together_with_its_directory() -> None:
    host = Machine()
    host.restart()
    host.move_here(MAIN)
    assert [item["reason"] for item in host.found()] == [
        f"{MAIN} is different from its state before the last restart, although its times are older."
    ]
    host.restart()
    assert host.outdated() == []


def test_a_file_that_cannot_be_read_is_left_out() -> None:
    host = Machine()
    host.write(MAIN)
    host.write_in_place(CACHES)
    now, start = host.snapshot(), Start(host.started, host.inputs())
    seen = Snapshot(now.clock, {path: place for path, place in now.places.items() if path not in (MAIN, CACHES)})
    assert outdated_by(start, seen, None) == []
    assert changed_for_reload(start, seen, None) == []


def test_a_file_that_was_written_at_the_time_of_the_start_was_read() -> None:
    host = Machine()
    host.restart(noting=False)
    host.change_at(MAIN, host.started + 0.009)
    assert host.outdated() == []


@pytest.mark.parametrize("noting", [False, True])
def test_factors_of_caches_do_not_count(noting: bool) -> None:
    host = Machine()
    host.restart(noting)
    host.write(CACHES)
    assert host.outdated() == []
    host.reboot()
    host.write(CACHES)
    assert host.outdated() == []


def test_factors_of_caches_count_if_the_file_contained_more_before() -> None:
    host = Machine()
    host.caches_only = set()
    host.restart()
    host.write(CACHES)
    host.caches_only = {CACHES}
    assert host.outdated() == [CACHES]
    assert host.for_reload() == []


def test_factors_of_caches_count_if_the_file_contains_more_now() -> None:
    host = Machine()
    host.restart()
    host.write(CACHES)
    host.caches_only = set()
    assert host.outdated() == [CACHES]
    assert host.for_reload() == []


@pytest.mark.parametrize("noting", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_factors_of_caches_that_were_changed(change: t.Callable[[Machine, str], None], noting: bool) -> None:
    host = Machine()
    host.restart(noting)
    host.write(MAIN)
    assert host.for_reload() == []
    change(host, CACHES)
    assert host.outdated() == [MAIN]
    assert host.for_reload() == [CACHES]
    host.restart(noting)
    assert host.for_reload() == []
    host.reboot()
    assert host.for_reload() == []


@pytest.mark.parametrize("noting", [False, True])
def test_factors_of_caches_in_a_new_file(noting: bool) -> None:
    host = Machine()
    host.remove(CACHES)
    host.restart(noting)
    host.write(CACHES)
    assert host.outdated() == []
    assert host.for_reload() == [CACHES]


@pytest.mark.parametrize(("noting", "named"), [(False, FOLDER), (True, CACHES)])
def test_factors_of_caches_that_were_removed(noting: bool, named: str) -> None:
    host = Machine()
    host.restart(noting)
    host.remove(CACHES)
    assert host.outdated() == [named]
    assert host.for_reload() == []


@pytest.mark.parametrize("noting", [False, True])
def test_factors_of_caches_that_are_removed_while_the_files_are_looked_at(noting: bool) -> None:
    host = Machine()
    host.restart(noting)
    start = Start(host.started, host.inputs())
    host.remove(CACHES)
    assert changed_for_reload(start, host.snapshot(), host.record) == []


@pytest.mark.parametrize("seconds", [-YEAR, -3600.0, 3600.0, YEAR])
@pytest.mark.parametrize("systemd", [False, True])
def test_factors_of_caches_and_a_clock_that_is_set(systemd: bool, seconds: float) -> None:
    host = Machine()
    host.write(CACHES)
    host.set_clock(seconds)
    host.restart()
    assert host.for_reload(systemd=systemd) == []
    host.write(CACHES)
    host.set_clock(seconds)
    assert host.for_reload(systemd=systemd) == [CACHES]


def test_factors_of_caches_with_times_that_show_nothing() -> None:
    host = Machine()
    host.restart()
    host.move_here(CACHES)
    assert host.for_reload() == [CACHES]
    host.write(CACHES, content_time=host.wall + YEAR)
    host.restart(noting=False)
    assert host.for_reload() == [CACHES]
    host.restart()
    assert host.for_reload() == []


def test_the_factors_do_not_hide_another_change_in_their_directory() -> None:
    host = Machine()
    host.restart()
    host.write(CACHES)
    host.remove(DROP_IN)
    assert host.outdated() == [DROP_IN]
    assert host.for_reload() == [CACHES]
