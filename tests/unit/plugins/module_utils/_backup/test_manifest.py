# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import prove_archive
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.manifest import Contents
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._backup.made_archive import (
    HEADER_OF_TEST,
    MEMBERS,
    manifest,
    write,
)

Change = t.Callable[[dict[str, t.Any]], None]


def _proven(tmp_path: pathlib.Path, change: Change) -> None:
    changed = manifest(MEMBERS)
    change(changed)
    prove_archive(str(write(tmp_path / "a.tar", **changed)))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: None,
        lambda found: found.update(more=[]),
        lambda found: found["files"][0].update(modified=-5),
        lambda found: found["media"]["directories"][0].update(mode="0750", owner="a", group="b"),
        lambda found: found.update(
            database={
                **found["database"],
                **{"name": "synapse", "user": "synapse", "host": "", "port": "", "size": 5},
            }
        ),
    ],
)
def test_a_manifest_of_a_backup(tmp_path: pathlib.Path, change: Change) -> None:
    _proven(tmp_path, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.update(row_counts={"users": "2"}), "row_counts in its manifest"),
        (lambda found: found.update(row_counts={"users": True}), "row_counts in its manifest"),
        (lambda found: found.update(sample=[]), "sample in its manifest"),
        (lambda found: found.update(sample={"media": [{"media_id": 5}]}), "sample in its manifest"),
        (lambda found: found.update(database=None), "database in its manifest"),
        (lambda found: found["database"].pop("path"), "database in its manifest"),
        (lambda found: found["database"].update(bytes=-1), "database in its manifest"),
        (lambda found: found["database"].update(bytes=2**63), "database in its manifest"),
        (lambda found: found["database"].update(chunks=2), "another database or other media"),
        (lambda found: found["files"].pop(), "names other files"),
        (lambda found: found["files"].append(found["files"][0]), "names other files"),
        (lambda found: found["files"][0].update(sha256="0" * 64), "names other files"),
        (lambda found: found["files"][0].update(size=1), "names other files"),
        (lambda found: found["files"][0].update(member="files/9999"), "names other files"),
        (lambda found: found["files"][1].update(path=found["files"][0]["path"]), "names a path twice"),
        (lambda found: found["files"][0].update(path=found["database"]["path"]), "names a path twice"),
        (lambda found: found["media"]["directories"].clear(), "media of a directory that is not in its manifest"),
        (lambda found: found["media"].update(mode="location"), "media of a directory that is not in its manifest"),
        (lambda found: found["media"]["directories"][0].update(bytes="1"), "media in its manifest"),
        (lambda found: found["files"][0].update(mode="rwx"), "files in its manifest"),
        (lambda found: found["files"][0].update(mode=416), "files in its manifest"),
        (lambda found: found["files"][0].pop("kind"), "files in its manifest"),
        (lambda found: found["files"][0].update(path=["/etc"]), "files in its manifest"),
        (lambda found: found.update(files="files"), "files in its manifest"),
        (lambda found: found["directories"][0].update(owner=None), "directories in its manifest"),
        (lambda found: found["media"].update(files=81), "another database or other media"),
        (lambda found: found["media"].update(bytes=0), "another database or other media"),
        (lambda found: found["media"].update(mode="none"), "media in its manifest"),
        (lambda found: found["media"]["directories"][0].update(mode=5), "media in its manifest"),
        (lambda found: found.update(installation={}), "installation in its manifest"),
        (lambda found: found["service"].update(config_path=[]), "service in its manifest"),
        (lambda found: found["service"].update(units=["x"]), "service in its manifest"),
        (lambda found: found["service"].update(working_directory=5), "service in its manifest"),
        (lambda found: found["service"].update(daemons=[{"app": "os", "config_path": []}]), "service in its manifest"),
        (lambda found: found.update(server_name="other.org"), "not of the same backup"),
    ],
)
def test_a_manifest_that_lies(tmp_path: pathlib.Path, change: Change, message: str) -> None:
    with pytest.raises(SynapseError, match=f"a.tar is damaged: .*{message}"):
        _proven(tmp_path, change)


@pytest.mark.parametrize("name", ["database/0001", "database/5", "other/x", "x", "header.json"])
def test_a_member_that_no_backup_has(tmp_path: pathlib.Path, name: str) -> None:
    path = write(tmp_path / "a.tar", {**MEMBERS, name: b"x"})
    with pytest.raises(SynapseError, match="is damaged: "):
        prove_archive(str(path))


def test_a_member_that_is_there_twice() -> None:
    contents = Contents()
    contents.add("files/0000", bytes(32), 1)
    with pytest.raises(SynapseError, match="which a backup does not contain there"):
        contents.add("files/0000", bytes(32), 1)


@pytest.mark.parametrize(
    "names",
    [
        # A restore reads them in one go, in this order.
        ["files/0000", "database/0000"],
        ["media/0/a", "files/0000"],
        ["media/0/a", "database/0000"],
        ["header.json", "manifest.json", "media/0/a"],
        ["header.json", "header.json"],
        # A medium is written once, and no directory has the name of a file.
        ["media/0/a", "media/0/a"],
        ["media/0/b", "media/0/a"],
        ["media/0/.ssh/authorized_keys"],
        ["media/1/a", "media/0/b"],
        ["media/0/a", "media/0/a/b"],
        ["media/0/a/b", "media/0/a"],
        ["media/0/"],
        ["media/0"],
        ["media/x/a"],
        ["media/00/a"],
        ["media/1000/a"],
        ["media//a"],
        ["media/0/a//b"],
        ["media/0/./a"],
        ["media/0/a/.matrix_ops.synapse.restoring"],
    ],
)
def test_members_that_are_not_in_order(names: list[str]) -> None:
    contents = Contents()
    for name in names[:-1]:
        contents.add(name, bytes(32), 1)
    with pytest.raises(SynapseError, match="which a backup does not contain there"):
        contents.add(names[-1], bytes(32), 1)


def test_media_in_the_order_of_a_walk() -> None:
    contents = Contents()
    # Of names, not of whole paths: a dot is before a slash.
    for name in ("0/a/b", "0/a.b", "0/a.b.c/a", "0/b/a/a", "0/b/b", "2/a", "10/a", "10/\udcff"):
        contents.add(f"media/{name}", bytes(32), 1)


def test_a_header_without_what_a_backup_has(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(HEADER_OF_TEST, "created_ts")
    with pytest.raises(SynapseError, match="created_ts in its manifest"):
        prove_archive(str(write(tmp_path / "a.tar")))
