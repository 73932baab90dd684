# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused before anything changes: damaged archives, hosts that are not empty, paths and tasks of others."""

from __future__ import annotations

import os
import sqlite3
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.command import SynapsePython
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore import (
    found,
    space,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.declared import require_same_server
from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.space import Need
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._restore.restored_host import (
    Host,
    database_file,
)


def test_a_damaged_archive_is_refused(host: Host) -> None:
    host.write()
    content = bytearray(host.archive.read_bytes())
    for place in range(len(content) // 2 - 3, len(content) // 2 + 3):
        content[place] ^= 1
    host.archive.write_bytes(content)
    host.require_refusal("is damaged: ")


def test_an_incomplete_archive_is_refused(host: Host) -> None:
    host.write()
    host.archive.write_bytes(host.archive.read_bytes()[:-20480])
    host.require_refusal("is damaged: ")


@pytest.mark.parametrize("name", ["homeserver.db", "homeserver.db-wal"])
def test_a_database_is_never_replaced(host: Host, name: str) -> None:
    host.write()
    (host.server / "data").mkdir(parents=True)
    database_file(host.server / "data" / name)
    host.require_refusal("This host has the data of a server: .*/homeserver.db")


def test_media_are_never_replaced(host: Host) -> None:
    host.write()
    place = host.server / "data" / "media_store" / "local_content"
    place.mkdir(parents=True)
    (place / "other").write_text("x")
    host.require_refusal("the media file .*/local_content/other")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("homeserver.yaml", "server_name: other.org\n", "belongs to the server other.org, but the archive is of"),
        ("example.org.signing.key", "ed25519 a_key other\n", "is another signing key"),
        ("log.config", "version: 2\n", "log.config on this host differ from those in the archive"),
    ],
)
def test_other_files_are_never_replaced(host: Host, name: str, content: str, message: str) -> None:
    host.write()
    host.server.mkdir()
    (host.server / name).write_text(content)
    host.require_refusal(message)


def test_configuration_that_is_in_no_archive(host: Host) -> None:
    host.write()
    (host.server / "conf.d").mkdir(parents=True)
    (host.server / "conf.d" / "99-other.yaml").write_text("server_name: other.org\n")
    (host.server / "conf.d" / "README").touch()
    host.require_refusal("/conf.d/99-other.yaml on this host is not in the archive, and Synapse would read it")
    (host.server / "conf.d" / "99-other.yaml").unlink()
    host.run()
    # What is written there later does not count.
    (host.server / "conf.d" / "99-other.yaml").write_text("max_upload_size: 1M\n")
    assert not host.resource().plan().changed


def test_a_link_in_place_of_a_file_is_not_followed(host: Host) -> None:
    host.write()
    host.server.mkdir()
    target = host.scratch / "target"
    target.write_bytes(host.files[f"{host.server}/log.config"][1])
    (host.server / "log.config").symlink_to(target)
    host.require_refusal("log.config on this host differ")


def test_a_running_server_is_refused(host: Host) -> None:
    host.write()
    host.service.is_up = True
    host.require_refusal("is running. Stop it, and run the task again")


def test_the_restore_of_another_backup_must_be_finished_first(host: Host) -> None:
    host.write()
    plan = host.resource().plan()
    plan.steps[0].run()
    host.media["local_content/new"] = b"new"
    host.write()
    host.require_refusal("The restore of another backup of example.org, made at 2026-01-31T12:00:00Z, was interrupted")


def test_a_user_who_would_start_it_as_another_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    monkeypatch.setattr(found, "user_id", lambda _name: os.geteuid() + 1)
    host.require_refusal(
        r"Synapse ran as \S+ on the server of the backup, but with manager=daemon this task would start"
    )


