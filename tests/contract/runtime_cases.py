# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A running Synapse as synapse_runtime_info looks at it, and one that is started again and again in other ways."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import typing as t
import urllib.parse
from pathlib import Path
from unittest import mock

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import write
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

MODULE = "synapse_runtime_info"
# In July 2038.
_TO_COME = 2161944000.0
_NOTED = "caches: {global_factor: 0.3}\n"
_RELOADED = "Reloading config section 'caches'"


def parameters(place: Place, **more: t.Any) -> Parameters:
    """Return the parameters of the module, which has no connection."""
    files = {"config_path": place.server.config_path, "synapse_python": place.server.python}
    return {"base_url": None, "access_token": None, **files, **more}


def look(place: Place, **more: t.Any) -> Result:
    """Look at the server, which changes nothing, and return what was seen."""
    seen = play(place, MODULE, parameters(place, **more), token=False)
    assert not seen.get("failed"), seen
    assert not seen["changed"], seen
    return seen


def main_process(seen: Result) -> dict[str, t.Any]:
    """Return the one process that was seen."""
    [process] = seen["processes"]
    return t.cast("dict[str, t.Any]", process)


def sized(seen: Result) -> dict[str, dict[str, t.Any]]:
    """Return the caches with a size of their own, by their names."""
    return {cache["name"]: cache for cache in main_process(seen)["caches"] if cache["max_size"] is not None}


def as_configured(seen: Result) -> set[bool | None]:
    """Return what is said of the caches that have a size of their own."""
    return {cache["as_configured"] for cache in sized(seen).values()}


def outdated(seen: Result) -> list[str]:
    """Return the paths of what has changed since the process was started."""
    return [found["path"] for found in main_process(seen)["outdated_by"]]


def pid(server: Server) -> int:
    """Return the number that Synapse itself has noted."""
    return int(Path(server.directory, "homeserver.pid").read_text())


def shown(place: Place) -> dict[str, t.Any]:
    """Return what looking at a server could change of it: its process and its files."""
    names = [Path(name) for name in place.server.config_path]
    files = {str(name): name.stat() for name in (*names, *names[1].iterdir())}
    return {"pid": pid(place.server), **{name: (found.st_mtime_ns, found.st_mode) for name, found in files.items()}}


def use(server: Server, unique: str) -> None:
    """Make requests that fill many of the caches."""
    alias = f"lobby-{unique}"
    body = {"preset": "public_chat", "room_alias_name": alias}
    # The room is there already after a restart.
    assert server.ask("POST", "/_matrix/client/v3/createRoom", body)[0] in (200, 400)
    for path in (
        "/_matrix/client/v3/sync?timeout=0",
        "/_matrix/client/v3/devices",
        "/_matrix/client/v3/publicRooms",
        "/_matrix/client/v3/pushrules/",
        f"/_matrix/client/v3/profile/{server.admin}",
        f"/_matrix/client/v3/directory/room/{urllib.parse.quote(f'#{alias}:{server.name}', safe='')}",
        "/_synapse/admin/v2/users",
        "/_synapse/admin/v1/rooms",
        f"/_synapse/admin/v2/users/{server.user}",
    ):
        server.get(path)


class Restarts:
    """A server that nobody else uses, and how it was started the last time.

    `drop_in` and `late`: files that it may be started with; `record`: what was noted before it was.
    """

    def __init__(self, server: Server, directory: Path) -> None:
        self.place = Place(server, "own", directory)
        self.directory = Path(server.config_path[1])
        self.drop_in = self.directory / "90-test.yaml"
        self.late = self.directory / "91-late.yaml"
        self.record = directory / "restart.json"
        self._how = "plain"
        self._files = {name: Path(server.directory, name).read_bytes() for name in ("log_config.yaml", "signing.key")}
        use(server, self.place.unique)

    def clean(self) -> None:
        """Take away the files of a test, and undo what it has done to others."""
        self.drop_in.unlink(missing_ok=True)
        self.late.unlink(missing_ok=True)
        for name, content in self._files.items():
            path = Path(self.place.server.directory, name)
            if path.read_bytes() != content:
                path.write_bytes(content)

    def plain(self) -> None:
        """Let it run without files and variables of a test, and have none of these files there."""
        self.clean()
        if self._how != "plain":
            self.restart("plain")

    def noted(self, *, complete: bool = True, untouched: bool = False) -> None:
        """Let it run with both files, of which one has a time to come, and have noted that before it was started.

        `complete`: they have to be there still. Synapse reads nothing again if one of them is gone.
        `untouched`: and no case may have changed them since.
        """
        there = self._how == "noted" and (self.late.exists() or not complete)
        if there and (not untouched or self.drop_in.read_text() == _NOTED):
            return
        self.clean()
        write(self.drop_in, _NOTED)
        self.write_late()
        self.note(look(self.place, gather=["freshness"]))
        self.restart("noted")

    def with_environment(self, environment: dict[str, str], settings: str) -> None:
        """Let it run with variables, and with what the drop-in says."""
        self.clean()
        write(self.drop_in, settings)
        with mock.patch.dict(os.environ, environment):
            self.restart("environment")

    def restart(self, how: str = "plain") -> None:
        """Restart it with the files that are there, and use it."""
        # A restart that fails leaves a server that no case can take as it is.
        self._how = "unknown"
        servers.restart(self.place.server)
        self._how = how
        use(self.place.server, self.place.unique)

    def reload(self) -> None:
        """Let it read its configuration again, and wait until it has begun to."""
        log = Path(self.place.server.log)
        size = log.stat().st_size
        os.kill(pid(self.place.server), signal.SIGHUP)
        until(lambda: log.read_bytes()[size:], lambda found: _RELOADED.encode() in found)

    def write_late(self) -> None:
        """Write what only a restart applies, and give it a time to come, as a clock does that goes wrong."""
        write(self.late, "enable_registration: false\n")
        os.utime(self.late, (_TO_COME, _TO_COME))

    def note(self, seen: Result) -> None:
        """Note what it is about to be started with."""
        write(self.record, json.dumps(seen["started_with"]))


def jemalloc(directory: Path) -> Path:
    """Return the jemalloc of this machine, or another library under its name, which is all that a process shows."""
    for root in (Path("/usr/lib"), Path("/usr/lib64")):
        for found in root.rglob("libjemalloc.so.2"):
            return found
    mapped = re.search(r"/\S*/libm[.-]\S*", Path("/proc/self/maps").read_text())
    assert mapped, "this Python has not loaded libm"
    return Path(shutil.copy(mapped.group(), directory / "libjemalloc.so.2"))
