# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports: media against the loop of the FAQ, and events read as a stream against a text that is in memory."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import typing as t
from pathlib import Path

from commands import Failed, execute
from measurement import Measurement
from place import Bench, bench
from stage import staged
from virtual_environments import ENVIRONMENTS

_MEDIA = 500
_SIZE = 100_000
_ROUNDS = 3
_MEGABYTE = 1_000_000
_EVENTS_MEGABYTES = 500
_STREAM = Path(__file__).resolve().with_name("event_stream.py")


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group, in about five minutes. They need some 700 MB for temporary files."""
    with bench() as place, place.servers(["sqlite"]) as [server]:
        yield from _media(place, server)
    yield from _events()


def _media(place: Bench, server: dict[str, t.Any]) -> t.Iterator[Measurement]:
    token = place.write("token", server["admin_access_token"])
    given = place.run("upload_media.py", server["base_url"], token, str(_MEDIA), str(_SIZE))
    media_ids = place.write("media_ids.json", given["media_ids"])
    rounds: dict[str, list[float]] = {"wget": [], "api": [], "auto": []}
    for number in range(_ROUNDS):
        directory = place.make_directory(f"wget_{number}")
        arguments = (server["base_url"], token, server["server_name"], media_ids, directory)
        fetched = place.run("wget_loop.py", *arguments)
        if fetched["count"] != _MEDIA:
            raise Failed(f"The loop fetched {fetched['count']} of {_MEDIA} files.")
        rounds["wget"].append(fetched["seconds"])
        without = _export(place, server, token, f"without_{number}", media=False)
        for source in ("api", "auto"):
            rounds[source].append(_export(place, server, token, f"{source}_{number}", media_source=source) - without)
    wget = statistics.median(rounds["wget"])
    name = f"{_MEDIA} media of {_SIZE // 1000} kB: what they add to an export"
    yield Measurement(f"{name}, downloaded", statistics.median(rounds["api"]), wget, ">=", 4, inverted=True)
    yield Measurement(f"{name}, as by default", statistics.median(rounds["auto"]), wget, ">=", 4, inverted=True)


def _export(place: Bench, server: dict[str, t.Any], token: Path, name: str, **more: t.Any) -> float:
    """Export the account with everything, and return the seconds of the task."""
    options = {
        "base_url": server["base_url"],
        "access_token_path": str(token),
        "config_path": server["config_path"],
        "synapse_python": server["python"],
        "user_id": server["admin_user_id"],
        "destination": str(place.make_directory(f"export_{name}") / "export"),
        "media": True,
        "strict": True,
        **more,
    }
    return place.play({"matrix_ops.synapse.synapse_export": options}).seconds


def _events() -> t.Iterator[Measurement]:
    python = ENVIRONMENTS["synapse"].build() / "bin" / "python"
    with staged() as collection, tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_bench_") as directory:
        environment = {"PYTHONPATH": str(collection.parents[2])}
        path = os.path.join(directory, "events")
        megabytes = str(_EVENTS_MEGABYTES)

        def run(command: str, *further: str) -> dict[str, float]:
            printed = execute([python, _STREAM, command, path, *further], Path(directory), environment)
            return t.cast("dict[str, float]", json.loads(printed))

        run("write", megabytes)
        rounds = [(run("stream"), run("memory")) for _round in range(_ROUNDS)]
    streamed = statistics.median(ours["seconds"] for ours, _alternative in rounds)
    decoded = statistics.median(alternative["seconds"] for _ours, alternative in rounds)
    if len({one["events"] for pair in rounds for one in pair}) != 1:
        raise Failed("Both did not read the same number of events.")
    name = f"events of {megabytes} MB"
    memory = max(ours["memory"] for ours, _alternative in rounds)
    yield Measurement(f"{name}: memory", memory / _MEGABYTE, 100, "<=", 1, "MB")
    yield Measurement(f"{name}: speed, against the text in memory", streamed, decoded, ">=", 0.6, inverted=True)
