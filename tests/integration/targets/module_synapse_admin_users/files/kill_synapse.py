# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kill a Synapse in the middle of its work.

kill_synapse.py SERVER PREFIX NUMBER
    SERVER: as setup_synapse describes it, as JSON.
    Waits until there are that many accounts whose user id holds PREFIX, then kills the server.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request

_PATIENCE = 60.0


def main(described: str, prefix: str, number: str) -> None:
    """Do what is said above."""
    server = json.loads(described)
    with open(server["pid_file"], encoding="ascii") as file:
        pid = int(file.read())
    request = urllib.request.Request(
        f"{server['base_url']}/_synapse/admin/v2/users?limit=1&user_id={prefix}",
        headers={"Authorization": f"Bearer {server['admin_access_token']}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _PATIENCE
    found = 0
    while found < int(number):
        if time.monotonic() > deadline:
            raise SystemExit(f"There are {found} such accounts only.")
        time.sleep(0.02)
        with opener.open(request, timeout=30) as answer:
            found = json.load(answer)["total"]
    os.kill(pid, signal.SIGKILL)
    while os.path.exists(f"/proc/{pid}"):
        if time.monotonic() > deadline:
            raise SystemExit("It does not end.")
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
