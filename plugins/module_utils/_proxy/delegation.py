# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where other servers find a server: the steps of "Resolving server names" of the Matrix server-server specification.

Relies on synapse/http/federation/matrix_federation_agent.py of Synapse 1.163, which follows the same steps. A redirect
to http is not followed here. What Synapse caches is always asked again here.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.addresses import failing_targets
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import NoAnswer, Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    WARNING,
    Finding,
    Found,
    Unknown,
    evidence,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.identity import KEY
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import (
    ServerName,
    parse_server_name,
    shown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.service_records import (
    LookupFailed,
    Record,
    Records,
    record_problem,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import FEDERATION, Sends
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.well_known_file import (
    LIMITED,
    NO_BACKEND,
    NOT_ASKED,
    READ,
    SERVER_FILE,
    SYNAPSE_DOES_NOT_SERVE,
    Fetched,
    delegated_server,
    fetch_server_file,
)

DEFAULT_PORT = 8448
_SERVICES = (("_matrix-fed._tcp", "srv"), ("_matrix._tcp", "srv_deprecated"))
_MOST_TARGETS = 4
# Who accepts connections and does not answer listens: that is unreachable, and the port is open.
_NOBODY_LISTENS = ("refused", "timeout", "unreachable")
_NOT_KNOWN = (NOT_ASKED, LIMITED, NO_BACKEND)


class Location(t.NamedTuple):
    """Where a name leads. The names and the rest are as in Delegation."""

    method: str
    place: Place | None
    targets: tuple[str, ...]
    connect_to: dict[str, str]
    certain: bool = True
    found: Found = Found()


class Delegation(t.NamedTuple):
    """Where other servers connect to.

    `method`: how they find it.
      literal: the server name is an IP address; port: it has a port; srv: by the SRV record _matrix-fed._tcp;
      srv_deprecated: by the SRV record _matrix._tcp; default: port 8448 of the name. well_known_literal,
      well_known_port, well_known_srv, well_known_srv_deprecated, well_known_default: the same for the name in the file
      /.well-known/matrix/server.
    `place`: to which requests are sent. None if an SRV record excludes that there is a server. Its host is `tls_name`.
    `tls_name`: the name or IP address that the certificate must be valid for, without brackets, in lower case.
    `host_header`: what other servers send as Host.
    `well_known`: the m.server of the server file, None if that was not needed, or cannot be used.
    `targets`: the addresses (host:port) to which connections are made, those to try first in front.
    `connect_to`: the entries that the sender needs: with an SRV record, connections to `place` go to its first target.
    `certain`: False if the DNS gave no answer or the file was not read, so that `place` is only assumed.
    `found`: what is wrong with SRV records, and what could not be found out.
    """

    server_name: str
    method: str
    place: Place | None
    tls_name: str
    host_header: str
    well_known: dict[str, str] | None
    targets: tuple[str, ...]
    connect_to: dict[str, str]
    certain: bool
    server_file: Fetched | None
    found: Found

    def connect_to_with(self, given: t.Mapping[str, str]) -> dict[str, str]:
        """Return the entries of connect_to for the sender. `given`: those of the user, which take precedence."""
        own = {place: given.get(target, target) for place, target in self.connect_to.items()}
        return {**own, **given}


def resolve(server_name: str, sender: Sends, records: Records) -> Delegation:
    """Find out where other servers connect to. Raises InvalidInput if it is not a server name.

    Sends a request for the server file and follows its redirects, if the name is neither an IP address nor with a port.
    If SRV records name several targets, it connects to them, because other servers go on to the next one, too.
    """
    own = parse_server_name(server_name)
    file = None if own.is_literal or own.port else fetch_server_file(sender, own.host)
    delegated = _delegated_by(file)
    name, prefix = (delegated, "well_known_") if delegated else (own, "")
    location = _locate(name, records, sender)
    return Delegation(
        server_name=server_name,
        method=prefix + location.method,
        place=location.place,
        tls_name=name.host,
        host_header=name.text,
        well_known={"m.server": delegated.text} if delegated else None,
        targets=location.targets,
        connect_to=location.connect_to,
        certain=location.certain and (file is None or file.state not in _NOT_KNOWN),
        server_file=file,
        found=location.found,
    )


def check_delegation(delegation: Delegation, sender: Sends) -> Found:
    """Return `port_8448_closed` if other servers have to use port 8448 and cannot connect to it.

    Sends one request then. Nothing is asked if they use another way, or if it is not known which one.
    """
    place, file = delegation.place, delegation.server_file
    if place is None or file is None or not delegation.certain or not delegation.method.endswith("default"):
        return Found()
    got = sender.send(place, KEY)
    if not isinstance(got, NoAnswer) or got.kind not in _NOBODY_LISTENS:
        return Found()
    what = (
        f"Other servers connect to {place.address}, because {_why_default(delegation, file)}, but {got.reason}:"
        f" {_ways_out(delegation, file)}."
    )
    values = {"server_name": delegation.server_name}
    return Found((Finding("port_8448_closed", what, ERROR, FEDERATION, evidence(got), ("federation", "key"), values),))


def _delegated_by(file: Fetched | None) -> ServerName | None:
    """The server in the file. If it cannot be used, other servers continue as if the file did not exist."""
    if file is None or file.state != READ:
        return None
    try:
        return delegated_server(file)
    except ValueError:
        return None


def _locate(name: ServerName, records: Records, sender: Sends) -> Location:
    if name.is_literal or name.port:
        place = Place("https", name.host, name.port or DEFAULT_PORT)
        return Location("literal" if name.is_literal else "port", place, (place.address,), {})
    default = Place("https", name.host, DEFAULT_PORT)
    for service, method in _SERVICES:
        question = f"{service}.{name.host}"
        try:
            answers = records.lookup(question)
        except LookupFailed as error:
            unknown = Unknown("delegation", f"{error} Port {DEFAULT_PORT} of {name.host} is assumed.", error.fix)
            return Location("default", default, (default.address,), {}, False, Found(unknown=(unknown,)))
        if answers:
            return _by_records(method, name, question, answers, records, sender)
    return Location("default", default, (default.address,), {})


def _by_records(
    method: str, name: ServerName, question: str, answers: list[Record], records: Records, sender: Sends
) -> Location:
    targets = [record for record in answers if record.host != "."]
    shown_answers = {"request": f"SRV {question}", "answer": "; ".join(_text_of(record) for record in answers)}
    if not targets:
        what = f'The SRV record of {question} has the target ".", so that other servers do not connect at all.'
        return Location(
            method, None, (), {}, True, Found((Finding("srv_invalid", what, ERROR, FEDERATION, shown_answers),))
        )
    problems = list(
        dict.fromkeys(filter(None, (record_problem(record, records) for record in targets[:_MOST_TARGETS])))
    )
    addresses = tuple(record.address for record in targets)
    failing: dict[str, str] = {}
    if len(addresses) > 1 and isinstance(sender, Sender):
        failing = failing_targets(addresses[:_MOST_TARGETS], sender.connect_to)
    first = next((record for record in targets if record.address not in failing), targets[0])
    if first.address not in failing:
        problems += [f"its target {shown(address)} fails ({reason})" for address, reason in failing.items()]
    what = f"The SRV record of {question} works in part only: {'; '.join(problems)}."
    findings = (Finding("srv_invalid", what, WARNING, FEDERATION, shown_answers),) if problems else ()
    # Port 443 of the name is its web site, which has the well-known files: connections to it must not go elsewhere.
    place = Place("https", name.host, DEFAULT_PORT if first.port in (0, 443) else first.port)
    return Location(method, place, addresses, {place.address: first.address}, True, Found(findings))


def _text_of(record: Record) -> str:
    return f"{record.priority} {record.weight} {record.port} {record.host}"


def _why_default(delegation: Delegation, file: Fetched) -> str:
    name = delegation.host_header
    url = f"https://{parse_server_name(delegation.server_name).host}{SERVER_FILE}"
    if delegation.method == "well_known_default":
        return f"the m.server {shown(name)} in {url} has no port, and {name} has no SRV record"
    if _is_synapse_without_file(file):
        return (
            f"serve_server_wellknown is not set in homeserver.yaml (Synapse itself answers at {url}), and there is no"
            " SRV record"
        )
    problem = "is not valid" if file.state == READ else file.problem
    return f"{url} {problem}, and there is no SRV record"


def _ways_out(delegation: Delegation, file: Fetched) -> str:
    name = delegation.tls_name
    if delegation.method == "well_known_default":
        return (
            f"write the port into the file, such as {name}:443, or open port {DEFAULT_PORT}, or create the SRV record"
            f" _matrix-fed._tcp.{name}"
        )
    serve = (
        "set serve_server_wellknown: true in homeserver.yaml"
        if _is_synapse_without_file(file)
        else f'serve https://{name}{SERVER_FILE} with {{"m.server": "{name}:443"}}, with the name and the port of the'
        " proxy"
    )
    return f"open port {DEFAULT_PORT}, or {serve}, or create the SRV record _matrix-fed._tcp.{name}"


def _is_synapse_without_file(file: Fetched) -> bool:
    return not isinstance(file.last, NoAnswer) and file.last.body.strip() == SYNAPSE_DOES_NOT_SERVE
