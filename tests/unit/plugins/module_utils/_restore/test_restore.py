# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore onto an empty host: a whole one, an interrupted one, and a second one."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pathlib
import sqlite3
import stat
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import UNFINISHED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore import (
    extraction,
    marker,
    media,
    placing,
    restore,
    sqlite,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._restore.restored_host import (
    MEDIA,
    VERSION,
    Host,
)


def _stage(host: Host) -> str:
    return str(json.loads(host.marker.read_text())["stage"])


def _rows(host: Host, table: str) -> int:
    with sqlite3.connect(host.server / "data" / "homeserver.db") as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_everything_gets_to_its_place(host: Host) -> None:
    host.write()
    carried = host.run()
    tree = host.tree()
    for path, (_kind, content) in host.files.items():
        assert tree[path[len(f"{host.server}/") :]] == content
    for path, content in MEDIA.items():
        assert tree[f"data/media_store/{path}"] == content
    assert len(tree) == len(host.files) + len(MEDIA) + 1
    assert _rows(host, "users") == 2
    assert _rows(host, "e2e_one_time_keys_json") == 0
    assert host.service.is_up
    assert _stage(host) == "done"
    assert stat.S_IMODE((host.server / "homeserver.yaml").stat().st_mode) == 0o640
    assert stat.S_IMODE((host.server / "data").stat().st_mode) == 0o750
    assert carried.result["restore"]["proven"] == {"tables": 3, "rows": 5, "media_files": 3}
    assert carried.result["unknown"][0]["name"] == "sample"
    assert len(carried.done) == 3


def test_check_mode_predicts_it(host: Host) -> None:
    host.write()
    resource = host.resource()
    plan = resource.plan()
    predicted = resource.result(plan, False)
    assert not host.server.exists()
    carried = host.run()
    assert [step.description for step in plan.steps] == carried.done
    assert {key: value for key, value in carried.result["restore"].items() if key != "proven"} == predicted["restore"]


def test_directories_to_which_others_may_not_write(host: Host) -> None:
    """Root would not write there, and no further run would read there."""
    described: list[dict[str, t.Any]] = [*host.manifest["directories"], *host.manifest["media"]["directories"]]
    for entry in described:
        entry["mode"] = "0777"
    path = f"{host.server}/more/x"
    host.files[path] = ("extra", b"x")
    host.file_mode = "0666"
    host.write()
    host.run()
    modes = {str(path): path.stat().st_mode & 0o777 for path in host.server.rglob("*") if path.is_dir()}
    assert set(modes.values()) == {0o755}
    assert (host.server / "more" / "x").stat().st_mode & 0o777 == 0o666
    assert not host.resource().plan().changed


def test_a_second_run_changes_nothing(host: Host) -> None:
    host.write()
    host.run()
    # What the server does later does not count.
    with sqlite3.connect(host.server / "data" / "homeserver.db") as connection:
        connection.execute("INSERT INTO users VALUES ('@c:example.org')")
    (host.server / "log.config").write_text("version: 1\n# changed\n")
    before = host.tree()
    plan = host.resource().plan()
    assert not plan.changed
    assert plan.before == plan.after
    assert plan.proof is None
    assert host.tree() == before


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (restore, "start_server"),
        (restore, "compare_files"),
        (extraction.Extraction, "write_kept"),
        (restore, "synchronise_all"),
        (restore, "require_restored"),
        (extraction.Extraction, "_take_medium"),
        (placing.Directories, "create"),
        (extraction, "unpacked_database"),
    ],
)
def test_an_interrupted_restore_goes_on(host: Host, monkeypatch: pytest.MonkeyPatch, place: t.Any, name: str) -> None:
    host.write()
    resource = host.resource()
    plan = resource.plan()
    with monkeypatch.context() as patched:
        called = []

        def interrupted(*_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
            called.append(name)
            raise KeyboardInterrupt

        patched.setattr(place, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            plan.execute()
        assert called == [name]
    assert not host.service.is_up
    if name not in ("start_server", "compare_files"):
        assert not (host.server / "homeserver.yaml").exists()
    carried = host.run()
    assert carried.done
    assert host.service.is_up
    assert _stage(host) == "done"
    assert {path: host.tree()[f"data/media_store/{path}"] for path in MEDIA} == MEDIA
    assert _rows(host, "e2e_one_time_keys_json") == 0
    assert not host.resource().plan().changed


def test_an_interruption_before_the_last_record(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    write = marker.write_marker

    def interrupted(path: str, written: marker.Marker, trusted: t.Collection[int]) -> None:
        if written.stage is marker.Stage.PLACED:
            raise KeyboardInterrupt
        write(path, written, trusted)

    with monkeypatch.context() as patched:
        patched.setattr(restore, "write_marker", interrupted)
        with pytest.raises(KeyboardInterrupt):
            host.resource().plan().execute()
    tree = host.tree()
    assert (host.server / "homeserver.yaml").exists()
    assert _stage(host) == "begun"
    host.run()
    assert host.tree() == tree
    assert _stage(host) == "done"


def test_a_worker_that_was_not_started_is_started_by_the_next_run(host: Host) -> None:
    daemon = {"app": "synapse.app.generic_worker", "config_path": [f"{host.server}/homeserver.yaml", "/w.yaml"]}
    host.manifest["service"]["daemons"] = [daemon]
    host.write()
    host.resource().plan().execute()
    assert [each["config_path"] for each in host.service.workers] == [daemon["config_path"]]
    # The main process was started, and then the task was killed.
    host.service.workers = []
    assert host.run().done == [f"start the daemon with {host.server}/homeserver.yaml"]
    assert [each["config_path"] for each in host.service.workers] == [daemon["config_path"]]
    assert _stage(host) == "done"


def test_what_may_be_missing_in_check_mode_only(host: Host) -> None:
    """The run fails as well if an interrupted one has begun already."""
    host.write()
    host.resource().plan().steps[0].run()
    host.installed = None
    # The runner does no further step after one that failed, so each of them is the first one here.
    for number in range(2):
        plan = host.resource(allow_missing_installation=True).plan()
        assert len(plan.steps) == 2
        with pytest.raises(SynapseError, match="Synapse is not installed on this host"):
            plan.steps[number].run()
    assert host.tree() == {}
    assert not host.service.is_up


def test_an_unproven_start_is_proven_by_the_next_run(host: Host) -> None:
    host.write()
    host.resource().plan().execute()
    assert _stage(host) == "placed"
    # The server has done something since then.
    with sqlite3.connect(host.server / "data" / "homeserver.db") as connection:
        connection.execute("INSERT INTO users VALUES ('@c:example.org')")
    plan = host.resource().plan()
    assert not plan.changed
    assert plan.proof is not None
    plan.proof()
    assert _stage(host) == "done"


def test_a_server_that_was_not_started_is_started_by_the_next_run(host: Host) -> None:
    host.write()
    host.resource().plan().execute()
    host.service.is_up = False
    assert host.run().done == [f"start the daemon with {host.server}/homeserver.yaml"]
    assert _stage(host) == "done"


def test_an_archive_that_changes_after_it_was_proven(host: Host) -> None:
    host.write()
    resource = host.resource()
    plan = resource.plan()
    host.media["local_content/q"] = b"Q"
    host.write()
    with pytest.raises(SynapseError, match="has changed since"):
        plan.execute()
    assert not (host.server / "homeserver.yaml").exists()


def test_another_number_of_rows_is_found_before_the_start(host: Host) -> None:
    host.counts["events"] = 4
    host.write()
    with pytest.raises(SynapseError, match="another number of rows than in the backup: events .3 instead of 4."):
        host.resource().plan().execute()
    assert not (host.server / "data" / "homeserver.db").exists()
    assert not (host.server / "homeserver.yaml").exists()


def test_files_that_are_there_already_stay(host: Host) -> None:
    host.write()
    host.server.mkdir()
    path = host.server / "log.config"
    path.write_bytes(host.files[str(path)][1])
    path.chmod(0o640)
    inode = path.stat().st_ino
    host.run()
    assert path.stat().st_ino == inode


def test_without_media(host: Host) -> None:
    host.manifest["media"]["mode"] = "location"
    host.media.clear()
    host.write()
    # They may be there already.
    (host.server / "data" / "media_store").mkdir(parents=True)
    (host.server / "data" / "media_store" / "x").write_text("x")
    carried = host.run()
    assert "contains no media" in carried.result["warnings"][0]
    assert carried.result["restore"]["summary"]["media_files"] == 0


def test_a_file_that_is_too_large_for_memory(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "LARGEST_KEPT", 100)
    host.files[f"{host.server}/extra"] = ("extra", b"x" * 101)
    host.write()
    host.run()
    assert host.tree()["extra"] == b"x" * 101
    assert VERSION


def test_a_file_that_another_program_writes_meanwhile_stays(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    path = host.server / "log.config"
    monkeypatch.setattr(restore, "synchronise_all", lambda _paths: path.write_text("version: 2\n"))
    with pytest.raises(SynapseError, match="log.config changed while the backup was being restored. Find out which"):
        host.resource().plan().execute()
    assert path.read_text() == "version: 2\n"
    assert not (host.server / "homeserver.yaml").exists()


def test_a_database_that_another_program_creates_meanwhile_stays(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    path = host.server / "data" / "homeserver.db"
    monkeypatch.setattr(sqlite, "synchronise", lambda _directory, _name: path.write_text("of others"))
    with pytest.raises(SynapseError, match="homeserver.db was created by another program while it was being restored"):
        host.resource().plan().execute()
    assert path.read_text() == "of others"
    assert {each.name for each in path.parent.iterdir()} == {"homeserver.db", "media_store"}


def test_a_database_that_is_larger_than_it_says(host: Host) -> None:
    host.manifest["database"]["bytes"] -= 1
    host.write()
    with pytest.raises(SynapseError, match="is damaged: the database in it is larger than in its manifest"):
        host.resource().plan().execute()
    assert list((host.server / "data").iterdir()) == [host.server / "data" / "media_store"]


def test_a_disk_that_is_full_when_everything_is_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()

    def full(_descriptor: int) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(placing, "_synchronise_file_system", full)
        with pytest.raises(SynapseError, match="could not be written: No space left on device. Correct this, and run"):
            host.resource().plan().execute()
    assert not (host.server / "homeserver.yaml").exists()
    host.run()
    assert _stage(host) == "done"


def test_a_database_in_a_directory_of_its_own(host: Host) -> None:
    """Only the file itself is allowed, and the archive does not describe the directory."""
    path = host.scratch / "elsewhere" / "homeserver.db"
    host.manifest["database"]["path"] = str(path)
    host.write()
    host.run(allowed_paths=[str(path)])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_two_at_the_same_time(host: Host) -> None:
    host.write()
    plan = host.resource().plan()
    plan.steps[0].run()
    descriptor = os.open(host.server, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(SynapseError, match="Another task is restoring a backup to"):
            plan.steps[1].run()
        # Check mode says it too.
        host.require_refusal("Another task is restoring a backup to")
    finally:
        os.close(descriptor)
    plan.steps[1].run()


def test_media_that_were_lost_before_the_backup(host: Host) -> None:
    place = media.MediaDirectory(str(host.scratch / "store"), Attributes(0o700, 0, 0))
    present = host.scratch / "store" / "local_content" / "ab" / "cd" / "ef"
    present.parent.mkdir(parents=True)
    present.touch()
    sample = {"media": [{"media_id": "abcdef"}, {"media_id": "zzzzzz"}]}
    assert media.lost_media(sample, [place]) == [{"media_id": "zzzzzz"}]


def test_attributes_are_corrected(host: Host) -> None:
    host.write()
    host.server.mkdir()
    path = pathlib.Path(host.server / "log.config")
    path.write_bytes(host.files[str(path)][1])
    path.chmod(0o644)
    host.run()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_content_that_changes_while_it_is_read(host: Host) -> None:
    host.media = {"local_content/q": b"q" * 100_000}
    host.write()
    plan = host.resource().plan()
    status = host.archive.stat()
    with host.archive.open("r+b") as archive:
        archive.seek(host.archive.read_bytes().index(b"q" * 50_000) + 10)
        archive.write(b"Q")
    os.utime(host.archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(SynapseError, match="local_content/q in the archive has changed since it was verified"):
        plan.execute()
    assert not (host.server / "data" / "media_store" / "local_content" / "q").exists()


def test_a_medium_that_was_written_in_part_is_written_again(host: Host) -> None:
    host.write()
    host.resource().plan().steps[0].run()
    place = host.server / "data" / "media_store" / "local_content"
    place.mkdir(parents=True)
    (place / "q").write_bytes(b"x")
    (place / UNFINISHED).write_bytes(b"x")
    host.run()
    assert (place / "q").read_bytes() == MEDIA["local_content/q"]
    assert not (place / UNFINISHED).exists()


def test_a_disk_that_does_not_keep_what_is_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    run = extraction.Extraction.run

    def run_and_lose(self: extraction.Extraction, *given: t.Any) -> None:
        run(self, *given)
        (host.server / "data" / "media_store" / "local_content" / "q").write_bytes(b"Q")

    monkeypatch.setattr(extraction.Extraction, "run", run_and_lose)
    with pytest.raises(SynapseError, match="local_content/q is not what was written to it. Check the disk"):
        host.resource().plan().execute()
    assert not (host.server / "homeserver.yaml").exists()


def test_files_that_are_gone_at_the_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    monkeypatch.setattr(extraction.Extraction, "write_kept", lambda _self, _files: None)
    with pytest.raises(SynapseError, match="changed while the backup was being restored"):
        host.resource().plan().execute()
    assert _stage(host) == "begun"


def test_a_damaged_database(host: Host) -> None:
    host.database = host.database[:4096] + b"\xff" * 4096 + host.database[8192:]
    host.write()
    with pytest.raises(SynapseError, match="damaged|malformed"):
        host.resource().plan().execute()
    assert not (host.server / "data" / "homeserver.db").exists()


def test_what_another_run_has_restored_meanwhile_stays(host: Host) -> None:
    host.write()
    late = host.resource().plan()
    host.run()
    database = host.server / "data" / "homeserver.db"
    database.write_bytes(b"users write to it")
    with pytest.raises(SynapseError, match="Another task has restored a backup meanwhile"):
        late.execute()
    assert database.read_bytes() == b"users write to it"


def test_what_another_run_goes_on_with_stays(host: Host) -> None:
    host.write()
    host.resource().plan().steps[0].run()
    late = host.resource().plan()
    host.run()
    database = host.server / "data" / "homeserver.db"
    database.write_bytes(b"users write to it")
    with pytest.raises(SynapseError, match="Another task has restored a backup meanwhile"):
        late.execute()
    assert database.read_bytes() == b"users write to it"