def test_a_host_without_systemd(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found before anything is written that could not be started."""
    host.write()

    def refuse() -> t.NoReturn:
        raise SynapseError("systemd does not run on this host.")

    monkeypatch.setattr(host.service, "require_rights", refuse)
    host.require_refusal("systemd does not run on this host")


@pytest.mark.parametrize("name", ["data/homeserver.db", "data/media_store", "data", "homeserver.yaml", "logs"])
def test_what_this_user_cannot_write(host: Host, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In check mode too, also for what is written after the database."""
    entry = {"mode": "0750", "owner": "root", "group": "root"}
    host.manifest["directories"].append({"path": f"{host.server}/logs", **entry})
    host.write()
    own = os.geteuid()

    def allowed(attributes: Attributes, path: str) -> None:
        if path == str(host.server / name):
            raise InvalidInput(f"{path} cannot get the owner {attributes.uid}.")

    monkeypatch.setattr(found, "require_allowed", allowed)
    owner = 0 if name == "logs" else own
    host.require_refusal(f"{name} cannot get the owner {owner}")


def test_a_directory_that_cannot_be_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host.scratch / "disk"
    path.mkdir()
    host.manifest["database"]["path"] = f"{path}/homeserver.db"
    host.write()
    host.resource(allowed_paths=[str(path)]).plan()

    def refuse(directory: Directory, option: str) -> None:
        if directory.path == str(path):
            raise InvalidInput(f"{option} cannot be written: it is read-only.")

    monkeypatch.setattr(Directory, "require_writable", refuse)
    host.require_refusal("disk cannot be written: it is read-only", allowed_paths=[str(path)])


def test_a_working_directory_that_would_not_exist(host: Host) -> None:
    place = f"{host.scratch}/run"
    host.manifest["service"]["working_directory"] = place
    host.write()
    message = "/run, the directory that Synapse runs in, does not exist on this host, and would not be created"
    host.require_refusal(message, working_directory=place)
    host.require_refusal(message, working_directory=None, allowed_paths=[str(host.server)])
    entry = host.manifest["directories"][0]
    host.manifest["directories"].append({**entry, "path": place})
    host.write()
    host.require_refusal(message, working_directory=None, allowed_paths=[str(host.server)])
    host.run(working_directory=None, allowed_paths=[str(host.server), place])
    assert (host.scratch / "run").is_dir()


def test_a_working_directory_that_is_a_file(host: Host) -> None:
    host.write()
    path = host.scratch / "python"
    host.require_refusal("working_directory .*/python is not a directory", working_directory=str(path))


def test_another_database_appears_during_an_interrupted_restore(host: Host) -> None:
    host.write()
    host.resource().plan().steps[0].run()
    (host.server / "data").mkdir(parents=True)
    with sqlite3.connect(host.server / "data" / "homeserver.db") as connection:
        connection.execute("CREATE TABLE users (name TEXT)")
    host.require_refusal("is not the one in the archive: .*users .0 instead of 2.")


def test_a_full_disk_is_found_first(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    monkeypatch.setattr(space, "MARGIN", 1 << 60)
    host.require_refusal("The restore needs .* on the file system of .*, which has only .* free. Nothing was changed")


def test_paths_outside_of_the_server_are_refused(host: Host) -> None:
    host.files["/etc/cron.d/evil"] = ("extra", b"* * * * * root true\n")
    host.write()
    host.require_refusal("The archive has files at /etc/cron.d/evil, where this task does not allow it to write")
    host.require_refusal("/etc/cron.d/evil", allowed_paths=["/etc/cron.d"])
    host.resource(allowed_paths=["/etc/cron.d/evil"]).plan()


def test_a_medium_that_leads_elsewhere(host: Host) -> None:
    host.media["../../../outside"] = b"x"
    host.write()
    with pytest.raises(SynapseError, match="is not the path of a medium|is damaged"):
        host.resource().plan().execute()
    assert not (host.scratch / "outside").exists()


def test_a_link_in_the_media_store_is_not_followed(host: Host) -> None:
    host.write()
    outside = host.scratch / "outside"
    outside.mkdir()
    (host.server / "data" / "media_store").mkdir(parents=True)
    (host.server / "data" / "media_store" / "local_content").symlink_to(outside)
    host.require_refusal("the media file .*/local_content. A restore only fills an empty host")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("installed", "changed", "message"),
    [
        (None, {}, "Synapse is not installed on this host"),
        (SynapsePython("/p", "1.162.0", 93), {}, "was made by Synapse 1.163.2, but Synapse 1.162.0 is installed"),
        (SynapsePython("/p", "1.100.0", 87), {"allow_other_version": True}, "needs a Synapse that knows the schema 88"),
    ],
)
def test_another_version_is_refused(
    host: Host, installed: SynapsePython | None, changed: dict[str, t.Any], message: str
) -> None:
    host.write()
    host.installed = installed
    host.require_refusal(message, **changed)


def test_a_newer_version_can_be_allowed(host: Host) -> None:
    host.write()
    host.installed = SynapsePython("/p", "1.164.0", 95)
    assert host.resource(allow_other_version=True).plan().changed


def test_check_mode_before_the_installation(host: Host) -> None:
    host.manifest["service"] = {**host.manifest["service"], "user": "no-such-user"}
    host.installed = None
    host.write()
    host.require_refusal("This host does not have the user no-such-user")
    assert host.resource(allow_missing_installation=True).plan().changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"manager": "systemd"}, "manager is systemd, but was daemon"),
        ({"config_path": ["/srv/x/homeserver.yaml"]}, "config_path is /srv/x/homeserver.yaml, but was "),
        ({"config_path": []}, "config_path is empty"),
        ({"working_directory": "/srv"}, "working_directory is /srv, but was "),
    ],
)
def test_a_task_that_declares_another_server(host: Host, changed: dict[str, t.Any], message: str) -> None:
    host.write()
    with pytest.raises(InvalidInput, match=message):
        host.resource(**changed).plan()


