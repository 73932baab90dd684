# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of the big server that can be started, each with paths and ports of its own.

big_server_copy.py BIG_SERVER DIRECTORY
    Makes a copy in DIRECTORY, which does not exist yet, and prints its description as JSON.

Runs with the collection and the files of setup_synapse on its path, and with CONTRACT_SYNAPSE_PYTHON.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import typing as t
from pathlib import Path

import processes
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

# The other server is gone: nobody is to look for it, or for who may have its port now.
_OF_FEDERATION = ("tls_certificate_path", "tls_private_key_path", "federation_custom_ca_list", "ip_range_blacklist")


@contextlib.contextmanager
def copied(big_server: Path, *, started: bool = True) -> t.Iterator[Server]:
    """Give a copy of the big server, `started` or not, and remove it afterwards with all that runs below it."""
    os.environ["SETUP_SYNAPSE_OWNER"] = str(os.getpid())
    directory = processes.create_directory()
    try:
        server = Server(copy(big_server, Path(directory, "sqlite")))
        if started:
            servers.restart(server)
        yield server
    finally:
        processes.stop(directory)


def copy(big_server: Path, directory: Path) -> Json:
    """Copy the big server into `directory`, which is made, and return the description of the copy."""
    shutil.copytree(big_server, directory)
    known = json.loads(directory.joinpath("described.json").read_text())
    client_port, metrics_port = processes.free_ports(2)
    described: Json = {
        **known,
        "federating": False,
        "base_url": f"http://127.0.0.1:{client_port}",
        "metrics_url": f"http://127.0.0.1:{metrics_port}/metrics",
        "python": os.environ["CONTRACT_SYNAPSE_PYTHON"],
        "directory": str(directory),
        "config_path": [str(directory / "homeserver.yaml"), str(directory / "conf.d")],
        "pid_file": str(directory / "homeserver.pid"),
        "log": str(directory / "homeserver.log"),
        "database": {"name": "sqlite3", "database": str(directory / "homeserver.db")},
    }
    for name in ("homeserver.yaml", "log_config.yaml"):
        path = directory / name
        path.write_text(path.read_text().replace(known["directory"], str(directory)))
    configuration = yaml.safe_load(directory.joinpath("homeserver.yaml").read_text())
    for key in _OF_FEDERATION:
        del configuration[key]
    # On a new database, synapse_port_db waits that long after each of some fifty updates: a second, if nobody says so.
    configuration["background_updates"]["sleep_duration_ms"] = 1
    configuration["listeners"] = [each for each in configuration["listeners"] if not each.get("tls")]
    for listener in configuration["listeners"]:
        listener["port"] = metrics_port if listener["type"] == "metrics" else client_port
    directory.joinpath("homeserver.yaml").write_text(yaml.safe_dump(configuration))
    directory.joinpath("described.json").write_text(json.dumps(described))
    return described


if __name__ == "__main__":
    print(json.dumps(copy(Path(sys.argv[1]), Path(sys.argv[2]))))
