# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that this collection has created is removed, exactly as predicted, and nothing else."""

from __future__ import annotations

import os
import subprocess
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation import removal
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER, hidden_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._installation.scratch import (
    Scratch,
    snapshot,
)


def fill(scratch: Scratch) -> None:
    """Create the files of a running server in the directories."""
    (scratch.configuration / "homeserver.yaml").touch()
    (scratch.configuration / "example.org.signing.key").touch()
    (scratch.drop_ins / "50-own.yaml").write_text("# Written by matrix_ops.synapse\n")
    (scratch.data / "homeserver.db").touch()
    (scratch.data / "media_store" / "local" / "ab").mkdir(parents=True)
    (scratch.data / "media_store" / "local" / "ab" / "image").touch()


def kept_of(result: dict[str, t.Any]) -> dict[str, str]:
    return {kept["path"]: kept["reason"] for kept in result["installation"]["kept_paths"]}


def test_all_of_it_goes(scratch: Scratch) -> None:
    before = snapshot(scratch.root)
    scratch.run()
    fill(scratch)
    _ignored, result = scratch.run(present=False, purge=True)
    assert snapshot(scratch.root) == before
    assert result["installation"]["kept_paths"] == []
    assert result["installation"]["removed_paths"] == [
        str(path)
        for path in (
            scratch.environment,
            scratch.drop_ins / "50-own.yaml",
            scratch.drop_ins,
            scratch.data / "homeserver.db",
            scratch.data / "media_store",
            scratch.data,
            scratch.configuration / "example.org.signing.key",
            scratch.configuration / "homeserver.yaml",
            scratch.configuration,
            scratch.environment.parent,
            scratch.data.parent,
            scratch.configuration.parent,
        )
    ]


def test_without_purge_the_data_stay(scratch: Scratch) -> None:
    scratch.run()
    fill(scratch)
    before = snapshot(scratch.root / "etc"), snapshot(scratch.root / "lib")
    _ignored, result = scratch.run(present=False)
    assert result["installation"]["removed_paths"] == [str(scratch.environment), str(scratch.environment.parent)]
    assert result["restart_required"]
    assert (snapshot(scratch.root / "etc"), snapshot(scratch.root / "lib")) == before


def test_nothing_there_is_nothing_to_do(scratch: Scratch) -> None:
    plan, result = scratch.run(present=False, purge=True)
    assert not plan.changed
    assert result == {
        "installation": {
            "virtualenv": str(scratch.environment),
            "created_paths": [],
            "packages_installed": [],
            "packages_replaced": [],
            "removed_paths": [],
            "kept_paths": [],
        },
        "restart_required": False,
    }


def test_what_somebody_else_has_put_there_stays(scratch: Scratch) -> None:
    scratch.run()
    fill(scratch)
    foreign = [
        scratch.drop_ins / "99-mine.yaml",
        scratch.configuration / "other.example.signing.key",
        scratch.data / "dump.sql",
    ]
    for path in foreign:
        path.write_text("foreign")
    _ignored, result = scratch.run(present=False, purge=True)
    assert all(path.read_text() == "foreign" for path in foreign)
    assert kept_of(result) == {
        str(scratch.drop_ins): "it still contains 99-mine.yaml, which is not part of this server",
        str(scratch.configuration): "it still contains other.example.signing.key, which is not part of this server",
        str(scratch.data): "it still contains dump.sql, which is not part of this server",
    }
    assert sorted(os.listdir(scratch.data)) == [MARKER, "dump.sql"]
    for path in foreign:
        path.unlink()
    scratch.run(present=False, purge=True)
    assert os.listdir(scratch.root) == ["programs"]


def test_a_directory_that_was_there_before_loses_only_what_names_this_collection(scratch: Scratch) -> None:
    for path in (scratch.configuration, scratch.drop_ins, scratch.data):
        path.mkdir(parents=True, mode=0o777)
        if path != scratch.data:
            path.chmod(0o755)
    # All users may read and write there, so that it can be used.
    scratch.data.chmod(0o777)
    scratch.run()
    fill(scratch)
    (scratch.configuration / "homeserver.yaml").write_text("# Made by the role matrix_ops.synapse.synapse_homeserver\n")
    (scratch.drop_ins / "99-mine.yaml").write_text("a: 1")
    _ignored, result = scratch.run(present=False, purge=True)
    assert result["installation"]["removed_paths"] == [
        str(scratch.environment),
        str(scratch.drop_ins / "50-own.yaml"),
        str(scratch.configuration / "homeserver.yaml"),
        str(scratch.environment.parent),
    ]
    assert kept_of(result) == {
        str(scratch.configuration): "it existed before this collection was used, with example.org.signing.key in it",
        str(scratch.drop_ins): "it existed before this collection was used, with 99-mine.yaml in it",
        str(scratch.data): "it existed before this collection was used, with homeserver.db, media_store in it",
    }
    assert sorted(os.listdir(scratch.data)) == ["homeserver.db", "media_store"]


def test_links_are_removed_and_not_followed(scratch: Scratch) -> None:
    scratch.run()
    foreign = scratch.root / "foreign"
    foreign.mkdir()
    (foreign / "photo").touch()
    (scratch.data / "media_store").symlink_to(foreign)
    (scratch.data / "homeserver.db").symlink_to(foreign / "photo")
    scratch.run(present=False, purge=True)
    assert os.listdir(foreign) == ["photo"]
    assert not scratch.data.exists()


