# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a Synapse that is not started, and Synapse's own code that reads it."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import secrets
import stat
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server
from ansible_collections.matrix_ops.synapse.tests.contract.synapse_code import Ask, synapse_code

OWN_NAME = "50-own.yaml"


class SynapseReader:
    """Synapse's own code that reads configurations."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def says(self, paths: t.Sequence[str]) -> Json:
        """Return all settings in these files and directories."""
        return self.takes(paths)

    def takes(self, paths: t.Sequence[str], *settings: str) -> Json:
        """Return settings as Synapse has parsed them, by its internal names, such as server.server_name."""
        return t.cast("Json", self._ask({"paths": paths, "settings": settings})["read"])


@contextlib.contextmanager
def synapse_reader() -> t.Iterator[SynapseReader]:
    """Start a process that reads configurations as Synapse does."""
    with synapse_code("read_as_synapse.py") as ask:
        yield SynapseReader(ask)


def unstarted(directory: Path) -> Place:
    """Return the place of a case without a server: files in a directory, and secrets that no module may return."""
    described: Json = {
        name: f"unstarted-{name}-{secrets.token_hex(8)}"
        for name in (
            "admin_access_token",
            "admin_password",
            "admin_user_id",
            "engine",
            "log",
            "metrics_url",
            "python",
            "registration_shared_secret",
            "user_access_token",
            "user_id",
            "user_password",
        )
    }
    paths = [str(directory / name) for name in ("homeserver.yaml", "conf.d")]
    described |= {"server_name": "unstarted.test", "base_url": "http://127.0.0.1:1", "database": {}}
    return Place(
        Server({**described, "directory": str(directory), "config_path": paths}), secrets.token_hex(4), directory
    )


def write_configuration(place: Place) -> None:
    """Write the main configuration of the server, and a directory with a file that the module did not write."""
    main, directory = map(Path, place.server.config_path)
    directory.mkdir(mode=0o700)
    write(
        main,
        f"server_name: {place.server.name}\nreport_stats: false\nregistration_shared_secret: {place.server.secret}\n",
    )
    write(directory / "rate_limits.yaml", "rc_message: {per_second: 1000, burst_count: 1000}\n")


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file with exactly this mode."""
    path.write_text(text)
    path.chmod(mode)


def look_at_files(place: Place) -> State:
    """Return every entry in the directory of the place, with all that a module could have changed."""
    return _look(str(place.directory))


def look_at_configuration(place: Place) -> State:
    """Return the same of the configuration of the place's server."""
    main, directory = place.server.config_path
    return {main: _seen(main), **_look(directory)}


def _look(directory: str) -> State:
    found: State = {}
    for around, directories, files in os.walk(directory):
        for name in (".", *directories, *files):
            path = os.path.normpath(os.path.join(around, name))
            found[path] = _seen(path)
    return found


def _seen(path: str) -> str:
    status = os.lstat(path)
    target = os.readlink(path) if os.path.islink(path) else ""
    return (
        f"{status.st_mode:o} {status.st_uid} {status.st_gid} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
        f" {target}"
    )


def without_server(**parameters: t.Any) -> Parameters:
    """Return the parameters of a module without connection options."""
    return {"base_url": None, **parameters}


def attributes_of(path: str) -> dict[str, str]:
    """Return the owner, group and mode of a file."""
    status = os.stat(path)
    return {
        "owner": pwd.getpwuid(status.st_uid).pw_name,
        "group": grp.getgrgid(status.st_gid).gr_name,
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
    }


def own_path(place: Place) -> str:
    """Return the path of the drop-in of the case."""
    return f"{place.server.config_path[1]}/{OWN_NAME}"


def declared(place: Place, **parameters: t.Any) -> Parameters:
    """Return the parameters of synapse_config, with the drop-in of the case unless they contain another path."""
    return without_server(**{"config_path": place.server.config_path, "path": own_path(place), **parameters})


def configure(place: Place, **parameters: t.Any) -> Result:
    """Run synapse_config with these parameters, and return its result. It must succeed."""
    done = play(place, "synapse_config", declared(place, **parameters), token=False)
    assert not done.get("failed"), done
    return done


def write_beside(place: Place, files: t.Mapping[str, str]) -> None:
    """Write files to the directory of drop-ins."""
    for name, text in files.items():
        write(Path(place.server.config_path[1], name), text)
