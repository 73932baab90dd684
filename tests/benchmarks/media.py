# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The media of an export, downloaded and copied, against a bare session that downloads them."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

from commands import Failed
from measurement import Measurement, difference, figure
from place import Bench, bench

# So many that even copying them takes far longer than the export around it varies.
_MEDIA = 5000
_SIZE = 100_000
_ROUNDS = 3
_PARALLEL = 4


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in about five minutes. They need 2 GB for temporary files."""
    with bench() as place, place.servers(["sqlite"]) as [server]:
        exports = _Exports(place, server)
        # What is done for the first time takes longer.
        exports.export(media=False)
        rounds = [
            (
                exports.download_bare(),
                exports.export(media=False),
                exports.export(media_source="client_api"),
                exports.export(media_source="auto"),
            )
            for _round in range(_ROUNDS)
        ]
    bare, without, downloaded, copied = zip(*rounds, strict=True)
    name = f"{_MEDIA} media of {_SIZE // 1000} kB: what they add to an export"
    alternative = figure(bare)
    yield Measurement(
        f"{name}, downloaded, against {_PARALLEL} bare downloads at a time",
        difference(downloaded, without),
        alternative,
        ">=",
        0.9,
        inverted=True,
    )
    yield Measurement(
        f"{name}, as by default, against the same", difference(copied, without), alternative, ">=", 4, inverted=True
    )


class _Exports:
    def __init__(self, place: Bench, server: dict[str, t.Any]) -> None:
        self._place = place
        self._server = server
        self._token = place.write("token", server["admin_access_token"])
        store = str(Path(server["directory"], "media_store"))
        who = (server["admin_user_id"], str(_MEDIA), str(_SIZE))
        # Synapse would need minutes to take them; it gives them away as it does what was uploaded.
        made = place.run("many_media.py", server["database"]["database"], store, *who)
        names = [f"{server['server_name']}/{media_id}" for media_id in made["media_ids"]]
        self._media = place.write("media.json", names)

    def download_bare(self) -> float:
        """Download the media with a bare session, and return the seconds."""
        directory = self._place.make_directory("bare")
        arguments = (self._server["base_url"], self._token, self._media, str(_PARALLEL), directory)
        done = self._place.run("bare_session.py", "fetch", *arguments)
        sizes = [path.stat().st_size for path in directory.iterdir()]
        shutil.rmtree(directory)
        if sizes != [_SIZE] * _MEDIA:
            raise Failed(f"Of {_MEDIA} media, {sizes.count(_SIZE)} were downloaded.")
        return float(done["seconds"])

    def export(self, **more: t.Any) -> float:
        """Export the account with everything, and return the seconds of the task."""
        directory = self._place.make_directory("export")
        options = {
            "base_url": self._server["base_url"],
            "access_token_path": str(self._token),
            "config_path": self._server["config_path"],
            "synapse_python": self._server["python"],
            "user_id": self._server["admin_user_id"],
            "dest": str(directory / "export"),
            "media": True,
            "require_all_media": True,
            "parallel": _PARALLEL,
            **more,
        }
        seconds = self._place.play({"matrix_ops.synapse.synapse_export": options}).seconds
        shutil.rmtree(directory)
        return seconds