@pytest.mark.parametrize(
    ("units", "workers", "stranger"),
    [
        (["synapse.service", "worker@.service"], ["worker@a.service"], None),
        (["synapse.service", "telnet.socket"], [], "telnet.socket"),
        (["synapse.service"], ["worker@a.service", "other@a.service"], "other@a.service"),
        (["synapse.service"], ["--root=/x"], "--root=/x"),
    ],
)
def test_units_of_others_are_refused(host: Host, units: list[str], workers: list[str], stranger: str | None) -> None:
    host.manifest["service"] |= {
        "manager": "systemd",
        "units": [{"name": name, "enabled": True} for name in units],
        "workers": workers,
    }
    declared = host.declared(manager="systemd", unit="synapse.service", worker_unit="worker@.service")
    if stranger is None:
        require_same_server(declared, host.manifest)
        return
    with pytest.raises(InvalidInput, match=f"the unit '{stranger}' in it is neither unit nor worker_unit"):
        require_same_server(declared, host.manifest)


def test_what_an_interrupted_restore_left_takes_no_space(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    place = host.server / "data"
    place.mkdir(parents=True)
    needs: list[int] = []
    monkeypatch.setattr(found, "require_space", lambda each: needs.append(next(iter(each)).size))
    for left in (0, 1000, 10**9):
        with (place / ".matrix_ops.synapse.restoring").open("wb") as file:
            file.truncate(left)
        host.resource().plan()
    assert needs == [len(host.database), len(host.database) - 1000, 0]


def test_each_media_directory_needs_its_own_space(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = dict(host.manifest["media"]["directories"][0])
    places = [f"{host.server}/data/media_store", f"{host.server}/data", f"{host.scratch}/other"]
    host.media = {"a": b"12345"}
    host.manifest["media"]["directories"] = [
        {**entry, "path": path, "bytes": size} for path, size in zip(places, (5, 0, 0))
    ]
    host.write()
    needs: list[Need] = []
    monkeypatch.setattr(found, "require_space", needs.extend)
    host.resource(allowed_paths=[f"{host.scratch}/other"]).plan()
    assert [need for need in needs if need.path in places[::2]] == [Need(places[0], 5), Need(places[2], 0)]


def test_media_directories_that_did_not_exist_at_the_backup(host: Host) -> None:
    host.manifest["media"]["directories"].append({"path": f"{host.server}/data/provider", "setting": "x"})
    host.write()
    host.run()
    assert (host.server / "data" / "provider").stat().st_mode & 0o777 == 0o750


def test_a_disk_that_synapse_cannot_use(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write()
    store = host.server / "data" / "media_store"
    store.mkdir(parents=True)
    store.chmod(0o555)
    access, asked = os.access, []

    def unless_store(path: t.Any, mode: int, **options: t.Any) -> bool:
        # Root may write everywhere.
        asked.append((path, options.get("effective_ids")))
        return path != str(store) and access(path, mode, **options)

    monkeypatch.setattr(os, "access", unless_store)
    host.require_refusal(f"media_store on this host belongs to .* mode 0555, .* chmod 0750 {store}, as it was")
    assert (str(store), True) in asked
    store.chmod(0o750)
    host.resource().plan()
