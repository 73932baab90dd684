# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fetching media takes as the Synapse Admin FAQ does it: one wget after the other.

Its URL, which Synapse does not serve any more, is replaced by the one that takes a token.

wget_loop.py BASE_URL TOKEN_FILE SERVER_NAME MEDIA_IDS_FILE DIRECTORY
    Fetches each medium of a JSON file into DIRECTORY. Prints their number and the seconds, as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

_LOOP = """
while read -r media_id; do
    wget --output-file=/dev/null --directory-prefix="$2" "$1/$media_id" || echo "Could not download $media_id" >&2
done
"""


def fetch(endpoint: str, token: str, media_ids: list[str], directory: str) -> int:
    """Fetch them one by one with a shell's loop, and return how many files there are now in the directory."""
    with tempfile.NamedTemporaryFile("w") as settings:
        # Here, because everybody can read the arguments of a process.
        settings.write(f"header = Authorization: Bearer {token}\nuse_proxy = off\n")
        settings.flush()
        subprocess.run(
            ["bash", "-c", _LOOP, "bash", endpoint, directory],
            input="".join(f"{media_id}\n" for media_id in media_ids),
            env={**os.environ, "WGETRC": settings.name},
            text=True,
            check=True,
        )
    return len(list(Path(directory).iterdir()))


def main(base_url: str, token_file: str, server_name: str, media_ids_file: str, directory: str) -> None:
    """Run the command above."""
    token = Path(token_file).read_text().strip()
    media_ids = json.loads(Path(media_ids_file).read_text())
    endpoint = f"{base_url}/_matrix/client/v1/media/download/{urllib.parse.quote(server_name, safe='')}"
    start = time.perf_counter()
    count = fetch(endpoint, token, media_ids, directory)
    print(json.dumps({"count": count, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:])
