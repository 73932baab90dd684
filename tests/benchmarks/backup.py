# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup with 1 GB of media against tar, which reads and writes the same files and hashes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from commands import Failed
from machine import cache
from measurement import Measurement, difference, figure
from place import Bench, bench

_MEDIA = 5000
_SIZE = 200_000
_ROUNDS = 5


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in about three minutes. They need 3 GB on the disk of the cache."""
    # The directory of a run may be in memory, where nobody keeps a backup.
    with (
        tempfile.TemporaryDirectory(dir=cache(), prefix="backup-") as disk,
        bench() as place,
        place.servers(["sqlite"]) as [server],
    ):
        backups = _Backups(place, server, Path(disk))
        # What is done for the first time takes longer.
        backups.back_up("include")
        rounds = [backups.round() for _round in range(_ROUNDS)]
    tar, without, whole = zip(*rounds, strict=True)
    yield Measurement(
        f"{_MEDIA} media of {_SIZE // 1000} kB: what they add to a backup, against tar -cf and fsync",
        difference(whole, without),
        figure(tar),
        ">=",
        0.8,
        inverted=True,
    )


class _Backups:
    def __init__(self, place: Bench, server: dict[str, t.Any], disk: Path) -> None:
        self._place = place
        self._server = server
        self._disk = disk
        self._store = disk / "media_store"
        who = (server["admin_user_id"], str(_MEDIA), str(_SIZE))
        # Synapse would need minutes to take them; it gives them away as it does what was uploaded.
        place.run("many_media.py", server["database"]["database"], str(self._store), *who)
        configured = Path(server["directory"], "media_store")
        shutil.rmtree(configured)
        configured.symlink_to(self._store)

    def round(self) -> tuple[float, float, float]:
        """Return the seconds of tar, and of a backup without and with the media.

        A virtual machine may give memory that is free for a few seconds back to its host, and the next who writes as
        much as here needs twice the time. So a short backup is made before each of both.
        """
        self.back_up("location")
        tar = self.run_tar()
        return tar, self.back_up("location"), self.back_up("include")

    def run_tar(self) -> float:
        """Pack the media with tar, and return the seconds until they are on the disk."""
        archive = self._disk / "media.tar"
        # What was written before is not what is measured.
        os.sync()
        begin = time.monotonic()
        subprocess.run(["tar", "-cf", archive, "-C", self._disk, self._store.name], check=True)
        with archive.open("rb") as file:
            os.fsync(file.fileno())
        seconds = time.monotonic() - begin
        archive.unlink()
        return seconds

    def back_up(self, media: str) -> float:
        """Make a backup of the server, with its media or only their location, and return the seconds of the task."""
        directory = self._disk / "backups"
        options = {
            "config_path": self._server["config_path"],
            "synapse_python": self._server["python"],
            "working_directory": self._server["directory"],
            "manager": "daemon",
            "dest_directory": str(directory),
            "media": media,
        }
        os.sync()
        seconds = self._place.play({"matrix_ops.synapse.synapse_backup": options}).seconds
        [archive] = directory.glob("*.tar")
        if media == "include" and archive.stat().st_size < _MEDIA * _SIZE:
            raise Failed(f"{archive} is too small to contain all media.")
        shutil.rmtree(directory)
        return seconds
