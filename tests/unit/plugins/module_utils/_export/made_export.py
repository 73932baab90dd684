# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small exports for tests."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.manifest import File, Manifest
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.place import ExportPlace

MANIFEST = Manifest(
    user_id="@alice:s.test",
    server_name="s.test",
    created_ts=1_769_860_800_000,
    synapse_version="1.163.2",
    collection_version="1.0.0",
    summary={"rooms": 0},
    ids={"rooms/x": "!x"},
    rooms=[],
    pending_rooms=[{"room_id": "!i", "membership": "invite"}],
    forgotten_rooms=["!forgotten"],
    includes_forgotten_rooms=False,
    includes_quarantined_media=False,
    media=[{"media_id": "a"}, {"media_id": "b", "reason": "gone"}],
    not_exported=[{"name": "keys", "reason": "no"}],
    files=[File("profile", 2, "0" * 64, "application/json")],
)


def publish(place: ExportPlace, content: bytes = b"{}", name: str = "profile") -> Manifest:
    """Make an export that contains one file, and return its manifest."""
    manifest = dataclasses.replace(MANIFEST, files=[File(name, len(content), "0" * 64, "application/json")])
    with place.workplace() as work:
        work.prepare()
        pathlib.Path(work.export, name).write_bytes(content)
        work.publish(manifest)
    return manifest


@contextlib.contextmanager
def left_behind(place: ExportPlace) -> t.Iterator[str]:
    """Leave the hidden directory as a killed task does, and return its path."""
    pid = os.fork()
    if pid == 0:
        with place.workplace() as work:
            work.prepare()
            os._exit(0)
    os.waitpid(pid, 0)
    parent = os.path.dirname(place.path)
    (hidden,) = (os.path.join(parent, name) for name in os.listdir(parent) if name.startswith("."))
    yield hidden
