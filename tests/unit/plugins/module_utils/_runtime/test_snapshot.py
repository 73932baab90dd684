# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.clock import Clock
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.snapshot import Seen, Snapshot, look_at


def seen_at(path: pathlib.Path, suffix: str | None = None) -> Seen:
    seen = look_at(str(path), suffix=suffix)
    assert seen is not None
    return seen


def test_a_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "a"
    file.write_text("abc")
    status = file.stat()
    assert seen_at(file) == Seen(((status.st_ino, 3, status.st_mtime_ns, status.st_ctime_ns),))
    assert look_at(str(file), reloaded=True) == Seen(seen_at(file).identity, True)


def test_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    assert look_at(str(tmp_path / "missing")) is None
    assert look_at(str(tmp_path / "file" / "inside")) is None
    assert look_at(str(tmp_path / "missing"), suffix=".yaml") is None
    assert look_at(str(tmp_path / "file"), suffix=".yaml") is None


def test_an_old_modification_time_does_not_hide_a_change(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "a"
    file.touch()
    os.utime(file, (1, 1))
    assert seen_at(file).changed == file.stat().st_ctime_ns / 1e9
    os.utime(file, (4e9, 4e9))
    assert seen_at(file).changed == 4e9


def test_every_link_on_the_way_belongs_to_a_file(tmp_path: pathlib.Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "a").touch()
    (tmp_path / "current").symlink_to("one")
    (tmp_path / "link").symlink_to(f"{tmp_path}/two/../current/./a")
    before = seen_at(tmp_path / "link")
    assert [status[0] for status in before.identity] == [
        os.lstat(tmp_path / "link").st_ino,
        os.lstat(tmp_path / "current").st_ino,
        os.stat(tmp_path / "one" / "a").st_ino,
    ]
    (tmp_path / "new").symlink_to("two")
    os.replace(tmp_path / "new", tmp_path / "current")
    after = seen_at(tmp_path / "link")
    assert after != before
    assert after.changed >= os.lstat(tmp_path / "current").st_ctime_ns / 1e9
    assert after.identity[-1][0] == os.stat(tmp_path / "two" / "a").st_ino


def test_links_in_a_circle(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        look_at(str(tmp_path / "a"))
    assert caught.value.errno == errno.ELOOP


def test_a_directory_has_the_names_that_count(tmp_path: pathlib.Path) -> None:
    for name in ("b.yaml", "a.yaml", ".a.yaml.swp", "a.yaml~"):
        (tmp_path / name).touch()
    assert seen_at(tmp_path, ".yaml").names == ("a.yaml", "b.yaml")
    assert seen_at(tmp_path, ".yaml").identity[-1][0] == tmp_path.stat().st_ino


def test_a_record_contains_the_snapshot(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").touch()
    places = {
        "/a": look_at(str(tmp_path / "a.yaml"), reloaded=True),
        "/b": None,
        "/c": look_at(str(tmp_path), suffix=".yaml"),
    }
    snapshot = Snapshot(Clock("boot", 12.25, 1_700_000_000.123456), places)
    record = snapshot.as_record()
    assert Snapshot.from_record(json.loads(json.dumps(record))) == snapshot
    assert record["places"]["/b"] == {}
    assert record["places"]["/a"].keys() == {"identity", "reloaded"}


def test_an_unknown_boot_id_is_left_out_of_a_record() -> None:
    record = Snapshot(Clock(None, 1.0, 2.0), {}).as_record()
    assert record == {"boottime": 1.0, "wall": 2.0, "places": {}}
    with pytest.raises(KeyError):
        Snapshot.from_record(record)


GOOD: dict[str, t.Any] = {"boot_id": "a", "boottime": 1.0, "wall": 2.0, "places": {}}
PLACE: dict[str, t.Any] = {"identity": [[1, 2, 3, 4]], "reloaded": False}


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "text",
        {},
        {**GOOD, "boot_id": None},
        {**GOOD, "boottime": "soon"},
        {**GOOD, "wall": None},
        {**GOOD, "places": [1]},
        {**GOOD, "places": {"/a": 1}},
        {**GOOD, "places": {"/a": None}},
        {**GOOD, "places": {"/a": {"reloaded": False}}},
        {**GOOD, "places": {"/a": {"identity": [[1, 2, 3, 4]]}}},
        {**GOOD, "places": {"/a": {**PLACE, "identity": []}}},
        {**GOOD, "places": {"/a": {**PLACE, "identity": [[1, 2, 3]]}}},
        {**GOOD, "places": {"/a": {**PLACE, "identity": [["one", 2, 3, 4]]}}},
        {**GOOD, "places": {"/a": {**PLACE, "names": [1]}}},
    ],
)
def test_something_that_is_not_a_record(record: t.Any) -> None:
    Snapshot.from_record({**GOOD, "places": {"/a": PLACE}})
    with pytest.raises((TypeError, ValueError, KeyError)):
        Snapshot.from_record(record)
