# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One real Synapse: its configuration, its start, and the wait until it answers."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
import time
import typing as t
import urllib.error
import urllib.request

import federation
import processes
import yaml

# One has a port, because a server name may have a port.
SERVER_NAMES = {"sqlite": "sqlite.test", "postgresql": "postgresql.test:8448"}
_PATIENCE = 60.0


def describe(directory: str, engine: str, *, federating: bool = False) -> dict[str, t.Any]:
    """Return what a test must know about the server on `engine`, which will be below `directory`.

    `federating`: other servers can reach it with its name.
    """
    own = os.path.join(directory, engine)
    client_port, metrics_port = processes.free_ports(2)
    return {
        "name": engine,
        "engine": engine,
        "server_name": federation.server_name(engine) if federating else SERVER_NAMES[engine],
        "federating": federating,
        "base_url": f"http://127.0.0.1:{client_port}",
        "metrics_url": f"http://127.0.0.1:{metrics_port}/metrics",
        "directory": own,
        "config_path": [os.path.join(own, "homeserver.yaml"), os.path.join(own, "conf.d")],
        "python": sys.executable,
        "pid_file": os.path.join(own, "homeserver.pid"),
        "log": os.path.join(own, "homeserver.log"),
        "database": {"name": "sqlite3", "database": os.path.join(own, "homeserver.db")},
        "registration_shared_secret": secrets.token_hex(16),
    }


def configure(server: dict[str, t.Any], settings: dict[str, t.Any]) -> None:
    """Write the configuration of `server`, with `settings` as additional keys."""
    directory = server["directory"]
    os.mkdir(directory, 0o700)
    os.mkdir(os.path.join(directory, "conf.d"), 0o700)
    homeserver = _homeserver(server)
    if server["federating"]:
        homeserver["listeners"].append(federation.listener(server["server_name"]))
    _write(directory, "homeserver.yaml", {**homeserver, **settings})
    _write(directory, os.path.join("conf.d", "rate_limits.yaml"), _rate_limits())
    _write(directory, "log_config.yaml", _log_config(server["log"]))
    key = base64.b64encode(secrets.token_bytes(32)).decode("ascii").rstrip("=")
    with open(os.path.join(directory, "signing.key"), "w", encoding="ascii") as file:
        file.write(f"ed25519 a_test {key}\n")


def start(directory: str) -> subprocess.Popen[bytes]:
    """Start the Synapse in `directory` as a daemon. Return the process that starts the daemon."""
    paths = [os.path.join(directory, name) for name in ("homeserver.yaml", "conf.d")]
    with open(os.path.join(directory, "start"), "wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "synapse.app.homeserver"]
            + ["--config-path", paths[0], "--config-path", paths[1], "--daemonize"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def wait(process: subprocess.Popen[bytes], directory: str, base_url: str) -> None:
    """Wait until the Synapse that `process` starts answers. Raises SystemExit with its output if it does not."""
    deadline = time.monotonic() + _PATIENCE
    if process.wait(_PATIENCE) == 0:
        # Never through a proxy, because it could not reach the loopback interface of this host.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            try:
                opener.open(f"{base_url}/health", timeout=_PATIENCE).close()
                return
            except urllib.error.URLError:
                time.sleep(0.05)
    with open(os.path.join(directory, "start"), encoding="utf-8") as file:
        raise SystemExit(f"Synapse in {directory} did not start: {file.read()}")


def _write(directory: str, name: str, content: dict[str, t.Any]) -> None:
    with open(os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        yaml.safe_dump(content, file)


def _homeserver(server: dict[str, t.Any]) -> dict[str, t.Any]:
    client_port, metrics_port = (int(server[url].split(":")[2].split("/")[0]) for url in ("base_url", "metrics_url"))
    loopback = {"bind_addresses": ["127.0.0.1"]}
    arguments = {name: value for name, value in server["database"].items() if name != "name"}
    return {
        "server_name": server["server_name"],
        "pid_file": server["pid_file"],
        "listeners": [
            {"type": "http", "port": client_port, "resources": [{"names": ["client", "federation"]}], **loopback},
            {"type": "metrics", "port": metrics_port, **loopback},
        ],
        "enable_metrics": True,
        "database": {"name": server["database"]["name"], "args": {**arguments, "cp_min": 1, "cp_max": 5}},
        "log_config": os.path.join(server["directory"], "log_config.yaml"),
        "media_store_path": os.path.join(server["directory"], "media_store"),
        "signing_key_path": os.path.join(server["directory"], "signing.key"),
        "registration_shared_secret": server["registration_shared_secret"],
        "macaroon_secret_key": secrets.token_hex(16),
        "form_secret": secrets.token_hex(16),
        "report_stats": False,
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "bcrypt_rounds": 4,
        # Before they are done, an account cannot be reactivated. With pauses they need a minute.
        "background_updates": {"sleep_enabled": False},
    }


def _rate_limits() -> dict[str, t.Any]:
    """Limits so high that the requests of a test never wait."""
    wide = {"per_second": 1000, "burst_count": 1000}
    return {
        "rc_login": {"address": wide, "account": wide, "failed_attempts": wide},
        "rc_registration": wide,
        "rc_message": wide,
        "rc_joins": {"local": wide, "remote": wide},
        "rc_invites": {"per_room": wide, "per_user": wide, "per_issuer": wide},
        "rc_room_creation": wide,
        "rc_media_create": wide,
    }


def _log_config(path: str) -> dict[str, t.Any]:
    """Write to the file without a buffer, so that a test can read a line as soon as it is logged."""
    line = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"precise": {"format": line}},
        "handlers": {"file": {"class": "logging.FileHandler", "formatter": "precise", "filename": path}},
        "root": {"level": "INFO", "handlers": ["file"]},
    }
