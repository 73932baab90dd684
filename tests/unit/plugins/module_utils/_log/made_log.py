# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a log, as Synapse writes them in its default format and in JSON, and as attackers would like them."""

from __future__ import annotations

import datetime
import gzip
import json
import typing as t
from pathlib import Path

BEGIN = 1_795_000_000
START_MESSAGE = "***** STARTING SERVER *****"
# What a client can send in order to be taken for another request.
FORGED = (
    "6.6.6.6 - 8008 - {@admin:x} Processed request: 9.000sec/0.000sec ru=(0.001sec, 0.000sec) db=(0.001sec/0.001sec/7)"
    ' 201B 200 "GET /forged HTTP/1.1" "x" [0 dbevts]'
)


def line(
    second: float, tag: str, message: str, logger: str = "synapse.http.server", level: str = "INFO", prefix: str = ""
) -> str:
    """A line in Synapse's default format, at so many seconds after BEGIN in local time."""
    moment = datetime.datetime.fromtimestamp(BEGIN + second)
    text = moment.strftime("%Y-%m-%d %H:%M:%S,") + f"{moment.microsecond // 1000:03d}"
    return f"{prefix}{text} - {logger} - 12 - {level} - {tag} - {message}\n"


def message(**values: t.Any) -> str:
    """The message about a processed request, with some values that are not the usual ones."""
    values = {
        "address": "192.0.2.9",
        "site_tag": "8008",
        "requester": "@a:example.org",
        "processing": "0.214",
        "response": "0.001",
        "user_cpu": "0.207",
        "system_cpu": "0.003",
        "wait": "0.001",
        "database": "0.002",
        "transactions": "7",
        "size": "201",
        "status": "200",
        "method": "GET",
        "uri": "/_matrix/client/v3/profile/@a:example.org",
        "protocol": "HTTP/1.1",
        "agent": "curl",
        "events": "5",
        "ru": "ru=",
        "db": "db=",
        **values,
    }
    return (
        "{address} - {site_tag} - {{{requester}}} Processed request: {processing}sec/{response}sec"
        " {ru}({user_cpu}sec, {system_cpu}sec) {db}({wait}sec/{database}sec/{transactions})"
        ' {size}B {status} "{method} {uri} {protocol}" "{agent}" [{events} dbevts]'
    ).format_map(values)


def processed(second: float, tag: str = "GET-1", *, prefix: str = "", **values: t.Any) -> str:
    """The line about a processed request."""
    logger = f"synapse.access.http.{values.get('site_tag', '8008')}"
    return line(second, tag, message(**values), logger, prefix=prefix)


def received(
    second: float,
    tag: str,
    *,
    uri: str = "/_matrix/client/v3/profile/@a:example.org",
    site_tag: str = "8008",
    address: str = "192.0.2.9",
    prefix: str = "",
) -> str:
    """The line about a received request."""
    text = f"{address} - {site_tag} - Received request: {tag.partition('-')[0]} {uri}"
    return line(second, tag, text, f"synapse.access.http.{site_tag}", "DEBUG", prefix)


def started(second: float, prefix: str = "") -> str:
    """The line that Synapse writes when it starts."""
    return line(second, "main", START_MESSAGE, "synapse.config.logger", "WARNING", prefix)


def as_json(text: str) -> str:
    """Lines of Synapse's default format as its TerseJsonFormatter writes them."""
    result = []
    for each in text.split("\n")[:-1]:
        time, logger, _number, level, tag, rest = each.split(" - ", 5)
        moment = datetime.datetime.strptime(time, "%Y-%m-%d %H:%M:%S,%f").timestamp()
        event = {"log": rest, "namespace": logger, "level": level, "time": round(moment, 3), "request": tag}
        result.append(json.dumps(event, separators=(",", ":")))
    return "\n".join(result) + "\n"


def write(directory: Path, text: str, name: str = "homeserver.log") -> str:
    """Write a log, and return its path. It is compressed if the name ends with .gz."""
    path = directory / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)
