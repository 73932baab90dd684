# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upload media to measure with: upload_media.py BASE_URL TOKEN_FILE NUMBER SIZE

Each has SIZE random bytes. Prints the media ids as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import requests


def main(base_url: str, token_file: str, number: str, size: str) -> None:
    """Run the command above."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {Path(token_file).read_text().strip()}"
    session.headers["Content-Type"] = "application/octet-stream"
    media_ids = []
    for _one in range(int(number)):
        answer = session.post(f"{base_url}/_matrix/media/v3/upload", data=os.urandom(int(size)), timeout=60)
        answer.raise_for_status()
        media_ids.append(answer.json()["content_uri"].rpartition("/")[2])
    print(json.dumps({"media_ids": media_ids}))


if __name__ == "__main__":
    main(*sys.argv[1:])
