# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Destinations of synapse_export that fail and that only root can create: full disks, directories of other users."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import play
from ansible_collections.matrix_ops.synapse.tests.contract.export_people import collector, people
from ansible_collections.matrix_ops.synapse.tests.contract.export_proof import (
    MODULE,
    declare,
    exports,
    left,
    on_each_engine,
    prove_refused,
)

pytestmark = [
    on_each_engine("exports without room"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk and give directories away"),
]


@pytest.fixture
def disk(place: Place) -> t.Iterator[Path]:
    """A disk of 64 KiB among the exports."""
    path = exports(place) / "disk"
    path.mkdir(0o700)
    _mount("-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(path))
    try:
        yield path
    finally:
        # A process that was just killed may still have a file open there.
        subprocess.run(["umount", "--lazy", path], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def test_more_than_the_disk_holds(place: Place, disk: Path) -> None:
    result = play(place, MODULE, declare(place, people(place.server).odd.localpart, "disk/full"))
    assert result.get("failed"), result
    assert "No space left on device. Free space" in result["msg"]
    assert list(disk.iterdir()) == []


def test_more_files_than_the_disk_holds(place: Place, disk: Path) -> None:
    # All but the biggest file.
    _mount("-o", "remount,size=2m", str(disk))
    result = play(place, MODULE, declare(place, collector(place.server).person.localpart, "disk/full", media=True))
    assert result.get("failed"), result
    assert re.search("The disk is full: .* Free some space", result["msg"]), result
    # The media are not kept either, because the disk would stay full.
    assert list(disk.iterdir()) == []


def test_mount_point_of_the_disk_itself(place: Place, disk: Path) -> None:
    place.server.make_account(f"{place.unique}-one")
    prove_refused(place, "is a mount point", declare(place, place.user("one"), "disk"))
    assert list(disk.iterdir()) == []


def test_read_only_disk(place: Place, disk: Path) -> None:
    place.server.make_account(f"{place.unique}-one")
    _mount("-o", "remount,ro", str(disk))
    prove_refused(place, "/disk is on .* mounted read-only", declare(place, place.user("one"), "disk/read_only"))


@pytest.mark.parametrize(
    ("owner", "mode", "name", "message"),
    [
        pytest.param(
            "nobody",
            0o755,
            "theirs/exports/export",
            "/exports/theirs belongs to nobody, who could exchange what root writes there",
            id="of another user",
        ),
        pytest.param(
            "root",
            0o1777,
            "theirs/export",
            "every user may write to .*/exports/theirs, and could exchange what root writes there",
            id="of all users",
        ),
    ],
)
def test_directory_in_which_others_can_replace_it(place: Place, owner: str, mode: int, name: str, message: str) -> None:
    place.server.make_account(f"{place.unique}-one")
    theirs = exports(place) / "theirs"
    (theirs / "exports").mkdir(0o700, parents=True)
    shutil.chown(theirs, owner)
    theirs.chmod(mode)
    prove_refused(place, message, declare(place, place.user("one"), name))
    assert left(place) == ["theirs"]
