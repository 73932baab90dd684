# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON what is to be seen of a running server: UNIT PORT METRICS_PORT [SETTING ...]

Run on the host by inspect.yml, and there at once, because each task costs more than all of this together.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import pwd
import secrets
import subprocess
import sys
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

# What a user gets who asks for the presence of another one: the status without a room that both are in, and then, in
# one, the presence of that user, who has just set "unavailable".
PRESENCE = {(403, "unavailable"): "enabled", (403, "offline"): "untracked", (200, "offline"): "disabled"}


def read_url(port: str, path: str) -> str:
    """Return what is there; raise an exception if the answer is no success."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def read_setting(process: Path, command: list[str], setting: str) -> str:
    """Return a setting as Synapse reads it with the options that the process was started with."""
    reading = [command[0], "-m", "synapse.config", "read", setting, *command[3:]]
    done = subprocess.run(reading, cwd=process / "cwd", stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[-1]


def ask(url: str, body: dict[str, t.Any] | None, token: str, method: str) -> tuple[int, dict[str, t.Any]]:
    """Return the status and the answer, also of what is refused."""
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def new_account(port: str, secret: str) -> tuple[str, str]:
    """Return the user ID and the access token of an account that is made with the shared secret."""
    url = f"http://127.0.0.1:{port}/_synapse/admin/v1/register"
    nonce = ask(url, None, "", "GET")[1]["nonce"]
    name, password = f"inspector-{secrets.token_hex(8)}", secrets.token_hex(16)
    signed = f"{nonce}\0{name}\0{password}\0notadmin".encode()
    mac = hmac.new(secret.encode(), signed, hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac}
    status, made = ask(url, body, "", "POST")
    if status != 200:
        raise RuntimeError(f"no account was made: {status} {made}")
    return made["user_id"], made["access_token"]


def read_presence(port: str, secret: str) -> str:
    """Return the mode of presence as two users see it: one sets its presence, another one reads it."""
    client = f"http://127.0.0.1:{port}/_matrix/client/v3"
    user_id, token = new_account(port, secret)
    _reader, reading = new_account(port, secret)
    status_url = f"{client}/presence/{urllib.parse.quote(user_id)}/status"
    room = ask(f"{client}/createRoom", {"preset": "public_chat"}, token, "POST")[1]["room_id"]
    was_set = ask(status_url, {"presence": "unavailable"}, token, "PUT")
    stranger, _answer = ask(status_url, None, reading, "GET")
    joined = ask(f"{client}/join/{urllib.parse.quote(room)}", {}, reading, "POST")
    status, shown = ask(status_url, None, reading, "GET")
    if (was_set[0], joined[0], status) != (200, 200, 200):
        raise RuntimeError(f"a request was refused: {was_set}, {joined}, {status} {shown}")
    seen = (stranger, shown["presence"])
    return PRESENCE.get(seen, str(seen))


def inspect(unit: str, port: str, metrics_port: str, settings: list[str]) -> dict[str, object]:
    """Return all that inspect.yml expects something of."""
    properties = "--property=MainPID,ActiveState,UnitFileState,NRestarts"
    command = ["systemctl", "show", unit, properties]
    shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    systemd = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    process = Path("/proc", systemd["MainPID"])
    command = [word for word in (process / "cmdline").read_text().split("\0") if word]
    read = {setting: read_setting(process, command, setting) for setting in settings}
    secret = read_setting(process, command, "registration.registration_shared_secret")
    return {
        "systemd": systemd,
        "user": pwd.getpwuid(process.stat().st_uid).pw_name,
        "limits": (process / "limits").read_text(),
        "jemalloc": "/libjemalloc.so" in (process / "maps").read_text(),
        "environment": (process / "environ").read_text().split("\0"),
        "health": read_url(port, "/health"),
        "version": json.loads(read_url(port, "/_synapse/admin/v1/server_version"))["server_version"],
        "metrics": read_url(metrics_port, "/_synapse/metrics"),
        "settings": read,
        "presence": read_presence(port, secret),
    }


if __name__ == "__main__":
    print(json.dumps(inspect(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])))
