# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A separate PostgreSQL for one run of a target."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import typing as t

import processes


def start(directory: str, binaries: str, user: str) -> dict[str, t.Any]:
    """Create a cluster below `directory`, start it and return the settings to connect to its database.

    `binaries`: the directory of initdb, postgres and pg_ctl. `user`: the user that runs it if this program runs as
    root, because PostgreSQL refuses to run as root.
    """
    cluster = os.path.join(directory, "cluster")
    data, password_file, log = (os.path.join(cluster, name) for name in ("data", "password", "log"))
    database: dict[str, t.Any] = {
        "name": "psycopg2",
        "host": "127.0.0.1",
        "port": processes.free_ports(1)[0],
        "database": "synapse",
        "user": "synapse",
        "password": secrets.token_hex(16),
    }
    os.mkdir(cluster, 0o700)
    with open(os.open(password_file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write(database["password"])
    if os.geteuid() == 0:
        shutil.chown(cluster, user)
        shutil.chown(password_file, user)

    def run(program: str, *arguments: str, text: str = "") -> None:
        as_user = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []
        # A file, because the server that pg_ctl starts inherits its output, and a pipe would never end.
        with open(os.path.join(directory, "postgresql.start"), "w+", encoding="utf-8") as output:
            argv = [*as_user, os.path.join(binaries, program), *arguments]
            done = subprocess.run(argv, cwd="/", input=text, text=True, stdout=output, stderr=output, check=False)
            if done.returncode:
                output.seek(0)
                raise SystemExit(f"{program} failed: {output.read()}")

    # Synapse requires the locale C.
    locale, login = ("--encoding", "UTF8", "--locale", "C"), ("--auth", "scram-sha-256", "--pwfile", password_file)
    run("initdb", "--pgdata", data, *locale, *login, "--username", "synapse", "--no-sync")
    run("postgres", "--single", "-D", data, "-c", "fsync=off", "postgres", text="CREATE DATABASE synapse\n")
    options = f"-p {database['port']} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "--pgdata", data, "--log", log, "--wait", "--options", options, "start")
    return database
