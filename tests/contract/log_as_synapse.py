# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print what Synapse's own code logs about a request, for each line of JSON on the standard input.

A line contains what a client and the server have sent and how long it took: see `_Case`. The answer contains
`received` and `processed`: the message, and the line of each of Synapse's formatters. `expected`: the values that
the lines contain, as Synapse's own code returns them. Or it is the error: {"error": ...}.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
import types
import typing as t

import yaml
from synapse.config.logger import DEFAULT_LOG_CONFIG
from synapse.http import get_request_user_agent
from synapse.http.server import NOT_DONE_YET
from synapse.http.site import SynapseRequest, UNIXAddress, XForwardedForRequest
from synapse.logging import GcpJsonFormatter, JsonFormatter, TerseJsonFormatter
from synapse.logging.context import ContextResourceUsage, LoggingContextFilter, PreserveLoggingContext
from synapse.logging.formatter import LogFormatter
from synapse.types import create_requester

_DEFAULT = yaml.safe_load(DEFAULT_LOG_CONFIG.substitute(log_file="unused"))["formatters"]["precise"]["format"]
_FORMATTERS = {
    "default": LogFormatter(_DEFAULT),
    "json": JsonFormatter(),
    "terse": TerseJsonFormatter(),
    "gcp": GcpJsonFormatter(),
}


class _Case(t.TypedDict):
    """A request. In texts that arrive as bytes, each character is one byte. `usage`: as Synapse names what it used."""

    method: str
    uri: str
    protocol: str
    user_agent: str | None
    forwarded_for: str | None
    peer: str
    site_tag: str
    requester: str | None
    authenticated_entity: str | None
    processing_seconds: float
    response_seconds: float
    usage: dict[str, float]
    response_bytes: int
    status: int
    finished: bool


class _Lines(logging.Handler):
    """Keeps what is logged, as each formatter writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(LoggingContextFilter())
        self.kept: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        lines = {name: formatter.format(record) for name, formatter in _FORMATTERS.items()}
        self.kept.append({**lines, "message": record.getMessage(), "level": record.levelname, "logger": record.name})


class _Channel:
    """A connection to a TCP port, or to a socket whose path is `peer`."""

    transport = None
    site = types.SimpleNamespace(_parsePOSTFormSubmission=False)

    def __init__(self, peer: str) -> None:
        self._address = UNIXAddress(peer.encode()) if peer.startswith("/") else types.SimpleNamespace(host=peer)

    def getPeer(self) -> t.Any:
        return self._address

    def getHost(self) -> t.Any:
        return self._address


class _Resource:
    """What answers later."""

    def render(self, _request: SynapseRequest) -> int:
        return t.cast("int", NOT_DONE_YET)


def _logged(case: _Case) -> tuple[logging.Logger, list[dict[str, str]]]:
    """Return the access logger of the case, and the list to which its lines are added."""
    access = logging.getLogger(f"synapse.access.http.{case['site_tag']}")
    access.setLevel(logging.DEBUG)
    access.propagate = False
    lines = _Lines()
    access.handlers = [lines]
    return access, lines.kept


def _request(case: _Case, access: logging.Logger) -> SynapseRequest:
    """Return the request of the case as it is when Synapse has received it."""
    site = types.SimpleNamespace(
        reactor=None, site_tag=case["site_tag"], access_logger=access, server_version_string=b"Synapse"
    )
    kind = SynapseRequest if case["forwarded_for"] is None else XForwardedForRequest
    request = kind(_Channel(case["peer"]), site, "server.test")
    request.method, request.uri = case["method"].encode("latin-1"), case["uri"].encode("latin-1")
    request.clientproto = case["protocol"].encode("latin-1")
    request.path = request.uri.partition(b"?")[0]
    for name, value in (("User-Agent", case["user_agent"]), ("X-Forwarded-For", case["forwarded_for"])):
        if value is not None:
            request.requestHeaders.addRawHeader(name, value.encode("latin-1"))
    if case["forwarded_for"] is not None:
        request._process_forwarded_headers()
    return request


def _finish(case: _Case, request: SynapseRequest) -> None:
    """Let Synapse finish the request as the case describes."""
    requester = case["requester"]
    if requester is not None:
        # Other servers are only a name.
        is_user = requester.startswith("@")
        entity = case["authenticated_entity"]
        request.requester = create_requester(requester, authenticated_entity=entity) if is_user else requester
    usage = ContextResourceUsage()
    for name, number in case["usage"].items():
        setattr(usage, name, number)
    request.start_time = 0.0
    request._processing_finished_time = case["processing_seconds"]
    request.finish_time = case["processing_seconds"] + case["response_seconds"]
    request.sentLength, request.code, request.finished = case["response_bytes"], case["status"], case["finished"]
    context = request.logcontext
    # The real one adds what this process has used.
    request.logcontext = types.SimpleNamespace(get_resource_usage=lambda: usage)
    with PreserveLoggingContext(context):
        request._finished_processing()


def _answer(case: _Case) -> dict[str, t.Any]:
    access, kept = _logged(case)
    request = _request(case, access)
    request.render(_Resource())
    _finish(case, request)
    received, processed = kept
    requester, entity = request.get_authenticated_entity()
    return {
        "received": received,
        "processed": processed,
        "expected": {
            "request": request.get_request_id(),
            "client_address": request.get_client_ip_if_available(),
            "requester": requester,
            "authenticated_entity": entity,
            "response_seconds": request.finish_time - request._processing_finished_time,
            "method": request.get_method(),
            "uri": request.get_redacted_uri(),
            "user_agent": get_request_user_agent(request, "-"),
        },
    }


logging.getLogger("synapse").addHandler(logging.NullHandler())
for line in sys.stdin:
    try:
        answer = _answer(json.loads(line))
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), flush=True)
