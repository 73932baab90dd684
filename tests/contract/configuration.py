# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a Synapse that does not run: its configuration, and Synapse's own code that reads it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

OWN_NAME = "50-own.yaml"
# Ansible itself tells these of every file that is there.
TOLD_BY_ANSIBLE = ("uid", "gid", "owner", "group", "mode", "size", "state", "secontext")

_READER = Path(__file__).with_name("read_as_synapse.py")


class SynapseReader:
    """Synapse's own code, in a process of its own that has loaded it once."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def says(self, paths: t.Sequence[str]) -> Json:
        """Return all settings that files and directories make together."""
        return self._ask(paths, ())

    def takes(self, paths: t.Sequence[str], *settings: str) -> Json:
        """Return what Synapse makes of some settings, by its own names, such as server.server_name."""
        return self._ask(paths, settings)

    def _ask(self, paths: t.Sequence[str], settings: t.Sequence[str]) -> Json:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"paths": paths, "settings": settings}), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return t.cast("Json", answer["read"])


@contextlib.contextmanager
def synapse_reader() -> t.Iterator[SynapseReader]:
    """Start a process that reads configurations as Synapse does."""
    with subprocess.Popen(
        [os.environ["CONTRACT_SYNAPSE_PYTHON"], _READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        cwd=tempfile.gettempdir(),
    ) as process:
        yield SynapseReader(process)


def unstarted(directory: Path) -> Place:
    """Return the place of a case that asks no server: files in a directory, and secrets that no module may tell."""
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
    """Write a main configuration and a directory beside it with the file of somebody else, as its server names them."""
    main, directory = map(Path, place.server.config_path)
    directory.mkdir(mode=0o700)
    write(
        main,
        f"server_name: {place.server.name}\nreport_stats: false\nregistration_shared_secret: {place.server.secret}\n",
    )
    write(directory / "rate_limits.yaml", "rc_message: {per_second: 1000, burst_count: 1000}\n")


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file with exactly that mode."""
    path.write_text(text)
    path.chmod(mode)


def look_at_files(place: Place) -> State:
    """Return every entry of the place's directory with what a module could have changed of it."""
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
    """Return the parameters of a module that speaks with no server, so that it gets no address of one."""
    return {"base_url": None, **parameters}


def own_path(place: Place) -> str:
    """Return where the drop-in of the case is to be."""
    return f"{place.server.config_path[1]}/{OWN_NAME}"


def declared(place: Place, **parameters: t.Any) -> Parameters:
    """Return the parameters of synapse_config, with the drop-in of the case unless they name another file."""
    return without_server(**{"config_path": place.server.config_path, "path": own_path(place), **parameters})


def configure(place: Place, **parameters: t.Any) -> Result:
    """Run synapse_config with what is declared, and return its result. It has to succeed."""
    done = play(place, "synapse_config", declared(place, **parameters), token=False)
    assert not done.get("failed"), done
    return done


def write_beside(place: Place, files: t.Mapping[str, str]) -> None:
    """Write files by their names into the directory of drop-ins."""
    for name, text in files.items():
        write(Path(place.server.config_path[1], name), text)
