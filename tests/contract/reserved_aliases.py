# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with application services that own aliases, and with rules for who creates which alias."""

from __future__ import annotations

import contextlib
import json
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

# By the ids of the services, in the order in which Synapse asks them. Each alias begins with the word of its case.
_ALIASES: dict[str, list[dict[str, t.Any]]] = {
    "listener": [{"exclusive": False, "regex": "#c[0-9a-f]+-.*"}],
    "irc": [
        {"exclusive": False, "regex": r"#c[0-9a-f]+-irc_open_"},
        {"exclusive": True, "regex": r"(?i)#c[0-9a-f]+-IRC_"},
    ],
    "telegram": [
        {"exclusive": True, "regex": r"#c[0-9a-f]+-(telegram|irc_open_telegram)_\d+:"},
        {"exclusive": False, "regex": ".*"},
    ],
}
SERVICES = (*_ALIASES, "silent")
RULES = [
    {"action": "deny", "user_id": "*", "room_id": "*", "alias": "#*-denied:*"},
    {"action": "allow", "user_id": "*", "alias": "#*-ADMIN?:*"},
    {"action": "deny", "alias": "#*-admin*"},
    {"action": "allow"},
]


def token_of(service: str) -> str:
    """Return the access token of an application service."""
    return f"as_token_of_{service}"


def sender_of(server: Server, service: str) -> str:
    """Return the user of an application service."""
    return server.user_id(f"{service}_bot")


def registration(service: str, **other: t.Any) -> dict[str, t.Any]:
    """Return the content of a registration file."""
    namespaces = {"users": [{"exclusive": True, "regex": f"@{service}_.*"}], "rooms": []}
    if service in _ALIASES:
        namespaces["aliases"] = _ALIASES[service]
    return {
        "id": service,
        "url": None,
        "as_token": token_of(service),
        "hs_token": f"hs_token_of_{service}",
        "sender_localpart": f"{service}_bot",
        "namespaces": namespaces,
        **other,
    }


@contextlib.contextmanager
def server_with_services(engine: str) -> t.Iterator[Server]:
    """Start a server on `engine`, and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_services_") as directory:
        # The user of PostgreSQL does not start Synapse, but the directory belongs to nobody else either.
        Path(directory).chmod(0o755)
        paths = [Path(directory, f"{service}.yaml") for service in SERVICES]
        for path in paths:
            # JSON is YAML as well.
            path.write_text(json.dumps(registration(path.stem)))
        files = [str(path) for path in paths]
        with servers.own_servers(engine, app_service_config_files=files, alias_creation_rules=RULES) as started:
            yield started[0]
