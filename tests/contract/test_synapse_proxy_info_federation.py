# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An invitation that cannot be accepted, because the reverse proxy of the inviting server changes some paths.

What synapse_proxy_info says on both sides, and that the nginx of the role synapse_reverse_proxy lets it be accepted.
"""

from __future__ import annotations

import contextlib
import json
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import jinja2
import pytest
import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import meeting, proxies, servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.certificates import Certificate
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import Wiring, right
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_ROLE = Path(__file__).parents[2] / "roles" / "synapse_reverse_proxy"
# It changes only the paths with which an invitation is accepted: nginx encodes the path anew after a rewrite.
_WRONG = """\
        location ^~ /_matrix/federation/v1/make_join/ {
            rewrite ^(.*)$ $1 break;
            proxy_pass http://BACKEND;
        }
        # forwarding
"""


class _Inviting(t.NamedTuple):
    """The server that invites, behind a proxy, and the one whose user is invited."""

    ours: Place
    theirs: Place
    wiring: Wiring
    proxy: proxies.Proxy


@pytest.fixture(scope="module")
def inviting(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[_Inviting]:
    """Two servers that federate, the first of them behind an nginx that changes some paths."""
    directory = tmp_path_factory.mktemp("inviting")
    with contextlib.ExitStack() as running:
        ours, theirs = running.enter_context(servers.own_servers("sqlite", "postgresql", federating=True))
        wiring = _behind_proxy(ours, directory / "nginx")
        wrong = right("nginx", wiring).replace("        # forwarding\n", _WRONG.replace("BACKEND", wiring.backend))
        proxy = running.enter_context(proxies.running("nginx", wrong, wiring.directory, wiring.ports))
        places = [Place(server, "inviting", directory) for server in (ours, theirs)]
        yield _Inviting(places[0], places[1], wiring, proxy)


def _behind_proxy(server: Server, directory: Path) -> Wiring:
    """Let a server give up the port of its name, and return what a proxy on that port is made for."""
    settings = yaml.safe_load(Path(server.config_path[0]).read_text())
    listeners = [listener for listener in settings["listeners"] if not listener.get("tls")]
    kept = [{**listener, "x_forwarded": True} if listener["type"] == "http" else listener for listener in listeners]
    Path(server.config_path[1], "80-behind-proxy.yaml").write_text(json.dumps({"listeners": kept}))
    servers.restart(server)
    host, _colon, port = server.name.rpartition(":")
    certificate, key = (Path(settings[f"tls_{name}_path"]) for name in ("certificate", "private_key"))
    backend = urllib.parse.urlsplit(server.base_url).port
    assert backend is not None
    [http] = servers.free_ports(1)
    return Wiring(directory, backend, http, int(port), Certificate(certificate, key, key), host)


def _authority(server: Server) -> str:
    settings = yaml.safe_load(Path(server.config_path[0]).read_text())
    return str(settings["federation_custom_ca_list"][0])


def _role(wiring: Wiring) -> str:
    """Return a configuration of nginx with the server of the role."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["bool"] = bool
    template = environment.from_string((_ROLE / "templates" / "site.conf.j2").read_text())
    server = template.render(
        __synapse_reverse_proxy_names=[wiring.server_name],
        __synapse_reverse_proxy_certificate=wiring.certificate.certificate,
        __synapse_reverse_proxy_private_key=wiring.certificate.key,
        __synapse_reverse_proxy_body_size="50m",
        __synapse_reverse_proxy_public_url=f"https://{wiring.server_name}:{wiring.https_port}",
        __synapse_reverse_proxy_delegates=False,
        synapse_reverse_proxy_read_timeout=120,
        synapse_reverse_proxy_backend=f"http://{wiring.backend}",
        synapse_reverse_proxy_allow_admin_from=[],
        synapse_reverse_proxy_well_known=True,
        synapse_reverse_proxy_http_port=0,
    )
    listening = f"listen 127.0.0.1:{wiring.https_port} ssl;\n    listen 127.0.0.1:{wiring.http_port};"
    around, _rest = right("nginx", wiring).split("    server {\n", 1)
    return f"{around}{server.replace('@listen https@', listening)}}}\n"


