# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether web clients can use the server: the headers of cross-origin resource sharing (CORS) in its answers.

Relies on `set_cors_headers` and `OptionsResource` in synapse/http/server.py of Synapse 1.163: each answer in JSON,
also an error, has `Access-Control-Allow-Origin: *` once, and OPTIONS of any path is 204 with these headers.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Request
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    FIX_LIMIT,
    Finding,
    Found,
    Unknown,
    evidence,
    fix_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject

_ORIGIN = "https://web-client.invalid"
_ALLOW_ORIGIN = "Access-Control-Allow-Origin"
_METHOD = "PUT"
_HEADERS = ("authorization", "content-type")
_PREFLIGHT = (
    ("Origin", _ORIGIN),
    ("Access-Control-Request-Method", _METHOD),
    ("Access-Control-Request-Headers", ", ".join(_HEADERS)),
)
# In characters, for a text in the evidence.
_LONGEST = 400
MISSING, DOUBLED, PREFLIGHT = "cors_missing", "cors_doubled", "cors_preflight"


class _Probe(t.NamedTuple):
    """A request. `kind`: what its answer is called in a sentence."""

    group: str
    kind: str
    request: Request


_PROBES = (
    _Probe("client", "answers", Request("/_matrix/client/versions", headers=(("Origin", _ORIGIN),))),
    _Probe("client", "errors", Request("/_matrix/client/v3/no_such_endpoint", headers=(("Origin", _ORIGIN),))),
    _Probe("client", "preflight", Request("/_matrix/client/v3/directory/list/room/x", "OPTIONS", _PREFLIGHT)),
    # Without a token, this is an error.
    _Probe("media", "errors", Request("/_matrix/media/v3/config", headers=(("Origin", _ORIGIN),))),
    _Probe("media", "preflight", Request("/_matrix/media/v3/upload/x/y", "OPTIONS", _PREFLIGHT)),
)
_SHOWN = {"answers": "its answers", "errors": "errors", "preflight": "the answers to OPTIONS"}
# Too many requests, or the proxy does not reach Synapse: that says nothing about its usual answers.
_TRY_AGAIN = {429, 500, 502, 503, 504}


class _Fault(t.NamedTuple):
    """What is wrong with an answer. `detail`: what it has instead, the end of a sentence."""

    name: str
    detail: str
    probe: _Probe
    answer: Answer


def check_cors(subject: Subject) -> Found:
    """Send five requests to the site of clients, a few more if they show a fault, and judge the headers of CORS.

    Only answers that are Synapse's own count, and refused preflights if nothing else is refused in the same way.
    What Synapse itself answers in the same way is unknown instead, because the proxy is not the cause.
    """
    found = Found()
    for site in subject.sites:
        probes = [probe for probe in _PROBES if probe.group in site.groups]
        if probes:
            found += _check(subject, site, probes)
    return found


def _check(subject: Subject, site: Site, probes: list[_Probe]) -> Found:
    got = [(probe, subject.sender.send(site.place, probe.request)) for probe in probes]
    unknown = [Unknown(MISSING, reason, fix) for reason, fix in _no_answers(got)]
    refused = _refused_preflight(got)
    is_limited = refused is not None and _is_limited(subject, refused)
    if refused is not None and is_limited:
        reason = f"{refused.place.url} answered OPTIONS with {refused.status}, probably because of a limit of requests."
        unknown.append(Unknown(PREFLIGHT, reason, FIX_LIMIT))
    # Where a page of the proxy answers, the group is not forwarded at all, which is another finding.
    forwarded = {probe.group for probe, answer in got if isinstance(answer, Answer) and _is_of_synapse(probe, answer)}
    faults: list[_Fault] = []
    for probe, answer in got:
        if not isinstance(answer, Answer) or answer.status in _TRY_AGAIN or probe.group not in forwarded:
            continue
        if probe.kind == "preflight":
            faults += [] if is_limited else _preflight_fault(probe, answer)
        elif _is_of_synapse(probe, answer):
            faults += _origin_fault(probe, answer)
    findings = []
    for name in (MISSING, DOUBLED, PREFLIGHT):
        of_name = [fault for fault in _by_cause(faults) if fault.name == name]
        direct = [_is_same_directly(subject, fault) for fault in of_name]
        of_proxy = [fault for fault, same in zip(of_name, direct) if same is False]
        if of_proxy:
            findings.append(_finding(site, name, of_proxy))
        elif of_name:
            unknown.append(_not_the_proxy(name, of_name[0], is_known=direct[0] is not None))
    return Found(tuple(findings), tuple(unknown))


def _by_cause(faults: list[_Fault]) -> list[_Fault]:
    """A preflight without the header is a fault of its own only if the other answers of the group have the header."""
    missing = {fault.probe.group for fault in faults if fault.name == MISSING and fault.probe.kind != "preflight"}
    return [
        fault._replace(name=PREFLIGHT)
        if fault.name == MISSING and fault.probe.kind == "preflight" and fault.probe.group not in missing
        else fault
        for fault in faults
    ]


def _no_answers(got: list[tuple[_Probe, Answer | NoAnswer]]) -> list[tuple[str, str]]:
    for _probe, answer in got:
        if isinstance(answer, NoAnswer):
            return [(f"A request had no answer: {answer.reason}.", fix_of(answer))]
        if answer.status in _TRY_AGAIN:
            reason = f"{answer.place.url} answered with {answer.status} to a request of this check."
            return [(reason, "Run the task again.")]
    return []


