# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""How to read from an answer of Synapse which path reached it.

Relies on what Synapse 1.163 answers, all tried:

- rest/media/download_resource.py: with allow_remote=false, 404 M_NOT_FOUND `Not found '<path as it arrived>'` for media
  of another server; without allow_remote only `Not found`.
- /_matrix/static is a directory of Twisted: 302 with Location <path as it arrived>/?<query as it arrived>.
- rest/client/directory.py: 404 M_NOT_FOUND `Room alias <decoded once> not found`, 400 M_INVALID_PARAM if it does not
  begin with #.
- http/server.py matches paths before it decodes them: with a slash more or less, 404 M_UNRECOGNIZED.
- federation/transport/server: without Authorization, 401 M_UNAUTHORIZED for event and make_join, 405 M_UNRECOGNIZED for
  GET of v2/send_join; v1/openid/userinfo has 401 M_UNKNOWN_TOKEN for an unknown token, M_MISSING_TOKEN without one.
- rest/client/versions.py: 200, but 401 M_UNKNOWN_TOKEN with an unknown token.
- rest/key/v2/local_key_resource.py: 200 for any key ID.
- rest/client/directory.py and rest/media/download_resource.py: 400 M_INVALID_PARAM for an alias without # and for a
  value of allow_remote that is neither true nor false.
- Twisted (web/http.py) answers a request line with a space or a byte above 127 in its path with 400, without a body,
  before Synapse sees it.
- Outside of /_matrix, Twisted's own page with 404 "No Such Resource".
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_change import (
    DECODED,
    ENCODED_TWICE,
    MERGED,
    QUERY_CUT,
    REWRITTEN,
    SAME,
    SLASH_REMOVED,
    Change,
    Step,
    change_of,
    describe_change,
)

# What an answer shows: the target arrived as it was sent, it changed, not Synapse answered, or nothing.
INTACT, CHANGED, FOREIGN, UNSURE = "intact", "changed", "foreign", "unsure"
# What a probe is for.
CHARACTERS, SLASHES, QUERY, BASELINE = "characters", "slashes", "query", "baseline"
STATUS, ERRORS = "status", "errors"

_ECHO = re.compile(r"Not found '(.*)'", re.DOTALL)
_NO_ALIAS = re.compile(r"Room alias (.*) not found", re.DOTALL)
_PAGE_OF_SYNAPSE = b"No Such Resource"
_SLASH_DECODED = Change(DECODED, "%2F became /", (Step(DECODED, "%2F", "/"),))


class Outcome(t.NamedTuple):
    """What an answer shows.

    `change`: of CHANGED. `arrived`: the target as it arrived, "" if it is not known. `reason`: of UNSURE. `is_logged`:
    whether the access log shows it.
    """

    state: str
    change: Change = Change(SAME)
    arrived: str = ""
    reason: str = ""
    is_logged: bool = False


Reader = t.Callable[["Probe", Answer], Outcome]


class Probe(t.NamedTuple):
    """A request and how to read its answer.

    `characters`: those that it contains encoded, to name them. `expected`: what Synapse answers if all arrived intact.
    """

    group: str
    purpose: str
    target: str
    expected: str
    reader: Reader
    characters: tuple[str, ...] = ()

    @property
    def request(self) -> Request:
        """The request."""
        return Request(self.target)

    @property
    def status(self) -> int:
        """The status that is expected."""
        return int(self.expected[:3])

    def read(self, answer: Answer | NoAnswer) -> Outcome:
        """Return what an answer shows."""
        if isinstance(answer, NoAnswer):
            return Outcome(UNSURE, reason=answer.reason)
        if answer.status == 429:
            return Outcome(UNSURE, reason="the answer is 429: too many requests")
        if answer.status >= 500:
            return Outcome(UNSURE, reason=f"the answer is {answer.status}")
        found = self.reader(self, answer)
        if found.state == UNSURE and not found.reason:
            return _read_other(self, answer)
        return found


def _is(answer: Answer, status: int, errcode: str) -> bool:
    return answer.status == status and answer.errcode == errcode


def _is_unrecognized(answer: Answer) -> bool:
    return _is(answer, 404, "M_UNRECOGNIZED")


def _changed(change: Change, arrived: str = "") -> Outcome:
    return Outcome(INTACT if change.kind == SAME else CHANGED, change, arrived)


