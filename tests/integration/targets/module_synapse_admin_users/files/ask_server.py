# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server itself says of accounts, by plain HTTP.

ask_server.py SERVER LOCALPARTS
    SERVER: as setup_synapse describes it, LOCALPARTS: a list, both as JSON.
    Prints an object with an entry for each localpart: null if there is no such account, else what the Admin API says of
    it, with `addresses` and `rate_limit`.
"""

from __future__ import annotations

import json
import sys
import typing as t
import urllib.error
import urllib.parse
import urllib.request


def ask(server: dict[str, t.Any], path: str) -> t.Any:
    """Return the answer of GET, or None for 404."""
    request = urllib.request.Request(
        server["base_url"] + path, headers={"Authorization": f"Bearer {server['admin_access_token']}"}
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return None


def look(server: dict[str, t.Any], localpart: str) -> t.Any:
    """Return one account."""
    user_id = urllib.parse.quote(f"@{localpart}:{server['server_name']}", safe="")
    found = ask(server, f"/_synapse/admin/v2/users/{user_id}")
    if found is None:
        return None
    limit = ask(server, f"/_synapse/admin/v1/users/{user_id}/override_ratelimit")
    return {**found, "addresses": sorted(entry["address"] for entry in found["threepids"]), "rate_limit": limit}


def main(server: str, localparts: str) -> None:
    """Print them."""
    print(json.dumps({localpart: look(json.loads(server), localpart) for localpart in json.loads(localparts)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
