# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a big file of events as an export has them: in a stream, or from the whole text in memory.

event_stream.py write PATH MEGABYTES
event_stream.py stream|memory PATH
    Prints the number of events, the seconds and the most memory (bytes) as JSON; in memory, what it takes to get the
    text there is not counted.

Runs with the collection on its path.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects

_WORDS = (
    "the room is open and somebody says again that nothing works; \N{SMILING FACE WITH SMILING EYES} ja, k\xf6nnte sein"
)


def write(path: str, megabytes: int) -> int:
    """Write events as Synapse does, and return their number."""
    generator = random.Random(1)
    number, written = 0, 0
    with open(path, "w", encoding="utf-8") as file:
        while written < megabytes * 1_000_000:
            written += file.write(json.dumps(_event(generator, number)))
            number += 1
    return number


def _event(generator: random.Random, number: int) -> dict[str, t.Any]:
    words = _WORDS.split()
    body = " ".join(generator.choices(words, k=int(generator.expovariate(1 / 20)) + 1))
    sender = f"@person{generator.randrange(200)}:example.org"
    kind = "m.room.message"
    content: dict[str, t.Any] = {"msgtype": "m.text", "body": body}
    if number % 10 == 0:
        kind, content = "m.room.member", {"membership": "join", "displayname": body[:30], "avatar_url": None}
    elif number % 10 == 1:
        kind = "m.room.encrypted"
        content = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": f"{generator.getrandbits(6000):x}"}
    return {
        "auth_events": [f"${generator.getrandbits(256):x}" for _one in range(3)],
        "content": content,
        "depth": number,
        "hashes": {"sha256": f"{generator.getrandbits(256):x}"},
        "origin_server_ts": 1_700_000_000_000 + number * 1000,
        "prev_events": [f"${generator.getrandbits(256):x}"],
        "room_id": "!room:example.org",
        "sender": sender,
        "signatures": {"example.org": {"ed25519:a": f"{generator.getrandbits(512):x}"}},
        "type": kind,
        "unsigned": {"age_ts": 1_700_000_000_000 + number * 1000},
    }


def stream(path: str) -> tuple[int, float]:
    """Read the file with the collection. Returns the number of events and the seconds."""
    start = time.perf_counter()
    number = sum(1 for _event in read_objects(path))
    return number, time.perf_counter() - start


def memory(path: str) -> tuple[int, float]:
    """Read the text, then decode one event after the other. Returns their number and the seconds for that."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    decode = json.JSONDecoder().raw_decode
    start = time.perf_counter()
    number, position = 0, 0
    while position < len(text):
        _event, position = decode(text, position)
        number += 1
    return number, time.perf_counter() - start


def main(command: str, path: str, *further: str) -> None:
    """Run one of the commands above."""
    if command == "write":
        print(json.dumps({"events": write(path, int(further[0]))}))
        return
    number, seconds = {"stream": stream, "memory": memory}[command](path)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"events": number, "seconds": seconds, "memory": used}))


if __name__ == "__main__":
    main(*sys.argv[1:])
