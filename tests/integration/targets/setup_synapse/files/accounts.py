# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An admin and a plain user, created by plain HTTP, without the code under test."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import typing as t
import urllib.request


def create(server: dict[str, t.Any]) -> dict[str, str]:
    """Create both on `server` and log them in. Return their user IDs, passwords and access tokens."""
    found = {}
    for kind, prefix in (("admin", "admin_"), ("user", "")):
        name, password = f"setup_{kind}", secrets.token_hex(16)
        _register(server, name, password, kind == "admin")
        login = _ask(
            server,
            "/_matrix/client/v3/login",
            {
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": name},
                "password": password,
                "device_id": "SETUP",
            },
        )
        found[f"{prefix}user_id"] = login["user_id"]
        found[f"{prefix or 'user_'}access_token"] = login["access_token"]
        found[f"{prefix or 'user_'}password"] = password
    return found


def _register(server: dict[str, t.Any], name: str, password: str, admin: bool) -> None:
    nonce = _ask(server, "/_synapse/admin/v1/register")["nonce"]
    signed = "\0".join((nonce, name, password, "admin" if admin else "notadmin"))
    mac = hmac.new(server["registration_shared_secret"].encode(), signed.encode(), hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac, "inhibit_login": True}
    _ask(server, "/_synapse/admin/v1/register", body)


def _ask(server: dict[str, t.Any], path: str, body: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
    request = urllib.request.Request(
        server["base_url"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return t.cast("dict[str, t.Any]", json.load(answer))