def test_what_is_left_because_of_a_mount_is_known(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.run()
    fill(scratch)
    mount = str(scratch.data / "media_store")
    monkeypatch.setattr(removal, "mount_points", lambda: frozenset({"/", mount}))
    _ignored, result = scratch.run(present=False, purge=True)
    assert kept_of(result)[str(scratch.data)] == "it still contains media_store, which is kept too"


def test_a_directory_on_the_way_that_this_user_cannot_remove_stays(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.run()
    root = scratch.root.stat()

    def access(_path: str, _mode: int, *, dir_fd: int) -> bool:
        return not os.path.samestat(os.fstat(dir_fd), root)

    monkeypatch.setattr(os, "access", access)
    _ignored, result = scratch.run(present=False, purge=True)
    ancestors = [scratch.configuration.parent, scratch.data.parent, scratch.environment.parent]
    said = f"the directory {scratch.root} is read-only for this user. Run the task with become."
    assert kept_of(result) == {str(path): f"{path} cannot be removed: {said}" for path in ancestors}
    assert sorted(os.listdir(scratch.root)) == sorted(["programs", *(path.name for path in ancestors)])


def test_something_else_by_a_hidden_name_is_refused_before(scratch: Scratch) -> None:
    scratch.run()
    hidden = scratch.data.parent / hidden_name(str(scratch.data), "emptied")
    (hidden / "content").mkdir(parents=True)
    assert f"{scratch.data} cannot be removed, because {hidden} is in the way" in scratch.refusal(
        present=False, purge=True
    )
    scratch.run(present=False)


def test_a_pattern_never_takes_another_declared_directory(scratch: Scratch) -> None:
    media = DeclaredDirectory(str(scratch.data / "media_store" / "local"), Ownership(0o755), (), (), ("abcd*",))
    directories = (*scratch.directories(), media)
    scratch.run(directories=directories)
    (scratch.data / "media_store" / "local" / "abcde").touch()
    (scratch.data / "media_store" / "local" / "mine").touch()
    _ignored, result = scratch.run(directories=directories, present=False, purge=True)
    assert sorted(os.listdir(scratch.data / "media_store" / "local")) == [MARKER, "mine"]
    assert kept_of(result)[str(scratch.data)] == "it still contains media_store, which is kept too"


def test_the_environment_of_somebody_else_stays(scratch: Scratch) -> None:
    scratch.run()
    (scratch.environment / MARKER).unlink()
    before = snapshot(scratch.environment)
    _ignored, result = scratch.run(present=False, purge=True)
    assert kept_of(result) == {
        str(scratch.environment): "it is not a virtual environment that this collection has created"
    }
    assert snapshot(scratch.environment) == before


def test_directories_on_the_way_that_hold_something_stay(scratch: Scratch) -> None:
    scratch.run()
    (scratch.environment.parent / "other").mkdir()
    _ignored, result = scratch.run(present=False)
    assert result["installation"]["removed_paths"] == [str(scratch.environment)]
    (scratch.environment.parent / "other").rmdir()
    _ignored, result = scratch.run(present=False)
    assert result["installation"]["removed_paths"] == [str(scratch.environment.parent)]


@pytest.mark.parametrize("where", ["media_store", "media_store/local"])
def test_what_is_mounted_stays(scratch: Scratch, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    scratch.run()
    fill(scratch)
    mount = str(scratch.data / where)
    monkeypatch.setattr(removal, "mount_points", lambda: frozenset({"/", mount}))
    _ignored, result = scratch.run(present=False, purge=True)
    said = "it is a mount point" if where == "media_store" else f"{mount} is a mount point"
    assert kept_of(result)[str(scratch.data / "media_store")] == said
    assert (scratch.data / "media_store" / "local" / "ab" / "image").exists()


def test_what_is_mounted_in_the_last_moment_stays(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.run()
    plan = scratch.resource(present=False).plan()
    monkeypatch.setattr(removal, "mount_points", lambda: frozenset({str(scratch.environment / "lib")}))
    with pytest.raises(SynapseError, match="was mounted at the same moment: unmount it first"):
        plan.execute()
    assert (scratch.environment / "bin" / "python").exists()


def test_hostile_paths_are_refused_like_those_of_a_new_server(scratch: Scratch) -> None:
    for path in ("/usr", "/var/log", "/", "relative", "/home/somebody"):
        directory = DeclaredDirectory(path, Ownership(0o755), ("nginx.log",))
        assert "directories has the path" in scratch.refusal(directories=(directory,), present=False, purge=True)
        assert "virtualenv is" in scratch.refusal(virtualenv=path, present=False, purge=True)


def test_a_read_only_place_is_refused_before(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.run()
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(InvalidInput, match="cannot be removed: the directory .* is read-only for this user"):
        scratch.resource(present=False).plan()


def test_a_tree_that_is_nested_deeply(scratch: Scratch) -> None:
    scratch.run()
    deep = scratch.data / "media_store"
    deep.mkdir()
    descriptor = os.open(deep, os.O_RDONLY)
    # Deeper than the recursion limit of Python, with paths longer than the 4096 bytes that the kernel accepts.
    for _round in range(2500):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    try:
        resource = scratch.resource(present=False, purge=True)
        plan = resource.plan()
        plan.execute()
        resource.verify(plan)
        assert not deep.exists()
    finally:
        # Otherwise every later test would fail when pytest cleans up.
        subprocess.run(["rm", "-rf", str(deep)], check=True)


def test_problems(scratch: Scratch) -> None:
    scratch.run()
    resource = scratch.resource(present=False)
    plan = resource.plan()
    with pytest.raises(SynapseError, match="venvs/matrix-synapse still exists"):
        resource.verify(plan)
