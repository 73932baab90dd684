# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup import resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.backup import WrittenBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.declared import DeclaredBackup
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.resource import BackupResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.retention import Retention
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import StateNotReached

_NOW = 1_769_860_800
_NEW, _OLD = "synapse-example.org-20260131T120000Z.tar", "synapse-example.org-20260101T120000Z.tar"

_ALL = Retention()


class _Prepared:
    estimate = 4096


def _add(directory: pathlib.Path, name: str, created: int) -> dict[str, t.Any]:
    sidecar = {
        **{"format": 1, "archive": name, "server_name": "example.org", "size": 3, "media": "include"},
        **{"encryption": "", "recipients": [], "extra_paths": [], "verified": False, "created_ts": created * 1000},
    }
    (directory / name).write_text("tar")
    (directory / f"{name}.json").write_text(json.dumps(sidecar))
    return sidecar


class _Backup:
    lost = False

    def __init__(self, declared: DeclaredBackup) -> None:
        self._directory = pathlib.Path(declared.dest_directory)

    def prepare(self) -> _Prepared:
        return _Prepared()

    def write(self) -> WrittenBackup:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        sidecar = _add(self._directory, _NEW, _NOW)
        if self.lost:
            (self._directory / _NEW).unlink()
        return WrittenBackup(str(self._directory / _NEW), 3, {"media": {"vanished": ["0/x"], "skipped": []}}, sidecar)


@pytest.fixture(name="make")
def prepare(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., BackupResource]:
    (tmp_path / "homeserver.yaml").write_text("server_name: example.org")
    monkeypatch.setattr(resource, "Backup", _Backup)

    def make(retention: Retention = _ALL, max_age: int = 3600) -> BackupResource:
        declared = DeclaredBackup(str(tmp_path / "backups"), (str(tmp_path / "homeserver.yaml"),))
        return BackupResource(declared, retention, max_age, lambda: _NOW + 10)

    return make


def _run(found: BackupResource) -> dict[str, t.Any]:
    plan = found.plan()
    plan.execute()
    found.verify(plan)
    return t.cast("dict[str, t.Any]", found.result(plan, True)["backup"])


def test_a_new_backup_and_none(make: t.Callable[..., BackupResource], tmp_path: pathlib.Path) -> None:
    found = make()
    plan = found.plan()
    assert [step.description for step in plan.steps] == [f"make a backup of example.org in {tmp_path}/backups"]
    predicted = found.result(plan, False)["backup"]
    assert (predicted["estimated_size"], predicted["kept"], "path" in predicted) == (4096, 1, False)
    done = _run(make())
    assert (done["path"], done["vanished_media"]) == (str(tmp_path / "backups" / _NEW), ["0/x"])
    again = make()
    assert again.plan().steps == ()
    assert _run(again)["path"] == done["path"]


def test_old_ones_are_removed(make: t.Callable[..., BackupResource], tmp_path: pathlib.Path) -> None:
    (tmp_path / "backups").mkdir(mode=0o700)
    _add(tmp_path / "backups", _OLD, _NOW - 30 * 86400)
    found = make(Retention(last=1))
    plan = found.plan()
    assert plan.before == {"archives": [_OLD]}
    assert plan.after == {"archives": ["a new backup"]}
    assert [step.description for step in plan.steps][1:] == [f"remove {_OLD}"]
    assert found.result(plan, False)["backup"]["removed"] == [_OLD]
    done = _run(make(Retention(last=1)))
    assert (done["removed"], done["kept"]) == ([_OLD], 1)
    assert not (tmp_path / "backups" / _OLD).exists()


def test_after_a_failed_removal_no_second_backup_is_planned(
    make: t.Callable[..., BackupResource], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "backups").mkdir(mode=0o700)
    _add(tmp_path / "backups", _OLD, _NOW - 30 * 86400)
    found = make(Retention(last=1), max_age=0)
    plan = found.plan()
    plan.steps[0].run()
    assert [step.description for step in found.plan().steps] == [f"remove {_OLD}"]


def test_a_backup_that_is_lost_at_once(make: t.Callable[..., BackupResource], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Backup, "lost", True)
    with pytest.raises(StateNotReached, match="is not there"):
        _run(make())
