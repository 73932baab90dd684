# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.collection import (
    LARGEST_FILE,
    Collector,
    Kept,
    describe_directories,
    read_kept,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

_CONFIGURATION = """
server_name: example.org
signing_key_path: signing.key
log_config: log.yaml
app_service_config_files: [bridge.yaml]
registration_shared_secret_path: {place}/secret
tls_certificate_path: {place}/tls.crt
pid_file: {place}/homeserver.pid
media_store_path: {place}/media
templates: {{custom_template_directory: {place}/templates}}
module_data: {place}/data
database: {{name: sqlite3, args: {{database: {place}/homeserver.db}}}}
modules: [{{module: x, config: {{file: {place}/module.conf, system: /usr/bin/env, key_path: relative.key}}}}]
"""


@pytest.fixture(name="place")
def make_place(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("media", "templates/deep", "data", "conf.d"):
        (tmp_path / name).mkdir(parents=True)
    names = "signing.key log.yaml bridge.yaml secret tls.crt homeserver.pid homeserver.db module.conf relative.key"
    for name in (*names.split(), "media/m", "templates/a.html", "templates/deep/b.html", "data/d", "conf.d/.hidden"):
        (tmp_path / name).write_text(name)
    (tmp_path / "homeserver.yaml").write_text(_CONFIGURATION.format(place=tmp_path))
    (tmp_path / "conf.d" / "a.yaml").write_text("report_stats: false")
    return tmp_path


def _collect(place: pathlib.Path, *extra: pathlib.Path) -> dict[str, str]:
    paths = [str(place / "homeserver.yaml"), str(place / "conf.d")]
    collector = Collector([str(place / "media"), str(place / "homeserver.db")])
    collector.add_configuration(paths, read_configuration(paths), str(place))
    for path in extra:
        collector.add_extra(str(path))
    return {os.path.relpath(kept.path, place): kept.kind for kept in collector.files()}


def test_everything_that_the_configuration_names(place: pathlib.Path) -> None:
    assert _collect(place) == {
        "homeserver.yaml": "configuration",
        "conf.d/a.yaml": "drop_in",
        "log.yaml": "log_configuration",
        "bridge.yaml": "registration",
        "signing.key": "signing_key",
        "secret": "secret",
        "tls.crt": "tls",
        "templates/a.html": "template",
        "templates/deep/b.html": "template",
        "module.conf": "other",
        "relative.key": "secret",
    }


def test_the_default_path_of_the_signing_key(place: pathlib.Path) -> None:
    path = place / "homeserver.yaml"
    path.write_text(path.read_text().replace("signing_key_path: signing.key", ""))
    # Where Synapse makes it: next to the last file of its configuration.
    (place / "conf.d" / "example.org.signing.key").write_text("key")
    assert _collect(place)["conf.d/example.org.signing.key"] == "signing_key"


def test_extra_paths(place: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found = _collect(place, place / "data", place / "homeserver.pid", place / "secret")
    assert (found["data/d"], found["homeserver.pid"], found["secret"]) == ("extra", "extra", "secret")


def test_links_in_an_extra_directory_are_not_followed(place: pathlib.Path) -> None:
    (place / "data" / "link").symlink_to("/etc/passwd")
    (place / "data" / "directory").symlink_to("/etc")
    assert [path for path in _collect(place, place / "data") if path.startswith("data")] == ["data/d"]


@pytest.mark.parametrize("path", ["missing", "../relative"])
def test_an_extra_path_that_does_not_exist(place: pathlib.Path, path: str) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        Collector([]).add_extra(path if path.startswith(".") else str(place / path))


def test_the_option_that_names_a_path(place: pathlib.Path) -> None:
    os.truncate(place / "secret", LARGEST_FILE + 1)
    for path, reason in (("/dev/null", "which is neither"), (str(place / "secret"), "which is larger than")):
        for options, name in (((), "extra_paths"), (("optional_paths",), "optional_paths")):
            with pytest.raises(InvalidInput, match=f"^{name} contains {path}, {reason}"):
                Collector([]).add_extra(path, *options)


def test_notes_of_other_modules_are_left_out(place: pathlib.Path) -> None:
    for name in (".matrix_ops-restore.json", ".matrix_ops-reset.json"):
        (place / "data" / name).write_text("{}")
    assert not [path for path in _collect(place, place / "data") if ".matrix_ops" in path]


def test_a_large_file_is_data(place: pathlib.Path) -> None:
    os.truncate(place / "module.conf", LARGEST_FILE + 1)
    assert "module.conf" not in _collect(place)
    with pytest.raises(InvalidInput, match="larger than"):
        _collect(place, place / "module.conf")


def test_the_content_and_the_attributes_of_a_file(place: pathlib.Path) -> None:
    path = place / "secret"
    path.chmod(0o640)
    os.utime(path, (5, 7))
    opened = read_kept(Kept(str(path), "secret"))
    assert opened.content == b"secret"
    shown: dict[str, t.Any] = {"path": str(path), "kind": "secret", "size": 6, "mode": "0640", "modified": 7}
    assert {name: opened.described[name] for name in shown} == shown
    assert {"owner", "group"} < set(opened.described)
    with pytest.raises(SynapseError, match="cannot be read"):
        read_kept(Kept(str(place / "missing"), "other"))


def test_directories_with_those_above_them(place: pathlib.Path) -> None:
    found = [each["path"] for each in describe_directories([str(place / "conf.d" / "a.yaml"), str(place / "media")])]
    assert str(place / "conf.d") in found
    assert str(place / "media") in found
    assert found == sorted(found)
    assert not {"/", "/tmp", "/etc"} & set(found)


def test_an_extra_path_that_is_neither_a_file_nor_a_directory(place: pathlib.Path) -> None:
    os.mkfifo(place / "data" / "pipe")
    with pytest.raises(InvalidInput, match="pipe, which is neither a file nor a directory"):
        _collect(place, place / "data" / "pipe")
    assert [path for path in _collect(place, place / "data") if path.startswith("data")] == ["data/d"]


def test_an_extra_directory_that_is_too_deep(place: pathlib.Path) -> None:
    deep = place.joinpath("data", *"abcdefghijklmnop")
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    assert os.path.relpath(deep / "file", place) in _collect(place, place / "data")
    (deep / "q").mkdir()
    with pytest.raises(InvalidInput, match="more than 16 levels deep, such as .*/p/q"):
        _collect(place, place / "data")


def test_a_configuration_among_the_media(place: pathlib.Path) -> None:
    path = str(place / "homeserver.yaml")
    expected = _collect(place)
    collector = Collector([str(place / "homeserver.db")], [str(place)])
    collector.add_configuration([path, str(place / "conf.d")], read_configuration([path]), str(place))
    collector.add_extra(str(place / "data" / "d"))
    kept = {os.path.relpath(each.path, place): each.kind for each in collector.files()}
    # What is only named somewhere, and extra files, are in the archive as media already.
    assert kept == {name: kind for name, kind in expected.items() if kind not in ("other", "template")}


@pytest.mark.parametrize("name", ["two\nlines", "\x85", "\udcff"])
def test_a_path_that_a_restore_would_refuse(place: pathlib.Path, name: str) -> None:
    (place / "data" / name).write_text("x")
    with pytest.raises(InvalidInput, match="has characters in its path with which a restore refuses it"):
        _collect(place, place / "data")


def test_a_worker(place: pathlib.Path) -> None:
    secret = place / "replication.secret"
    (place / "worker.yaml").write_text(
        f"worker_name: one\nworker_log_config: worker.log_config\nworker_replication_secret_path: {secret}\n"
    )
    (place / "worker.log_config").write_text("version: 1")
    secret.write_text("x")
    # Nothing starts them: it is unfinished, and it is not of a worker.
    (place / "old.yaml").write_text("worker_name: [")
    (place / "log.yaml").write_text(f"handlers:\n  file:\n    filename: {place}/synapse.log\n")
    (place / "synapse.log").write_text("x")
    collector = Collector([])
    for name in ("worker.yaml", "missing.yaml", "old.yaml", "log.yaml"):
        collector.add_worker(str(place / name), str(place))
    assert {os.path.basename(each.path): each.kind for each in collector.files()} == {
        "worker.yaml": "configuration",
        "worker.log_config": "log_configuration",
        "replication.secret": "secret",
        "old.yaml": "configuration",
        "log.yaml": "configuration",
    }


def test_archives_beside_the_configuration(place: pathlib.Path) -> None:
    expected = _collect(place, place / "data")
    name = "synapse-example.org-20260131T120000Z.tar.age"
    for each in (name, f"{name}.json", f"{name}.partial", ".matrix_ops.synapse.backup.lock"):
        (place / each).write_text("x")
    (place / "link").symlink_to(place)
    path = str(place / "homeserver.yaml")
    collector = Collector([str(place / "media"), str(place / "homeserver.db")], archives=str(place / "link"))
    collector.add_configuration([path, str(place / "conf.d")], read_configuration([path]), str(place))
    collector.add_extra(str(place / "data"))
    collector.add_extra(str(place / name))
    assert {os.path.relpath(each.path, place): each.kind for each in collector.files()} == expected