def _send(server: Server, path: str, body: dict[str, t.Any]) -> tuple[int, str]:
    request = urllib.request.Request(
        f"{server.base_url}{path}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {server.user_token}", "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _invited(inviting: _Inviting) -> str:
    """Let our user make a room and invite the user of the other server, and return the room."""
    ours, theirs = inviting.ours.server, inviting.theirs.server
    room = ours.make_room(ours.user_token, preset="private_chat")
    status, said = _send(ours, f"/_matrix/client/v3/rooms/{meeting.quoted(room)}/invite", {"user_id": theirs.user})
    assert status == 200, said
    return room


def _accept(inviting: _Inviting, room: str) -> tuple[int, str]:
    via = meeting.quoted(inviting.ours.server.name)
    path = f"/_matrix/client/v3/join/{meeting.quoted(room)}?server_name={via}&via={via}"
    return _send(inviting.theirs.server, path, {})


def _failures(place: Place, since: float) -> list[dict[str, t.Any]]:
    parameters = {
        "base_url": None,
        "config_path": place.server.config_path,
        "gather": ["signature_failures"],
        "since": str(since),
    }
    seen = play(place, "synapse_request_log_info", parameters, token=False)
    assert not seen.get("failed"), seen
    return t.cast("list[dict[str, t.Any]]", seen["signature_failures"])


def _examine(place: Place, public_url: str, failures: t.Sequence[dict[str, t.Any]]) -> Result:
    server = place.server
    parameters = {
        "public_url": public_url,
        "config_path": server.config_path,
        "log_path": [server.log],
        "synapse_python": server.python,
        "ca_path": _authority(server),
        "gather": ["paths", "signatures"],
        "signature_failures": list(failures),
    }
    seen = play(place, "synapse_proxy_info", parameters)
    assert not seen.get("failed"), seen
    return seen


def test_an_invitation_that_cannot_be_accepted(inviting: _Inviting) -> None:
    ours, theirs = inviting.ours.server, inviting.theirs.server
    begun = time.time() - 0.001
    room = _invited(inviting)
    status, said = _accept(inviting, room)
    assert status != 200
    assert "Invalid signature for server" in said

    # Here: other servers sign what the proxy changes. Synapse itself proves it with its own signature.
    failures = _failures(inviting.ours, begun)
    assert [(each["origin"], each["direction"]) for each in failures] == [(theirs.name, "inbound")]
    assert failures[0]["decoded_uris"] >= 1
    seen = _examine(inviting.ours, f"https://{ours.name}", failures)
    names = {finding["name"] for finding in seen["findings"]}
    assert "signature_broken" in names or "path_decoded" in names, seen["findings"]
    assert all("federation" in finding["groups"] for finding in seen["findings"])
    [verdict] = seen["signature_verdicts"]
    assert (verdict["origin"], verdict["side"], verdict["reason"]) == (theirs.name, "ours", "proxy_changes_path")

    # There: their own paths arrive as they are sent, so it is the proxy of the other side.
    failures = _failures(inviting.theirs, begun)
    assert (ours.name, "outbound") in [(each["origin"], each["direction"]) for each in failures]
    seen = _examine(inviting.theirs, theirs.base_url, failures)
    assert seen["findings"] == []
    verdicts = [(each["origin"], each["side"], each["reason"]) for each in seen["signature_verdicts"]]
    assert verdicts == [(ours.name, "theirs", "other_proxy_changes_path")]

    assert "synapse_federation_destination" in seen["signature_verdicts"][0]["fix"]
    inviting.proxy.reload(_role(inviting.wiring))
    reset = play(inviting.theirs, "synapse_federation_destination", {"destination": ours.name})
    assert reset["changed"], reset
    begun = time.time()
    status, said = _accept(inviting, room)
    assert status == 200, said
    assert theirs.user in meeting.members(ours, room)
    seen = _examine(inviting.ours, f"https://{ours.name}", _failures(inviting.ours, begun))
    assert seen["findings"] == []
    assert seen["signature_verdicts"] == []
