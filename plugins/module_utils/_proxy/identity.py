# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the expected Matrix server answers at a public site: the first requests, before anything else is asked.

Relies on Synapse 1.163: `/_matrix/client/versions` (rest/client/versions.py) and `/_matrix/key/v2/server`
(rest/key/v2/local_key_resource.py) answer without authentication.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.certificates import (
    affected,
    check_certificate,
    tls_failed,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import (
    Answer,
    NoAnswer,
    Request,
    text_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    FIX_LIMIT,
    WARNING,
    Finding,
    Found,
    Unknown,
    evidence,
    fix_of,
    quoted,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.presented_certificate import offered_version
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.recognition import (
    BACKEND_FAILED,
    is_html,
    is_login_page,
    is_synapse_page,
    page,
    proxy_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.redirects import Redirect, follow, is_redirect
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender

VERSIONS = Request("/_matrix/client/versions")
KEY = Request("/_matrix/key/v2/server")
# In seconds. Some proxies try to reach Synapse several times before they answer.
_AT_ONCE = 1.0
# What nginx, Apache and programs in Go answer if they expect TLS.
_WANTS_TLS = (
    b"plain HTTP request was sent to HTTPS port",
    b"speaking plain HTTP to an SSL",
    b"HTTP request to an HTTPS",
)
_WHAT_TO_DO = {
    "refused": "check that the proxy runs and listens on this port",
    "timeout": "check that a firewall does not block the port, and that the proxy is not overloaded",
    "silent": "check that the proxy listens on this port and no other program, and that neither it nor Synapse hangs",
    "unreachable": "check the network and the firewall between this host and the proxy",
    "closed": "look into the log of the proxy",
}


class Identity(t.NamedTuple):
    """What is wrong at a site, and the reverse proxy there, as `proxy_name` returns it."""

    found: Found
    proxy: str


def check_site(subject: Subject, site: Site) -> Identity:
    """Ask a site who it is: once if it is for clients or for servers only, twice if it is for both.

    With a finding of severity error, the expected server does not answer at this site.
    """
    found = Found()
    answers: list[Answer] = []
    for request, groups in _requests(site):
        got = subject.sender.send(site.place, request)
        if isinstance(got, Answer) and got.status in (429, 503) and got.seconds < _AT_ONCE:
            # It can be by chance, and nothing more is asked without the right answer.
            got = subject.sender.send(site.place, request)
        if isinstance(got, NoAnswer):
            found += _no_answer(subject, site, got)
            break
        answers.append(got)
        found += _judge(subject, site, got, groups)
    return Identity(_joined(found), proxy_name(answers))


def _requests(site: Site) -> t.Iterator[tuple[Request, tuple[str, ...]]]:
    """Yield the requests, and the groups of paths that are affected if one fails."""
    for request, names in ((VERSIONS, ("client", "media")), (KEY, ("federation", "key"))):
        groups = tuple(group for group in site.groups if group in names)
        if groups:
            yield request, groups


def _no_answer(subject: Subject, site: Site, got: NoAnswer) -> Found:
    url = site.place.url
    if got.kind == "not_asked":
        return Found(unknown=(Unknown("unreachable", f"{url} was not asked: {got.reason}.", fix_of(got)),))
    if got.kind == "certificate":
        return _certificate(subject, site, got)
    if got.kind == "tls":
        version = offered_version(subject.sender, site.place, got.reason)
        return _one(tls_failed(site, got.reason, version)._replace(evidence=evidence(got)))
    if got.kind == "unresolved":
        todo = "create its DNS records, or correct the name"
        what = f"{affected(site)} do not find {site.place.host}: {got.reason}; {todo}."
        return _error("name_not_found", what, site, got)
    if got.kind == "not_http":
        what = f"Another program than a web server answers at {url}: {got.reason}; check the port."
        return _error("not_matrix", what, site, got)
    todo = _WHAT_TO_DO.get(got.kind, _WHAT_TO_DO["unreachable"])
    return _error("unreachable", f"{affected(site)} cannot reach {url}: {got.reason}; {todo}.", site, got)


def _certificate(subject: Subject, site: Site, got: NoAnswer) -> Found:
    if isinstance(subject.sender, Sender):
        found = check_certificate(subject.sender, site).found
        if any(finding.severity == ERROR for finding in found.findings):
            return found
    what = f"The certificate of {site.place.address} is not accepted: {got.reason}."
    return _error("certificate_not_trusted", what, site, got)


def _judge(subject: Subject, site: Site, got: Answer, groups: tuple[str, ...]) -> Found:
    if is_redirect(got):
        return _redirected(subject, site, got, groups)
    if got.request == VERSIONS and is_versions(got):
        return Found()
    if got.request == KEY and is_key_answer(got):
        return _compared(subject, site, got, groups)
    return _not_expected(site, got, groups)


def is_versions(got: Answer) -> bool:
    """Whether an answer is that of a Matrix server to the request for its versions."""
    versions = got.json.get("versions")
    return got.status == 200 and isinstance(versions, list) and any(text_of(version) for version in versions)


def is_key_answer(got: Answer) -> bool:
    """Whether an answer is that of a Matrix server to the request for its keys."""
    return got.status == 200 and bool(text_of(got.json.get("server_name")))


def _not_expected(site: Site, got: Answer, groups: tuple[str, ...]) -> Found:
    url = f"{site.place.url}{got.request.target}"
    if got.status == 429 or (got.status == 503 and got.header("Retry-After")):
        reason = f"{url} answered twice with status {got.status}, because too many requests were sent"
        return Found(
            unknown=(Unknown("not_matrix", f"{reason}.", "Run the task again later." if got.errcode else FIX_LIMIT),)
        )
    if got.status == 400 and site.place.scheme == "https" and any(words in got.body for words in _WANTS_TLS):
        what = f"The proxy at {site.place.url} sends plain HTTP to a port that expects TLS: correct its backend."
        return _error("proxy_error", what, site, got, groups)
    if got.status in BACKEND_FAILED and not got.errcode:
        what = (
            f"The proxy at {site.place.url} does not reach Synapse, and answers with status {got.status}: check that"
            " Synapse runs, and that the address of its backend is that of a listener of Synapse."
        )
        return _error("proxy_error", what, site, got, groups)
    if got.errcode == "M_UNRECOGNIZED" or is_synapse_page(got):
        what = (
            f"Synapse does not know the path that arrives for {url}: the proxy changes it, or sends it to a worker or a"
            " listener that does not serve it."
        )
        return _error("path_rewritten", what, site, got, groups)
    demands = "WWW-Authenticate" if got.header("WWW-Authenticate") else ""
    if got.status in (401, 403, 407) and not got.errcode and (demands or is_html(got)):
        kind = "asks for a password" if demands else f"refuses the request with status {got.status}"
        what = f"The proxy {kind} before it sends {url} to Synapse: exclude the paths of Matrix from that."
        return _error("not_matrix", what, site, got, groups)
    # Caddy answers with an empty 200 if nothing is configured for a path.
    if (got.status == 404 and not got.errcode) or (got.status == 200 and not got.body):
        what = f"The proxy does not send {url} to Synapse, and answers itself with {page(got)} and status {got.status}."
        return _error("path_not_forwarded", what, site, got, groups)
    kind = f"the error {got.errcode}" if got.errcode else page(got)
    what = (
        f"A Matrix server does not answer at {url}, but {kind} with status {got.status}: check that the host name leads"
        " to the proxy, and that the proxy sends /_matrix to Synapse."
    )
    return _error("not_matrix", what, site, got, groups)


def _redirected(subject: Subject, site: Site, got: Answer, groups: tuple[str, ...]) -> Found:
    redirect = follow(subject.sender, got)
    url = f"{site.place.url}{got.request.target}"
    arrived = quoted(redirect.last) if redirect.last else ""
    shows = evidence(got, **({"arrived": arrived} if arrived else {}))
    if redirect.is_loop:
        what = (
            f"{url} redirects in a circle, at last to {redirect.url}: the proxy must not redirect the paths of Matrix,"
            " and must tell the next one in X-Forwarded-Proto that the request came with https."
        )
        return _one(Finding("redirect_loop", what, ERROR, site.name, shows, groups))
    ends = _end(redirect, url)
    is_followed = isinstance(redirect.last, Answer) and got.request == VERSIONS and is_versions(redirect.last)
    what = f"{url} redirects to {redirect.url}, {ends}."
    # Clients follow a redirect to the same server, if they do not run in a browser. Servers never do.
    return _one(Finding("redirected", what, WARNING if is_followed else ERROR, site.name, shows, groups))


def _end(redirect: Redirect, url: str) -> str:
    last = redirect.last
    if isinstance(last, Answer):
        if is_login_page(last):
            return "a login page: exclude the paths of Matrix from the authentication of the proxy"
        if not is_versions(last) and not is_key_answer(last):
            return f"where a Matrix server does not answer, but {page(last)} with status {last.status}"
        if url.startswith("http:") and redirect.url.startswith("https:"):
            return "the same with https: use https in the public URL"
        return "which not all clients follow, and no server: let the proxy send the request to Synapse"
    if isinstance(last, NoAnswer):
        return f"where nothing answers: {last.reason}"
    if redirect.looks_like_login:
        return "probably a login page: exclude the paths of Matrix from the authentication of the proxy"
    if redirect.leaves_host:
        return "which is another host: use it in the public URL or the delegation, or do not redirect /_matrix"
    return "which is not a URL that can be followed"


def _compared(subject: Subject, site: Site, got: Answer, groups: tuple[str, ...]) -> Found:
    """Compare the keys at a site with the server name, and with those of Synapse itself."""
    url = f"{site.place.url}{got.request.target}"
    name = text_of(got.json.get("server_name"))
    if name != subject.server_name:
        what = (
            f"At {url}, the server {shown(name)} answers, not {shown(subject.server_name)}: check to which Synapse the"
            " proxy sends the requests, and the server name."
        )
        return _one(
            Finding("another_server", what, ERROR, site.name, evidence(got, expected=subject.server_name), groups)
        )
    own = subject.sender.send(subject.direct, KEY) if subject.direct else None
    if not isinstance(own, Answer) or not is_key_answer(own):
        return Found()
    own_name = text_of(own.json.get("server_name"))
    if own_name == name and own.json.get("verify_keys") == got.json.get("verify_keys"):
        return Found()
    difference = f"that server is {shown(own_name)}" if own_name != name else "the signing keys differ"
    what = (
        f"At {url}, another Synapse answers than at {own.place.named}, because {difference}: check to which Synapse the"
        " proxy sends the requests."
    )
    return _one(Finding("another_server", what, ERROR, site.name, evidence(got, expected=quoted(own)), groups))


def _joined(found: Found) -> Found:
    """Put findings with the same name together, as they have the same cause."""
    findings: dict[str, Finding] = {}
    for finding in found.findings:
        first = findings.setdefault(finding.name, finding)
        groups = dict.fromkeys((*first.groups, *finding.groups))
        findings[finding.name] = first._replace(groups=tuple(groups))
    return Found(tuple(findings.values()), tuple(dict.fromkeys(found.unknown)))


def _error(name: str, what: str, site: Site, got: Answer | NoAnswer, groups: tuple[str, ...] | None = None) -> Found:
    return _one(Finding(name, what, ERROR, site.name, evidence(got), site.groups if groups is None else groups))


def _one(finding: Finding) -> Found:
    return Found((finding,))
