# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files below /.well-known/matrix: what is wrong with them, and what other servers and clients do then.

Relies on the Matrix specifications ("Resolving server names", "Well-known URI" of the client-server API), and on
synapse/rest/well_known.py of Synapse 1.163.
"""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import shown as printable
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.delegation import Delegation
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import (
    DEFAULT_PORTS,
    Answer,
    NoAnswer,
    Place,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    FIX_LIMIT,
    FIX_NOT_ASKED,
    INFO,
    WARNING,
    Finding,
    Found,
    Unknown,
    evidence,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.identity import KEY
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import (
    parse_server_name,
    read_server_name,
    shown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import CLIENT, FEDERATION, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.well_known_file import (
    CLIENT_FILE,
    INVALID,
    LIMITED,
    MISSING,
    NO_BACKEND,
    NOT_ASKED,
    ORIGIN,
    PAGE,
    READ,
    REDIRECT,
    SERVER_FILE,
    Fetched,
    delegated_server,
    fetch_client_file,
    is_json_type,
)

_GROUPS = ("well_known",)
_SYNAPSE_HAS_NO_FILE = ".well-known not available"
# What was not found out about a file: the finding that there may be, and what to do.
_NOT_KNOWN = {
    NOT_ASKED: ("well_known_missing", FIX_NOT_ASKED),
    LIMITED: ("well_known_invalid", FIX_LIMIT),
    NO_BACKEND: (
        "well_known_invalid",
        "Check that Synapse runs and that the proxy forwards this path to it, and run the task again.",
    ),
}


class File(t.NamedTuple):
    """A file that is judged. `url`: where it is looked for. `values`: what the lines that correct it need."""

    url: str
    site: str
    fetched: Fetched
    values: dict[str, t.Any]

    def finding(self, name: str, what: str, severity: str, got: Answer | NoAnswer | None = None) -> Finding:
        """Return a finding on the file. `got`: the answer that shows it, if it is not the last one."""
        return Finding(name, what, severity, self.site, evidence(got or self.fetched.last), _GROUPS, self.values)


def check_well_known(delegation: Delegation, client_file: Fetched | None, subject: Subject) -> Found:
    """Judge the server file as `delegation` has found it, and the client file. `client_file`: None to fetch it here.

    A server file that does not exist is not a finding: if another way works it is not needed, and otherwise
    check_delegation reports port_8448_closed. The client file is not judged if `subject` has no client site.
    """
    host = parse_server_name(subject.server_name).host
    found = Found()
    if delegation.server_file is not None:
        values = {"server_name": subject.server_name}
        file = File(f"https://{host}{SERVER_FILE}", FEDERATION, delegation.server_file, values)
        found += _unknown(file) + Found(tuple(_server_findings(file, delegation, subject)))
    site = subject.site_of("client")
    if site is None:
        return found
    fetched = client_file or fetch_client_file(subject.sender, host)
    values = {"server_name": subject.server_name, "base_url": site.place.url}
    file = File(f"{Place('https', host, 443).url}{CLIENT_FILE}", CLIENT, fetched, values)
    base_url, findings = _client_findings(file, site.place, host)
    differs = _public_url_findings(file, site.place, base_url, subject.settings.public_baseurl)
    return found + _unknown(file) + Found((*findings, *differs))


def _unknown(file: File) -> Found:
    if file.fetched.state not in _NOT_KNOWN:
        return Found()
    name, fix = _NOT_KNOWN[file.fetched.state]
    return Found(unknown=(Unknown(name, f"{file.url} {file.fetched.problem}.", fix),))


def _server_findings(file: File, delegation: Delegation, subject: Subject) -> t.Iterator[Finding]:
    problem = file.fetched.problem
    if file.fetched.state == READ:
        try:
            delegated_server(file.fetched)
        except ValueError as error:
            problem = str(error)
    place = delegation.place
    instead = f"connect to {place.address}" if place else "do not connect at all"
    ignored = f"Other servers ignore {file.url} and {instead}, because it {problem}."
    if file.fetched.state == REDIRECT and isinstance(file.fetched.last, NoAnswer):
        yield file.finding("well_known_redirect", ignored, _severity(delegation, subject))
    elif file.fetched.state == REDIRECT:
        what = f"{file.url} {problem}; other servers that do not follow this {instead}."
        yield file.finding("well_known_redirect", what, ERROR)
    elif problem and file.fetched.state in (READ, INVALID, PAGE):
        # A web server may have a page for every path.
        severity = WARNING if file.fetched.state == PAGE else _severity(delegation, subject)
        yield file.finding("well_known_invalid", ignored, severity)
    yield from _form_findings(file)


def _severity(delegation: Delegation, subject: Subject) -> str:
    """A file that cannot be used does no harm where an SRV record replaces it, or where the server also answers."""
    if "srv" in delegation.method:
        return WARNING
    got = subject.sender.send(delegation.place, KEY) if delegation.place else None
    works = isinstance(got, Answer) and got.status == 200 and got.json.get("server_name") == subject.server_name
    return WARNING if works else ERROR


def _client_findings(file: File, place: Place, host: str) -> tuple[str, list[Finding]]:
    """The base_url of the client file, "" if it cannot be used, and what is wrong with the file."""
    fetched, problem, base_url = file.fetched, file.fetched.problem, ""
    findings: list[Finding] = []
    if fetched.state == MISSING:
        own = Place("https", host, 443)
        is_found = place == own
        hint = "; Synapse itself answers there, but its setting public_baseurl is not set" * _lacks_public_baseurl(
            fetched
        )
        effect = (
            f"so that clients use {own.url} itself"
            if is_found
            else f"so that users have to type {place.url} into their clients, which only know {own.netloc}"
        )
        what = f"{file.url} {problem}, {effect}{hint}."
        return "", [file.finding("well_known_missing", what, INFO if is_found else WARNING)]
    if fetched.state == READ:
        try:
            base_url = _base_url_of(fetched.content)
        except ValueError as error:
            problem = str(error)
    if problem and fetched.state not in _NOT_KNOWN:
        name = "well_known_redirect" if fetched.state == REDIRECT else "well_known_invalid"
        findings.append(file.finding(name, f"Clients do not find the server, because {file.url} {problem}.", ERROR))
    findings += _form_findings(file)
    if fetched.state == READ:
        findings += _cors_findings(file)
    return base_url, findings


def _form_findings(file: File) -> t.Iterator[Finding]:
    """What is wrong with the way in which a file that was read is served."""
    last, redirects = file.fetched.last, len(file.fetched.answers) - 1
    if file.fetched.state != READ or isinstance(last, NoAnswer):
        return
    if redirects > 1:
        what = f"{file.url} is redirected {redirects} times, which not all servers and clients follow."
        yield file.finding("well_known_redirect", what, WARNING, file.fetched.answers[0])
    if not is_json_type(last):
        kind = last.header("Content-Type")
        served = f"with the content type {shown(kind)}" if kind else "without a content type"
        what = f"{file.url} is served {served} instead of application/json, which some programs refuse."
        yield file.finding("well_known_content_type", what, WARNING)


def _cors_findings(file: File) -> list[Finding]:
    """A browser wants the header in each answer, also in redirects."""
    for answer in file.fetched.answers:
        if isinstance(answer, NoAnswer):
            continue
        allowed = answer.all("Access-Control-Allow-Origin")
        if allowed in (["*"], [ORIGIN]):
            continue
        if not allowed:
            problem = "has no header Access-Control-Allow-Origin"
        elif len(allowed) > 1 or "," in allowed[0]:
            problem = f"has the header Access-Control-Allow-Origin more than once ({shown(', '.join(allowed))})"
        else:
            problem = f"allows only {shown(allowed[0])} in the header Access-Control-Allow-Origin"
        where = "" if answer is file.fetched.last else ", in the answer that redirects,"
        what = (
            f"{file.url}{where} {problem}, so that web clients cannot read it: exactly one with the value * is right."
        )
        shown_header = {
            "arrived": f"Access-Control-Allow-Origin: {printable(', '.join(allowed))}" if allowed else "no such header"
        }
        finding = file.finding("well_known_cors", what, ERROR, answer)
        return [finding._replace(evidence={**finding.evidence, **shown_header})]
    return []


def _base_url_of(content: dict[str, t.Any]) -> str:
    """The base_url of a client file. Raises ValueError: a piece of a sentence whose subject is the file."""
    homeserver = content.get("m.homeserver")
    if not isinstance(homeserver, dict) or "base_url" not in homeserver:
        raise ValueError("has no base_url in m.homeserver")
    base_url = _url_in("m.homeserver", homeserver["base_url"])
    if "m.identity_server" in content:
        identity = content["m.identity_server"]
        _url_in("m.identity_server", identity.get("base_url") if isinstance(identity, dict) else None)
    return base_url


def _url_in(key: str, value: object) -> str:
    named = f"has the base_url {shown(value)} in {key}"
    if not isinstance(value, str):
        raise ValueError(f"{named}, which is not a text")
    if "://" not in value:
        raise ValueError(f"{named}, which is not a URL: it must begin with https://")
    try:
        parts = urllib.parse.urlsplit(value)
        port, host = parts.port, parts.hostname or ""
        read_server_name(f"[{host}]" if ":" in host else host)
    except ValueError:
        raise ValueError(f"{named}, which is not a URL") from None
    if not value.isascii() or not value.isprintable() or " " in value or port == 0:
        raise ValueError(f"{named}, which is not a URL")
    if parts.scheme != "https":
        raise ValueError(f"{named}, which is not https")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{named}, which has more than a host, a port and a path")
    if "_matrix" in parts.path.split("/"):
        raise ValueError(f"{named}, which contains /_matrix: clients add that themselves")
    return value


def _public_url_findings(file: File, place: Place, base_url: str, public_baseurl: str | None) -> t.Iterator[Finding]:
    """Whether what clients are given is what is examined."""
    named = {f"{file.url} sends clients to": base_url, "public_baseurl in homeserver.yaml is": public_baseurl or ""}
    if any(url and _normal(url) != _normal(place.url) for url in named.values()):
        all_of = " and ".join(f"{what} {shown(url)}" for what, url in named.items() if url)
        what = f"{all_of}, but {place.url} is examined: all of them must be the same URL."
        yield file.finding("public_url_differs", what, WARNING)


def _normal(url: str) -> tuple[str, str, int | None, str]:
    """A URL in a form that can be compared."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return "", url, None, ""
    return parts.scheme, parts.hostname or "", port, parts.path.rstrip("/")


def _lacks_public_baseurl(fetched: Fetched) -> bool:
    return not isinstance(fetched.last, NoAnswer) and fetched.last.error == _SYNAPSE_HAS_NO_FILE