def _is_of_synapse(probe: _Probe, answer: Answer) -> bool:
    if probe.kind == "preflight" or answer.status in _TRY_AGAIN:
        return False
    return bool(answer.errcode) or (answer.status == 200 and isinstance(answer.json.get("versions"), list))


def _refused_preflight(got: list[tuple[_Probe, Answer | NoAnswer]]) -> Answer | None:
    """Return the first refused preflight, which can be that of a limit that began in the middle of all requests."""
    answers = (answer for probe, answer in got if probe.kind == "preflight" and isinstance(answer, Answer))
    return next((answer for answer in answers if answer.status >= 400 and answer.status not in _TRY_AGAIN), None)


def _is_limited(subject: Subject, refused: Answer) -> bool:
    """Whether a preflight is not always refused in this way, or other requests are meanwhile refused too."""
    usual = subject.sender.send(refused.place, _PROBES[0].request)
    again = subject.sender.send(refused.place, refused.request)
    if not isinstance(usual, Answer) or not isinstance(again, Answer):
        return True
    return again.status != refused.status or usual.status == refused.status


def _origin_fault(probe: _Probe, answer: Answer) -> list[_Fault]:
    """A browser accepts the header only once, with its own origin or `*`."""
    headers = answer.all(_ALLOW_ORIGIN)
    values = [value.strip() for header in headers for value in header.split(",") if value.strip()]
    if not values:
        return [_Fault(MISSING, "without it", probe, answer)]
    if len(values) > 1:
        return [_Fault(DOUBLED, f"with {len(values)} values", probe, answer)]
    if values[0] not in ("*", _ORIGIN):
        return [_Fault(MISSING, "with another origin", probe, answer)]
    return []


def _preflight_fault(probe: _Probe, answer: Answer) -> list[_Fault]:
    if not 200 <= answer.status < 300:
        return [_Fault(PREFLIGHT, f"the status is {answer.status}", probe, answer)]
    faults = _origin_fault(probe, answer)
    if faults:
        return faults
    if not _listed(answer, "Access-Control-Allow-Methods") & {_METHOD.lower(), "*"}:
        return [_Fault(PREFLIGHT, f"Access-Control-Allow-Methods does not contain {_METHOD}", probe, answer)]
    # In this header, a browser does not take `*` for Authorization.
    allowed = _listed(answer, "Access-Control-Allow-Headers")
    lacking = [name for name in _HEADERS if name not in allowed and ("*" not in allowed or name == "authorization")]
    if lacking:
        detail = f"Access-Control-Allow-Headers does not contain {' and '.join(lacking)}"
        return [_Fault(PREFLIGHT, detail, probe, answer)]
    return []


def _listed(answer: Answer, name: str) -> set[str]:
    return {part.strip().lower() for value in answer.all(name) for part in value.split(",")}


def _is_same_directly(subject: Subject, fault: _Fault) -> bool | None:
    """Whether Synapse itself answers with the same fault, None if it does not answer."""
    if subject.direct is None:
        return False
    answer = subject.sender.send(subject.direct, fault.probe.request)
    if not isinstance(answer, Answer) or answer.status in _TRY_AGAIN:
        return None
    judge = _preflight_fault if fault.probe.kind == "preflight" else _origin_fault
    return any(direct.detail == fault.detail for direct in judge(fault.probe, answer))


def _not_the_proxy(name: str, fault: _Fault, *, is_known: bool) -> Unknown:
    if not is_known:
        return Unknown(
            name,
            f"The headers of CORS are wrong for {fault.probe.request.target} ({fault.detail}), but Synapse itself"
            " did not answer, so it is not known whether the proxy is the cause.",
            "Run the task again when Synapse answers at base_url.",
        )
    return Unknown(
        name,
        f"The headers of CORS are wrong for {fault.probe.request.target} ({fault.detail}), but also in the answers of"
        " Synapse itself, so this proxy is not the cause.",
        "Set base_url to a listener of Synapse itself, without another proxy in front of it.",
    )


def _finding(site: Site, name: str, faults: list[_Fault]) -> Finding:
    groups = tuple(dict.fromkeys(fault.probe.group for fault in faults))
    kinds = " and ".join(dict.fromkeys(_SHOWN[fault.probe.kind] for fault in faults))
    first = faults[0]
    where = f"group{'s' if len(groups) > 1 else ''} {' and '.join(groups)}"
    what = {
        MISSING: (
            f"The proxy changes {_ALLOW_ORIGIN} in {kinds} of the {where} ({first.detail}), so web clients of other"
            " origins cannot read them."
        ),
        DOUBLED: (
            f"The proxy adds {_ALLOW_ORIGIN} to {kinds} of the {where}, which have it from Synapse already, and"
            " browsers refuse answers with two of them."
        ),
        PREFLIGHT: (
            f"The proxy does not leave OPTIONS of the {where} to Synapse ({first.detail}), so browsers do not send the"
            " requests of web clients."
        ),
    }[name]
    shows = evidence(
        first.answer,
        expected=f"{_ALLOW_ORIGIN}: *" if name != PREFLIGHT else "204 with the headers of Synapse",
        arrived=_headers(first.answer),
    )
    return Finding(name, what, ERROR, site.name, shows, groups)


def _headers(answer: Answer) -> str:
    """Return the headers of CORS as a text."""
    found = [f"{name}: {value}" for name, value in answer.headers if name.lower().startswith("access-control-allow-")]
    return shown(", ".join(found), _LONGEST) or "no header of CORS"
