# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a bare requests session takes, with nothing around it.

bare_session.py read BASE_URL TOKEN_FILE
    Reads the list of all accounts in pages. Prints the number of accounts and the seconds, as JSON.
bare_session.py read_rooms BASE_URL TOKEN_FILE
    Reads the list of all rooms in pages. Prints the number of rooms and the seconds, as JSON.
bare_session.py create BASE_URL TOKEN_FILE USER_IDS_FILE PARALLEL
    Creates an account for each user ID of a JSON file. Prints their number and the seconds, as JSON.
bare_session.py fetch BASE_URL TOKEN_FILE MEDIA_FILE PARALLEL DIRECTORY
    Fetches each "server name/media ID" of a JSON file into a file of DIRECTORY. Prints their number and the seconds, as
    JSON.
"""

from __future__ import annotations

import concurrent.futures
import json
import shutil
import sys
import time
import urllib.parse
from pathlib import Path

import requests

_PAGE = 1000


def session(token: str, parallel: int) -> requests.Session:
    """Return a session for that many requests at the same time."""
    opened = requests.Session()
    opened.trust_env = False
    opened.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=parallel))
    opened.headers["Authorization"] = f"Bearer {token}"
    return opened


def read(base_url: str, token: str, path: str, items: str, following: str) -> int:
    """Read a list to its end and return how many entries it has."""
    opened, start, count = session(token, 1), "0", 0
    while start:
        parameters = {"from": start, "limit": str(_PAGE), "locked": "true"}
        answer = opened.get(base_url + path, params=parameters)
        answer.raise_for_status()
        page = answer.json()
        count += len(page[items])
        start = page.get(following)
    return count


def create(base_url: str, token: str, user_ids: list[str], parallel: int) -> int:
    """Create the accounts and return how many they are."""
    opened = session(token, parallel)

    def put(user_id: str) -> None:
        url = f"{base_url}/_synapse/admin/v2/users/{urllib.parse.quote(user_id, safe='')}"
        opened.put(url, json={"displayname": "Somebody"}).raise_for_status()

    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        return len(list(pool.map(put, user_ids)))


def fetch(base_url: str, token: str, media: list[str], parallel: int, directory: str) -> int:
    """Download the media and return how many they are."""
    opened = session(token, parallel)

    def get(name: str) -> None:
        url = f"{base_url}/_matrix/client/v1/media/download/{urllib.parse.quote(name)}"
        with opened.get(url, stream=True) as answer, Path(directory, name.rpartition("/")[2]).open("wb") as file:
            answer.raise_for_status()
            shutil.copyfileobj(answer.raw, file)

    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        return len(list(pool.map(get, media)))


def main(command: str, base_url: str, token_file: str, *further: str) -> None:
    """Run one of the commands above."""
    token = Path(token_file).read_text().strip()
    start = time.perf_counter()
    if command == "read":
        count = read(base_url, token, "/_synapse/admin/v3/users", "users", "next_token")
    elif command == "read_rooms":
        count = read(base_url, token, "/_synapse/admin/v1/rooms", "rooms", "next_batch")
    elif command == "fetch":
        count = fetch(base_url, token, json.loads(Path(further[0]).read_text()), int(further[1]), further[2])
    else:
        count = create(base_url, token, json.loads(Path(further[0]).read_text()), int(further[1]))
    print(json.dumps({"count": count, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:])
