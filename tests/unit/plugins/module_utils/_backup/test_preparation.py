# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import collections
import os
import pathlib
import shutil
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup import preparation
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.destination import Destination
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.encryption import Recipients
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.found_database import DatabaseFound
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.media import Size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.preparation import Prepared
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.surroundings import ServiceDescription
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

_GIB = 1 << 30
_Usage = collections.namedtuple("_Usage", "total used free")


def _prepared(tmp_path: pathlib.Path, engine: str) -> Prepared:
    # On the same file system, and still not the same directory.
    (tmp_path / "other").mkdir()
    settings = DatabaseSettings("sqlite3", {"database": str(tmp_path / "homeserver.db")}, "homeserver.yaml")
    return Prepared(
        "example.org",
        Destination(str(tmp_path / "other" / "backups"), "example.org"),
        Recipients(),
        DatabaseFound(settings, None, {"engine": engine}, 2 * _GIB),
        [],
        Size(10, 3 * _GIB),
        [],
        ServiceDescription({}, [], []),
        {},
    )


@pytest.mark.parametrize(
    ("engine", "free", "is_enough"),
    [("postgresql", 6, True), ("postgresql", 5.9, False), ("sqlite", 8, True), ("sqlite", 7.9, False)],
)
def test_free_space(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, engine: str, free: float, is_enough: bool
) -> None:
    asked: list[str] = []

    def usage(path: str) -> t.Any:
        asked.append(path)
        return _Usage(100 * _GIB, 0, int(free * _GIB))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    prepared = _prepared(tmp_path, engine)
    assert prepared.estimate == 5 * _GIB
    if is_enough:
        preparation.require_space(prepared, _GIB)
    else:
        with pytest.raises(SynapseError, match=r"may need [57] GiB .* with a margin of 1 GiB .* [57] GiB are free"):
            preparation.require_space(prepared, _GIB)
    assert all(os.path.exists(path) for path in asked)
