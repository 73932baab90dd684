# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A big server is moved to PostgreSQL: how long it does not answer, and what is there afterwards.

database_rounds.py move BIG_SERVER
    Prints, as JSON, the seconds of the outage, those of the bare last passes, and how many objects were the same.
database_rounds.py kill BIG_SERVER SECONDS
    Kills the move after so many seconds and lets the next run finish it. Prints whether everything is there then.
database_rounds.py module PARAMETERS
    Runs the module as a process of its own: prints its result as JSON.

Runs on the Python of the contract tests, with the collection, the files of setup_synapse and this directory on its
path.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import big_server_copy
import postgresql
import psycopg2
import yaml
from server_content import Objects, tables_that_differ
from server_users import Talk, Watch

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

_MODULE = "synapse_postgresql_migration"
_BARE_PASSES = 3
# Synapse's program does not know itself how to go on where numbers were given to rows that are gone.
_GO_ON = "DELETE FROM stream_positions"


class Wrong(Exception):
    """The server is not as it must be. The message says what."""


class Move:
    """A copy of a big server, which runs, and a database that it can be moved to."""

    def __init__(self, server: Server, cluster: Json, name: str) -> None:
        self.server = server
        self.source = str(server.database["database"])
        self.target = {"host": cluster["host"], "port": cluster["port"], "dbname": name}
        self.target |= {key: cluster[key] for key in ("user", "password")}
        _execute(cluster, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")

    def start(self) -> subprocess.Popen[str]:
        """Start the module, as the leader of its process group."""
        parameters = {
            "base_url": self.server.base_url,
            "access_token": self.server.token,
            "config_path": self.server.config_path,
            "manager": "daemon",
            "synapse_python": self.server.python,
            "working_directory": self.server.directory,
            **{f"login_{key.replace('dbname', 'db')}": value for key, value in self.target.items()},
        }
        return subprocess.Popen(
            [sys.executable, __file__, "module", json.dumps(parameters)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self) -> Json:
        """Run the module to its end, and return its result. Raises Wrong if it fails."""
        process = self.start()
        printed, _nothing = process.communicate()
        result: Json = json.loads(printed.splitlines()[-1]) if printed.strip() else {"msg": "no result", "failed": True}
        if result.get("failed"):
            raise Wrong(f"The module failed: {result['msg']}")
        return result

    def answers(self) -> bool:
        """Whether the server runs."""
        try:
            return self.server.ask("GET", "/_matrix/client/versions", None, "")[0] == 200
        except OSError:
            self.server.forget_connection()
            return False

    def prove(self, objects: Objects, talk: Talk) -> None:
        """Require that everything is there after the move. Stops the server. Raises Wrong."""
        self.server.forget_connection()
        if lost := talk.lost():
            raise Wrong(f"The server has accepted events that are gone: {lost}")
        if different := objects.that_differ():
            raise Wrong(f"The API shows something else than before: {different}")
        if not self.uses_postgresql():
            raise Wrong("The server does not use PostgreSQL.")
        servers.halt(self.server)
        if different := tables_that_differ(self.source, self.target):
            raise Wrong(f"There are other rows than before: {different}")

    def uses_postgresql(self) -> bool:
        """Whether the last one who says something of the database says that it is PostgreSQL."""
        dropins = sorted(Path(self.server.config_path[1]).glob("*.yaml"))
        named = [yaml.safe_load(path.read_text()).get("database", {}).get("name") for path in dropins]
        return [name for name in named if name][-1:] == ["psycopg2"]


@contextlib.contextmanager
def ready(big_server: Path) -> t.Iterator[tuple[Server, Json]]:
    """Give a copy of a big server, which runs, and a PostgreSQL."""
    with big_server_copy.copied(big_server) as server:
        directory = Path(server.directory).parent
        yield server, postgresql.start(str(directory), os.environ["CONTRACT_POSTGRESQL_BIN"], "nobody")


def move(big_server: Path) -> Json:
    """Move a big server with the module, and another copy of it with Synapse's program alone."""
    with ready(big_server) as (server, cluster):
        moved = Move(server, cluster, "moved")
        objects = Objects(server)
        with Talk(server) as talk, Watch(server) as watch:
            begun = time.monotonic()
            result = moved.run()
            lasted = time.monotonic() - begun
            time.sleep(1)
        moved.prove(objects, talk)
    with ready(big_server) as (server, cluster):
        bare = move_bare(server, Move(server, cluster, "bare"))
    return {
        "outage": [watch.longest],
        "bare": bare,
        "objects": len(objects),
        "same": len(objects),
        "seconds": lasted,
        "said": len(talk.said),
        "migration": result["migration"],
        "problems": [],
    }


def move_bare(server: Server, bare: Move) -> list[float]:
    """Copy a server with Synapse's program alone, and return the seconds of its last pass, in some rounds."""
    directory = Path(server.directory)
    configuration = yaml.safe_load((directory / "homeserver.yaml").read_text())
    configuration["database"] = {"name": "psycopg2", "args": {**bare.target, "cp_min": 1, "cp_max": 5}}
    (directory / "postgresql.yaml").write_text(yaml.safe_dump(configuration))
    with Talk(server):
        snapshot = directory / "snapshot.db"
        with (
            contextlib.closing(sqlite3.connect(bare.source)) as old,
            contextlib.closing(sqlite3.connect(snapshot)) as new,
        ):
            old.backup(new)
        _port(server, snapshot)
    servers.halt(server)
    seconds = []
    for _round in range(_BARE_PASSES):
        _execute(bare.target, _GO_ON)
        begun = time.monotonic()
        _port(server, Path(bare.source))
        seconds.append(time.monotonic() - begun)
    return seconds


def kill(big_server: Path, moment: str) -> Json:
    """Kill the move after so many seconds, or earlier if it has ended by then, and let the next run finish it."""
    seconds = float(moment)
    try:
        while not _kill_at(big_server, seconds):
            seconds *= random.uniform(0.5, 0.95)
    except Wrong as error:
        return {"finished": 0, "problems": [f"killed after {seconds:.2f} s: {error}"]}
    return {"finished": 1, "problems": []}


def _kill_at(big_server: Path, moment: float) -> bool:
    """Kill a move after so many seconds, and prove that the next one finishes it. Returns False if it had ended."""
    with ready(big_server) as (server, cluster):
        moved = Move(server, cluster, "moved")
        objects = Objects(server)
        with Talk(server) as talk:
            process = moved.start()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            if process.poll() is not None:
                return False
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if moved.answers() and (different := objects.that_differ()):
                raise Wrong(f"The server runs without what was there: {different}")
            moved.run()
        moved.prove(objects, talk)
    return True


def _port(server: Server, source: Path) -> None:
    command = [server.python, "-m", "synapse._scripts.synapse_port_db", "--sqlite-database", str(source)]
    command += ["--postgres-config", str(Path(server.directory, "postgresql.yaml"))]
    done = subprocess.run(command, cwd=server.directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong(f"synapse_port_db failed: {done.stderr[-2000:]}")


def _execute(database: Json, statement: str) -> None:
    arguments = {"dbname": database.get("dbname", "postgres")}
    arguments |= {key: database[key] for key in ("host", "port", "user", "password")}
    with contextlib.closing(psycopg2.connect(**arguments)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def main(command: str, given: str, *arguments: str) -> None:
    """Run one of the commands above."""
    if command == "module":
        print(json.dumps(run_module(_MODULE, json.loads(given))))
    elif command == "move":
        print(json.dumps(move(Path(given))))
    else:
        print(json.dumps(kill(Path(given), *arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