def read_alias(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a request for an alias of this server."""
    if _is_unrecognized(answer):
        return _changed(_SLASH_DECODED) if "%2F" in probe.target else Outcome(UNSURE)
    if _is(answer, 400, "M_INVALID_PARAM"):
        return _changed(change_of([Step(ENCODED_TWICE, "%23", "%2523")]))
    found = _NO_ALIAS.fullmatch(answer.error)
    if not _is(answer, 404, "M_NOT_FOUND") or not found:
        return Outcome(UNSURE)
    alias = _NO_ALIAS.findall(probe.expected)[0]
    if found[1] == alias:
        return Outcome(INTACT)
    # Synapse decodes once: what is still encoded was encoded twice, what is decoded twice was decoded before.
    difference = describe_change(alias, found[1])
    if difference.kind == DECODED:
        return _changed(Change(DECODED, "%253A became %3A", (Step(DECODED, "%25", "%"),)))
    encoded = [step.before for step in difference.steps if len(step.before) == 1 and step.after.startswith("%")]
    codes = [f"%{ord(character):02X}" for character in encoded]
    codes += ["%25" for step in difference.steps if step.kind == ENCODED_TWICE]
    steps = [Step(ENCODED_TWICE, code, f"%25{code[1:]}") for code in codes]
    return _changed(change_of(steps)) if steps else Outcome(UNSURE)


def read_media(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a request for media of another server: it has the path."""
    if not _is(answer, 404, "M_NOT_FOUND"):
        return Outcome(UNSURE)
    if answer.error == "Not found":
        return _changed(Change(QUERY_CUT, "the query was removed"))
    found = _ECHO.fullmatch(answer.error)
    if not found:
        return Outcome(UNSURE)
    return _changed(describe_change(probe.target.partition("?")[0], found[1]), found[1])


def read_static(probe: Probe, answer: Answer) -> Outcome:
    """Read the redirect of a directory: it has the path and the query."""
    location = answer.header("Location")
    path, mark, query = _local(location).partition("?")
    if answer.status != 302 or not path.endswith("/_matrix/static/"):
        # Neither a proxy nor a worker of Synapse has to have this directory.
        return Outcome(FOREIGN)
    arrived = f"{path[:-1]}{mark}{query}"
    return _changed(describe_change(probe.target, arrived), arrived)


def read_merged(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a path with //."""
    return _read_slashes(answer, Change(MERGED, "// became /", (Step(MERGED, "//", "/"),)))


def read_removed(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a path with a slash at the end."""
    step = Step(SLASH_REMOVED, "/", "")
    return _read_slashes(answer, Change(SLASH_REMOVED, step.text, (step,)))


def _read_slashes(answer: Answer, change: Change) -> Outcome:
    if _is_unrecognized(answer):
        return Outcome(INTACT)
    return _changed(change) if answer.status == 200 and _is_baseline(answer) else Outcome(UNSURE)


def read_event(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a request without a signature."""
    return _read_segments(probe, answer, 401, "M_UNAUTHORIZED")


def read_send_join(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to GET of a path that has only PUT."""
    return _read_segments(probe, answer, 405, "M_UNRECOGNIZED")


def read_keys(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a request for the keys."""
    if answer.status == 200 and _is_baseline(answer):
        return Outcome(INTACT)
    return _read_segments(probe, answer, 200, "")


def _read_segments(probe: Probe, answer: Answer, status: int, errcode: str) -> Outcome:
    if errcode and _is(answer, status, errcode):
        return Outcome(INTACT)
    return _changed(_SLASH_DECODED) if _is_unrecognized(answer) and "%2F" in probe.target else Outcome(UNSURE)


def read_token(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a request with a token in the query."""
    if _is(answer, 401, "M_UNKNOWN_TOKEN"):
        return Outcome(INTACT)
    return (
        _changed(Change(QUERY_CUT, "the query was removed")) if _is(answer, 401, "M_MISSING_TOKEN") else Outcome(UNSURE)
    )


def read_baseline(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a request without anything that a proxy could change."""
    return Outcome(INTACT) if answer.status == 200 and _is_baseline(answer) else Outcome(UNSURE)


def read_status(probe: Probe, answer: Answer) -> Outcome:
    """Read the answer to a request with a wrong value: the only one with this status."""
    return Outcome(INTACT) if _is(answer, probe.status, "M_INVALID_PARAM") else Outcome(UNSURE)


def is_broken_line(probe: Probe, answer: Answer | NoAnswer) -> bool:
    """Whether an answer can be that of Twisted to a space or a letter as é that a proxy has decoded."""
    is_bare = isinstance(answer, Answer) and answer.status == 400 and not answer.body
    return is_bare and any(code in probe.target for code in ("%20", "%C3%A9"))


def is_page_of_synapse(answer: Answer) -> bool:
    """Whether an answer is Twisted's page for a path outside of what Synapse serves."""
    return answer.status == 404 and _PAGE_OF_SYNAPSE in answer.body


def _is_baseline(answer: Answer) -> bool:
    return any(name in answer.json for name in ("versions", "server", "server_name"))


def _read_other(probe: Probe, answer: Answer) -> Outcome:
    """Read an answer that is none of those that Synapse has for the probe."""
    if is_page_of_synapse(answer):
        text = "the path that arrived is outside of /_matrix"
        return _changed(Change(REWRITTEN, text, (Step(REWRITTEN, probe.target.partition("?")[0], ""),)))
    if probe.purpose == BASELINE and _is_unrecognized(answer):
        text = "Synapse does not know the path that arrived"
        return _changed(Change(REWRITTEN, text, (Step(REWRITTEN, probe.target.partition("?")[0], ""),)))
    if 300 <= answer.status < 400:
        change = describe_change(probe.target, _local(answer.header("Location")))
        # A redirect to a page of another kind, such as a login, proves nothing of the path.
        if change.kind not in (SAME, REWRITTEN):
            return _changed(change._replace(text=f"{change.text}, by a redirect"), answer.header("Location"))
    if answer.is_matrix:
        return Outcome(UNSURE, reason=f"the answer is {answer.status} {answer.errcode}".rstrip())
    return Outcome(FOREIGN)


def _local(location: str) -> str:
    """Return a location without the scheme and the host, without any other change."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return location
    start = f"{parts.scheme}://{parts.netloc}"
    return location[len(start) :] if parts.scheme and location.lower().startswith(start.lower()) else location
