# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is wrong with a reverse proxy or a delegation, and what could not be found out."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Request

ERROR, WARNING, INFO = "error", "warning", "info"
_LONGEST_TARGET = 200
_LONGEST_BODY = 200
# An answer can repeat the headers of its request.
_SECRET = re.compile(r"(?i)(access_token=|signature=|sig=|\bBearer\s+)[^&\s]*")
# Who was logged in to a site, in a URL.
_USER = re.compile(r"//[^/?#@]*@")
FIX_NOT_ASKED = "Examine less at a time with gather."
FIX_LIMIT = "Raise the limit for the address of this host, such as limit_req in nginx, and run the task again."


class Finding(t.NamedTuple):
    """One thing that is wrong.

    `name` stays the same in all releases. `what` is one sentence. `site`: client or federation. `evidence`: texts, at
    least `request` and `answer`. `groups`: the groups of paths that are affected. `values`: what the lines that correct
    it need, such as {"max_upload_size": bytes}.
    """

    name: str
    what: str
    severity: str
    site: str
    evidence: dict[str, str]
    groups: tuple[str, ...] = ()
    values: dict[str, t.Any] = {}


class Unknown(t.NamedTuple):
    """What could not be found out: the name of a finding or of a return value, why, and what to do about it."""

    name: str
    reason: str
    fix: str


class Found(t.NamedTuple):
    """The result of a check."""

    findings: tuple[Finding, ...] = ()
    unknown: tuple[Unknown, ...] = ()

    def __add__(self, other: object) -> Found:
        """Put two results together."""
        if not isinstance(other, Found):
            return NotImplemented
        return Found((*self.findings, *other.findings), (*self.unknown, *other.unknown))


def evidence(got: Answer | NoAnswer, **more: str) -> dict[str, str]:
    """Return the request and the answer as texts, without secrets, and further texts."""
    return {"request": shown_request(got), "answer": quoted(got), **more}


def shown_request(got: Answer | NoAnswer) -> str:
    """Return the method and the URL of a request, such as `GET https://example.org/_matrix/key/v2/server`."""
    return f"{got.request.method} {got.place.url}{shown(shown_target(got.request), _LONGEST_TARGET)}"


def shown_target(request: Request) -> str:
    """Return the path and the query of a request without secrets."""
    return _SECRET.sub(r"\1<redacted>", request.target)


def quoted(got: Answer | NoAnswer) -> str:
    """Return the status, the redirect and the beginning of the body of an answer, or why there is none."""
    if isinstance(got, NoAnswer):
        return got.reason
    location = _without_query(got.header("Location"), got.request.target)
    parts = [str(got.status), f"Location: {location}" if location else "", got.body.decode("utf-8", "replace")]
    return shown(_SECRET.sub(r"\1<redacted>", " ".join(part for part in parts if part)), _LONGEST_BODY)


def _without_query(location: str, target: str) -> str:
    """Return a Location without what can identify a session, which the query of the request itself cannot do."""
    url, mark, query = _USER.sub("//<redacted>@", location).partition("#")[0].partition("?")
    return f"{url}{mark}{query if query == target.partition('?')[2] else '<redacted>'}" if mark else url


def fix_of(got: NoAnswer) -> str:
    """Return what to do about a request without an answer, if that can be by chance."""
    return FIX_NOT_ASKED if got.kind == "not_asked" else "Run the task again."
