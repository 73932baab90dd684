# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import stat
import tarfile
import typing as t
import zipfile

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import MANIFEST as MANIFEST_NAME
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.place import ExportPlace
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._export.made_export import (
    MANIFEST,
    left_behind,
    publish,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.attacker import UID, Arena, arena

KINDS = pytest.mark.parametrize("kind", [None, "tar.gz", "zip"])
ROOT = os.geteuid() == 0


@pytest.fixture
def field(tmp_path: pathlib.Path) -> Arena:
    return arena(tmp_path, links=0)


def become_attacker() -> None:
    if ROOT:
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)


def attack_once(attack: t.Callable[[], None]) -> None:
    """Let the attacker do something now, and fail if that is not possible."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            become_attacker()
            attack()
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@contextlib.contextmanager
def attacked(attack: t.Callable[[], None]) -> t.Iterator[None]:
    """Let the attacker do it repeatedly while the block runs."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            become_attacker()
            while True:
                attack()
        os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the attacker gave up"


def make_exports(parent: pathlib.Path) -> pathlib.Path:
    (parent / "exports").mkdir(0o700)
    return parent / "exports"


@KINDS
def test_directory_that_is_replaced_during_the_export_leads_nowhere(field: Arena, kind: str | None) -> None:
    exports = make_exports(field.owned / "parent")
    place = ExportPlace(str(exports / "alice"), kind)
    before = field.foreign_state()

    def exchange() -> None:
        os.rename(field.owned / "parent", field.owned / "away")
        (exports / hidden).mkdir(parents=True)
        for name in ("export", "scratch", "media", "previous"):
            (exports / hidden / name).symlink_to(field.foreign)
        os.symlink(field.foreign, exports / "alice")

    with contextlib.suppress(SynapseError), place.workplace() as work:
        work.prepare()
        pathlib.Path(work.export, "profile").write_text("{}")
        hidden = os.path.basename(os.path.dirname(work.export))
        attack_once(exchange)
        work.publish(MANIFEST)
    assert field.foreign_state() == before


@pytest.mark.skipif(not ROOT, reason="only for root there is somebody who could lead astray and must not")
class TestRoot:
    @KINDS
    def test_refuses_what_others_can_replace_before_it_does_anything(self, field: Arena, kind: str | None) -> None:
        exports = make_exports(field.owned / "parent")
        place = ExportPlace(str(exports / "alice"), kind)
        for action in (place.read, place.require_writable, lambda: place.is_whole(MANIFEST), lambda: publish(place)):
            with pytest.raises(InvalidInput, match=f"dest {place.path} cannot be used: .*/owned belongs to"):
                action()
        assert os.listdir(exports) == []

    @pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
    def test_refuses_a_directory_that_others_may_write(self, tmp_path: pathlib.Path, mode: int) -> None:
        exports = make_exports(tmp_path)
        os.chown(exports, 0, 65534)
        exports.chmod(mode)
        place = ExportPlace(str(exports / "alice"))
        for action in (place.read, place.require_writable, lambda: publish(place)):
            with pytest.raises(InvalidInput, match="may write to .*/exports, and could exchange"):
                action()
        assert os.listdir(exports) == []

    @KINDS
    def test_refuses_a_destination_that_belongs_to_another_user(self, tmp_path: pathlib.Path, kind: str | None) -> None:
        place = ExportPlace(str(tmp_path / "alice"), kind)
        publish(place)
        os.chown(place.path, UID, -1)
        with pytest.raises(InvalidInput, match="alice.* belongs to .*. Run the task as that user, or choose another"):
            place.read()

    def test_refuses_a_hidden_directory_of_another_user(self, tmp_path: pathlib.Path) -> None:
        place = ExportPlace(str(tmp_path / "alice"))
        with left_behind(place) as hidden:
            os.chown(hidden, UID, -1)
            for action in (place.require_writable, lambda: publish(place)):
                with pytest.raises(SynapseError, match="belongs to another user. Remove it"):
                    action()
            assert sorted(os.listdir(hidden)) == ["export", "scratch"]

    def test_does_not_make_a_directory_where_others_write(self, field: Arena) -> None:
        place = ExportPlace(str(field.owned / "exports" / "alice"), make_parent=True)
        for action in (place.require_writable, place.make_directories):
            with pytest.raises(InvalidInput, match="/owned belongs to"):
                action()
        assert not (field.owned / "exports").exists()


@KINDS
def test_attacker_in_a_directory_for_all_users_changes_nothing(field: Arena, kind: str | None) -> None:
    os.chown(field.owned, os.geteuid(), -1)
    field.owned.chmod(0o1777)
    exports = make_exports(field.owned)
    place = ExportPlace(str(exports / "alice"), kind)
    with left_behind(place) as hidden:
        pass
    names = [
        os.path.basename(hidden),
        *(os.path.basename(ExportPlace(place.path, kind).path) for kind in [place.archive]),
    ]
    before = field.foreign_state()

    def attack() -> None:
        for directory in (field.owned, exports):
            for path in (directory / name for name in (*names, "exports")):
                # For root, the content belongs to another user. Otherwise only the planted file is removed.
                with contextlib.suppress(OSError):
                    if ROOT:
                        os.rename(path, field.owned / "taken")
                with contextlib.suppress(OSError):
                    os.symlink(field.foreign, path)
                    os.unlink(path)
                with contextlib.suppress(OSError):
                    os.mkdir(path)
                    os.rmdir(path)

    made, rounds = 0, 60
    with attacked(attack):
        for number in range(rounds):
            with contextlib.suppress(SynapseError):
                manifest = publish(place, b"{}" * (number + 1))
                made += place.read() == manifest and place.is_whole(manifest)
            assert field.foreign_state() == before
    # Where no other user can write, no other user can interfere.
    assert made == rounds or not ROOT


def test_put_back_removed_and_cleared_are_what_is_there_itself(field: Arena) -> None:
    place = ExportPlace(str(make_exports(field.foreign.parent) / "alice"))
    before = field.foreign_state()
    with left_behind(place) as hidden:
        os.symlink(field.foreign, os.path.join(hidden, "media"))
        os.symlink(field.foreign, os.path.join(hidden, "export", "rooms"))
        os.symlink(field.foreign, os.path.join(hidden, "previous"))
    with place.workplace(resume=True) as work:
        assert os.listdir(os.path.dirname(work.export)) == []
        work.prepare()
        os.symlink(field.foreign, os.path.join(work.export, "rooms"))
        with pytest.raises(SynapseError, match="cannot be read back"):
            work.publish(MANIFEST)
    assert field.foreign_state() == before
    assert os.readlink(place.path) == str(field.foreign)


def test_archive_does_not_contain_its_owner(tmp_path: pathlib.Path) -> None:
    for kind in ("tar.gz", "zip"):
        publish(ExportPlace(str(tmp_path / "alice"), kind))
    with tarfile.open(tmp_path / "alice.tar.gz") as tar:
        told = [(entry.name, entry.mode, entry.uid, entry.gid, entry.uname, entry.gname) for entry in tar]
    assert told == [(f"alice/{name}", 0o600, 0, 0, "", "") for name in (MANIFEST_NAME, "profile")]
    with zipfile.ZipFile(tmp_path / "alice.zip") as archive:
        entries = [(entry.filename, entry.external_attr >> 16, entry.compress_type) for entry in archive.infolist()]
    mode = stat.S_IFREG | 0o600
    assert entries == [(f"alice/{name}", mode, zipfile.ZIP_DEFLATED) for name in (MANIFEST_NAME, "profile")]
