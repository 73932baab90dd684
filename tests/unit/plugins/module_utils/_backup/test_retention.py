# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import DeclaredBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.destination import Archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.encryption import Recipients
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.retention import (
    Retention,
    find_fresh,
    obsolete,
)

_DAY = 86400
_NOW = 1_769_860_800_000
_PLAIN = {"media": "include", "encryption": "", "recipients": [], "extra_paths": ["/a"], "verified": False}


def _archive(days: float, **changed: t.Any) -> Archive:
    created = _NOW - int(days * _DAY * 1000)
    return Archive(f"{days}", 1, {**_PLAIN, "created_ts": created, **changed})


_ARCHIVES = [_archive(0.5), _archive(1.5), _archive(2.5), _archive(40)]


@pytest.mark.parametrize(
    ("last", "within", "one_more", "names"),
    [
        (None, None, True, []),
        (1, None, False, ["1.5", "2.5", "40"]),
        (1, None, True, ["0.5", "1.5", "2.5", "40"]),
        (2, None, True, ["1.5", "2.5", "40"]),
        (9, None, True, []),
        (None, 2 * _DAY, False, ["2.5", "40"]),
        (None, 2 * _DAY, True, ["2.5", "40"]),
        (None, 1, False, ["1.5", "2.5", "40"]),
        (None, 0, True, ["0.5", "1.5", "2.5", "40"]),
        (3, _DAY, False, ["40"]),
        (1, 2 * _DAY, False, ["2.5", "40"]),
    ],
)
def test_what_is_not_kept(last: int | None, within: int | None, one_more: bool, names: list[str]) -> None:
    found = obsolete(_ARCHIVES, Retention(last, within), _NOW, None if one_more else _ARCHIVES[0])
    assert [archive.name for archive in found] == names


def test_the_newest_archive_is_kept_whatever_its_age() -> None:
    assert obsolete([_archive(400)], Retention(within=1), _NOW, _archive(400)) == []


def test_an_archive_that_is_new_enough_is_kept_if_the_clock_was_wrong() -> None:
    archives = [_archive(-10), *_ARCHIVES]
    found = obsolete(archives, Retention(1), _NOW, _ARCHIVES[0])
    assert [archive.name for archive in found] == ["1.5", "2.5", "40"]


@pytest.mark.parametrize(
    ("declared", "changed", "is_fresh"),
    [
        ({}, {}, True),
        ({"media": "location"}, {}, True),
        ({}, {"media": "location"}, False),
        ({"extra_paths": ("/a",)}, {}, True),
        ({"extra_paths": ("/a", "/b")}, {}, False),
        ({"verify": True}, {}, False),
        ({"verify": True}, {"verified": True}, True),
        ({}, {"encryption": "age", "recipients": ["age1"]}, False),
    ],
)
def test_an_archive_counts_if_it_contains_what_is_asked_for(
    declared: dict[str, t.Any], changed: dict[str, t.Any], is_fresh: bool
) -> None:
    wanted = dataclasses.replace(DeclaredBackup("/backups"), **declared)
    archive = _archive(0.1, **changed)
    assert find_fresh([archive], wanted, Recipients(), _DAY, _NOW) == (archive if is_fresh else None)


def test_an_archive_to_the_same_keys() -> None:
    archive = _archive(0.1, encryption="age", recipients=["age1", "age2"])
    keys = Recipients("age", "/usr/bin/age", ("age2", "age1"), ("age2", "age1"))
    assert find_fresh([archive], DeclaredBackup("/backups"), keys, _DAY, _NOW) == archive
    assert find_fresh([archive], DeclaredBackup("/backups"), keys._replace(shown=("age1",)), _DAY, _NOW) is None


@pytest.mark.parametrize(("days", "is_fresh"), [(0, True), (0.999, True), (1, False), (2, False), (-0.1, False)])
def test_the_age_of_an_archive(days: float, is_fresh: bool) -> None:
    found = find_fresh([_archive(days)], DeclaredBackup("/backups"), Recipients(), _DAY, _NOW)
    assert (found is not None) == is_fresh


def test_without_an_age_no_archive_is_new_enough() -> None:
    assert find_fresh([_archive(0)], DeclaredBackup("/backups"), Recipients(), 0, _NOW) is None
