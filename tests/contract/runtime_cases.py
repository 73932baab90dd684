# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A running Synapse for synapse_runtime_info, and a server that is restarted again and again with other files."""

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
_FUTURE = 2161944000.0
_RECORDED = "caches: {global_factor: 0.3}\n"
_RELOADED = "Reloading config section 'caches'"


def parameters(place: Place, **more: t.Any) -> Parameters:
    """Return the parameters of the module, without those of the connection."""
    return {"config_path": place.server.config_path, "synapse_python": place.server.python, **more}


def look(place: Place, **more: t.Any) -> Result:
    """Run the module, which changes nothing, and return its result."""
    seen = play(place, MODULE, parameters(place, **more), token=False)
    assert not seen.get("failed"), seen
    assert not seen["changed"], seen
    return seen


def main_process(seen: Result) -> dict[str, t.Any]:
    """Return the one process of the result."""
    [process] = seen["processes"]
    return t.cast("dict[str, t.Any]", process)


def sized(seen: Result) -> dict[str, dict[str, t.Any]]:
    """Return the caches with a size of their own, by their names."""
    return {cache["name"]: cache for cache in main_process(seen)["caches"] if "max_size" in cache}


def as_configured(seen: Result) -> set[bool | None]:
    """Return the values of as_configured of the caches that have a size of their own; None where it is left out."""
    return {cache.get("as_configured") for cache in sized(seen).values()}


def outdated(seen: Result) -> list[str]:
    """Return the paths in outdated_by, which are the reason why the process must be restarted."""
    process = main_process(seen)
    assert process["restart_required"] is bool(process["outdated_by"])
    return [found["path"] for found in process["outdated_by"]]


def pid(server: Server) -> int:
    """Return the process id in Synapse's own pid file."""
    return int(Path(server.directory, "homeserver.pid").read_text())


def shown(place: Place) -> dict[str, t.Any]:
    """Return the state of a server that the module could change: its process and its files."""
    names = [Path(name) for name in place.server.config_path]
    files = {str(name): name.stat() for name in (*names, *names[1].iterdir())}
    return {"pid": pid(place.server), **{name: (found.st_mtime_ns, found.st_mode) for name, found in files.items()}}


def use(server: Server, unique: str) -> None:
    """Make requests that fill many of the caches."""
    alias = f"lobby-{unique}"
    body = {"preset": "public_chat", "room_alias_name": alias}
    # After a restart the room already exists.
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
    """A server that no other test uses, and how it was started the last time.

    `drop_in` and `late`: files that it may be started with; `record`: the restart record.
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
        """Remove the files of a test, and restore the content of the others."""
        self.drop_in.unlink(missing_ok=True)
        self.late.unlink(missing_ok=True)
        for name, content in self._files.items():
            path = Path(self.place.server.directory, name)
            if path.read_bytes() != content:
                path.write_bytes(content)

    def plain(self) -> None:
        """Let it run without files and variables of a test, and remove these files."""
        self.clean()
        if self._how != "plain":
            self.restart("plain")

    def recorded(self, *, complete: bool = True, untouched: bool = False) -> None:
        """Let it run with both files, one of them with a time in the future, and with a record of that.

        `complete`: both must still exist. Synapse reloads nothing if one of them is missing.
        `untouched`: and no case may have changed them since.
        """
        runs = self._how == "recorded" and (self.late.exists() or not complete)
        if runs and (not untouched or self.drop_in.read_text() == _RECORDED):
            return
        self.clean()
        write(self.drop_in, _RECORDED)
        self.write_late()
        self.write_record(look(self.place, gather=["freshness"]))
        self.restart("recorded")

    def with_environment(self, environment: dict[str, str], settings: str) -> None:
        """Let it run with environment variables, and with these settings in the drop-in."""
        self.clean()
        write(self.drop_in, settings)
        with mock.patch.dict(os.environ, environment):
            self.restart("environment")

    def restart(self, how: str = "plain") -> None:
        """Restart it with the current files, and use it."""
        # After a restart that fails, no case can use the server without a restart.
        self._how = "unknown"
        servers.restart(self.place.server)
        self._how = how
        use(self.place.server, self.place.unique)

    def reload(self) -> None:
        """Let it reload its configuration, and wait until it begins to."""
        log = Path(self.place.server.log)
        size = log.stat().st_size
        os.kill(pid(self.place.server), signal.SIGHUP)
        until(lambda: log.read_bytes()[size:], lambda found: _RELOADED.encode() in found)

    def write_late(self) -> None:
        """Write a setting that only a restart applies, with a time in the future, like after a clock that was wrong."""
        write(self.late, "enable_registration: false\n")
        os.utime(self.late, (_FUTURE, _FUTURE))

    def write_record(self, seen: Result) -> None:
        """Write the restart record."""
        write(self.record, json.dumps(seen["restart_record"]))


def jemalloc(directory: Path) -> Path:
    """Return the jemalloc of this machine, or another library with its name. A process only shows the name."""
    for root in (Path("/usr/lib"), Path("/usr/lib64")):
        for found in root.rglob("libjemalloc.so.2"):
            return found
    mapped = re.search(r"/\S*/libm[.-]\S*", Path("/proc/self/maps").read_text())
    assert mapped, "this Python has not loaded libm"
    return Path(shutil.copy(mapped.group(), directory / "libjemalloc.so.2"))
