# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the log of one day of a busy Synapse: log_lines.py PATH MEGABYTES

Half of the bytes are lines about processed requests, the other half lines of other loggers. Most identifiers in it
occur once or a few times, as in a real log: nothing is repeated to make it longer. The same size always gives the same
file. Prints the number of requests as JSON.
"""

from __future__ import annotations

import base64
import json
import math
import multiprocessing
import os
import random
import re
import sys
import typing as t

from log_mix import CLIENTS, KINDS, OTHERS, PROGRAMS, STATUSES, Kind

DAY = "2026-11-23"
# The hour with the most requests.
BUSIEST_HOUR = 19

_SLICES = 96
_BYTES_OF_REQUEST = 795
_USERS, _SERVERS, _ROOMS = 4000, 2500, 3000


class _Sender(t.NamedTuple):
    """Who sends a request: its client address, the requester, and the user agent."""

    address: str
    name: str
    agent: str


class _Slice:
    """The lines of some minutes: `requests` requests from `start` on (s since midnight), beginning with `number`."""

    def __init__(self, seed: int, start: float, seconds: float, number: int, requests: int) -> None:
        self._random = random.Random(seed)
        self._start, self._step = start, seconds / requests
        self._number, self._requests = number, requests
        fixed = random.Random(1)
        self._rooms = [_identifier(fixed) for _one in range(_ROOMS)]
        self._servers = [
            f"{_word(fixed)}.{suffix}" for suffix in ("org", "de", "net", "io") for _n in range(_SERVERS // 4)
        ]
        self._from_users = [
            _Sender(_address(fixed), f"@{_word(fixed)}{n}:example.org", fixed.choice(CLIENTS)) for n in range(_USERS)
        ]
        self._from_servers = [_Sender(_address(fixed), name, fixed.choice(PROGRAMS)) for name in self._servers]
        self._clock = (-1, "")

    def text(self) -> bytes:
        """Return the lines."""
        parts, balance = [], 0
        kinds = self._random.choices(KINDS, [kind.share for kind in KINDS], k=self._requests)
        fillings = {kind: self._filling(kind.path) for kind in KINDS}
        others = [self._filling(f"{head} - {message}\n") for _share, head, message in OTHERS]
        shares = [share for share, _head, _message in OTHERS]
        for index, kind in enumerate(kinds):
            time = self._start + (index + self._random.random()) * self._step
            tag = f"{kind.method}-{self._number + index}"
            parts.append(self._processed(time, tag, kind, fillings[kind]))
            balance += len(parts[-1])
            while balance > 0:
                self._tag = tag
                [filling] = self._random.choices(others, shares)
                parts.append(f"{self._stamp(time)} - {filling()}")
                balance -= len(parts[-1])
        return "".join(parts).encode()

    def _processed(self, time: float, tag: str, kind: Kind, filling: t.Callable[[], str]) -> str:
        below, exponential = self._random.random, self._random.expovariate
        senders = self._from_servers if kind.of_server else self._from_users
        # A few of them send most of the requests.
        sender = senders[int(len(senders) * below() ** 2)]
        status = STATUSES[int(len(STATUSES) * below())]
        seconds = exponential(1 / kind.seconds)
        if kind.waits:
            # A long poll that nothing has ended.
            seconds = 30 + exponential(50) if seconds > 7 else seconds
            status = "499!" if below() < 0.01 else status
        transactions = int(exponential(0.2))
        return (
            f"{self._stamp(time)} - synapse.access.http.8008 - 495 - INFO - {tag} - {sender.address} - 8008 - "
            f"{{{sender.name}}} Processed request: {seconds:.3f}sec/{exponential(1500):.3f}sec "
            f"ru=({exponential(200):.3f}sec, {exponential(2000):.3f}sec) "
            f"db=({exponential(1000):.3f}sec/{exponential(150):.3f}sec/{transactions}) "
            f'{int(exponential(0.0004))}B {status} "{kind.method} {filling()} HTTP/1.1" "{sender.agent}" '
            f"[{transactions // 4} dbevts]\n"
        )

    def _stamp(self, time: float) -> str:
        second = int(time)
        if second != self._clock[0]:
            minutes, seconds = divmod(second, 60)
            self._clock = (second, f"{DAY} {minutes // 60:02}:{minutes % 60:02}:{seconds:02},")
        return f"{self._clock[1]}{int((time - second) * 1000):03}"

    def _filling(self, template: str) -> t.Callable[[], str]:
        """Return a function that returns the template with other values each time."""
        generator = self._random
        below, bits = generator.random, generator.getrandbits
        values: dict[str, t.Callable[[], str]] = {
            "n": lambda: str(bits(13)),
            "since": lambda: (
                f"s{bits(22)}_{bits(20)}_{bits(9)}_{bits(23)}_{bits(21)}_{bits(7)}_{bits(17)}_{bits(20)}_0_1"
            ),
            "transaction": lambda: f"m17951{bits(26):08}.{bits(10)}",
            "room": lambda: self._rooms[int(_ROOMS * below() ** 2)],
            "user": lambda: f"%40{self._from_users[int(_USERS * below())].name[1:]}",
            "id": lambda: _identifier(generator),
            "server": lambda: self._servers[int(len(self._servers) * below())],
            "media": lambda: _identifier(generator)[:24],
            "tag": lambda: self._tag,
        }
        pieces = re.split(r"\{([a-z]+)\}", template.replace("%", "%%"))
        text, chosen = "%s".join(pieces[::2]), [values[name] for name in pieces[1::2]]
        return lambda: text % tuple([value() for value in chosen])


def write(path: str, megabytes: int) -> int:
    """Write the log, of about that many million bytes, and return the number of requests."""
    loads = [1 + 0.7 * math.cos((index / _SLICES * 24 - BUSIEST_HOUR) / 12 * math.pi) for index in range(_SLICES)]
    requests = [max(1, round(megabytes * 1_000_000 / _BYTES_OF_REQUEST * load / sum(loads))) for load in loads]
    seconds = 86400 / _SLICES
    slices = [(index, index * seconds, seconds, sum(requests[:index]), requests[index]) for index in range(_SLICES)]
    with multiprocessing.Pool(min(2, os.cpu_count() or 1)) as pool, open(path, "wb") as file:
        for text in pool.imap(_text, slices):
            file.write(text)
    return sum(requests)


def _text(arguments: tuple[int, float, float, int, int]) -> bytes:
    return _Slice(*arguments).text()


def _identifier(generator: random.Random) -> str:
    """Return 43 letters, digits, - and _, as those of rooms and events."""
    return base64.urlsafe_b64encode(generator.randbytes(32))[:43].decode()


def _word(generator: random.Random) -> str:
    return "".join(generator.choices("abcdefghijklmnoprstuvwz", k=generator.randrange(4, 12)))


def _address(generator: random.Random) -> str:
    if generator.random() < 0.4:
        return "2001:db8:" + ":".join(f"{generator.getrandbits(16):x}" for _one in range(6))
    return ".".join(str(generator.randrange(1, 255)) for _one in range(4))


if __name__ == "__main__":
    print(json.dumps({"requests": write(sys.argv[1], int(sys.argv[2]))}))
