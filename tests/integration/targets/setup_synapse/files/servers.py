# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Temporary servers for the integration targets: a real Synapse on each engine.

servers.py start ENGINES SETTINGS POSTGRESQL_BIN POSTGRESQL_USER [federating]
    ENGINES: sqlite and postgresql, separated by a comma; SETTINGS: additional keys of homeserver.yaml, as JSON;
    federating: the servers can reach each other.
    First stops the servers of a run that was killed. Prints the directory and the servers as JSON.
servers.py restart DIRECTORY BASE_URL
    Restarts the single server in DIRECTORY.
servers.py halt DIRECTORY
    Stops the single server in DIRECTORY; `restart` starts it again.
servers.py during FILE ENGINES SETTINGS POSTGRESQL_BIN POSTGRESQL_USER COMMAND...
    Starts servers, adds the output of `start` to the JSON object in FILE as `started_synapse`, runs the command, and
    stops the servers. The exit status is that of the command.
servers.py stop DIRECTORY
    Stops every server below DIRECTORY, as `start` printed it, and removes DIRECTORY.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t

import accounts
import federation
import postgresql
import processes
import synapse_server


def start(
    engines: list[str], settings: dict[str, t.Any], binaries: str, user: str, *, federating: bool
) -> dict[str, t.Any]:
    """Return the directory of the servers, and what a test must know about each."""
    processes.sweep()
    directory = processes.create_directory()
    try:
        servers = [synapse_server.describe(directory, engine, federating=federating) for engine in engines]
        if federating:
            certificates = os.path.join(directory, "certificates")
            federation.make_certificates(certificates)
            settings = {**federation.settings(certificates), **settings}
        for server in servers:
            if server["engine"] == "postgresql":
                server["database"] = postgresql.start(directory, binaries, user)
            synapse_server.configure(server, settings)
        starting = [synapse_server.start(server["directory"]) for server in servers]
        for server, process in zip(servers, starting, strict=True):
            synapse_server.wait(process, server["directory"], server["base_url"])
            server.update(accounts.create(server))
    except BaseException:
        processes.stop(directory)
        raise
    return {"directory": directory, "servers": servers}


def restart(directory: str, base_url: str) -> None:
    """Stop the Synapse in `directory`, start it and wait until it answers."""
    processes.end(directory, "synapse.app.")
    synapse_server.wait(synapse_server.start(directory), directory, base_url)


def during(path: str, engines: str, settings: str, binaries: str, user: str, *command: str) -> int:
    """Run `command` while servers run, which the JSON object in the file `path` describes. Return its exit status."""
    os.environ["SETUP_SYNAPSE_OWNER"] = str(os.getpid())
    started = start(engines.split(","), json.loads(settings), binaries, user, federating=False)
    try:
        with open(path, "r+", encoding="utf-8") as file:
            told = {**json.load(file), "started_synapse": started}
            file.seek(0)
            json.dump(told, file)
        return subprocess.run(command, check=False).returncode
    finally:
        processes.stop(started["directory"])


def main(command: str, *given: str) -> None:
    """Run one of the commands above."""
    if command == "start":
        federating = "federating" in given[4:]
        print(json.dumps(start(given[0].split(","), json.loads(given[1]), given[2], given[3], federating=federating)))
    elif command == "during":
        raise SystemExit(during(*given))
    elif command == "restart":
        restart(given[0], given[1])
    elif command == "halt":
        processes.end(given[0], "synapse.app.")
    elif command == "stop":
        processes.stop(given[0])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
