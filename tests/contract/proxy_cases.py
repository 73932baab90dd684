# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One Synapse behind each of the reverse proxies in turn, for synapse_proxy_info."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import typing as t
import urllib.parse
from pathlib import Path

import yaml

from ansible_collections.matrix_ops.synapse.tests.contract import name_server, proxies, servers
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.certificates import Authority, Certificate, make_authority
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result, play
from ansible_collections.matrix_ops.synapse.tests.contract.proxy_configurations import Wiring
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

MODULE = "synapse_proxy_info"

# The name of every server on SQLite.
_NAME = "sqlite.test"
_SETTINGS: dict[str, t.Any] = {
    "public_baseurl": f"https://{_NAME}/",
    "serve_server_wellknown": True,
    # Larger than what the wrong configurations allow.
    "max_upload_size": "2M",
    # With single sign-on Synapse looks at the host and the scheme of a request. It asks this server nothing.
    "cas_config": {"enabled": True, "server_url": "https://cas.invalid"},
}


@dataclasses.dataclass
class Stage:
    """A Synapse, the proxies that have been started in front of it, and the authority of their certificates.

    `nameserver`: the address of a DNS server that knows no records.
    """

    place: Place
    authority: Authority
    certificate: Certificate
    nameserver: str
    ends: contextlib.ExitStack
    started: dict[str, proxies.Proxy] = dataclasses.field(default_factory=dict)
    ports: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def wiring(self, kind: str, *, delegated: bool = True, certificate: Certificate | None = None) -> Wiring:
        """Return what a configuration of a proxy is made for."""
        if kind not in self.ports:
            first, second = servers.free_ports(2)
            self.ports[kind] = (first, second)
        backend = urllib.parse.urlsplit(self.place.server.base_url).port
        assert backend is not None
        directory = self.place.directory / kind
        used = certificate or self.certificate
        return Wiring(directory, backend, *self.ports[kind], used, self.place.server.name, delegated)

    def run(self, kind: str, text: str) -> None:
        """Let a proxy run with a configuration."""
        if kind in self.started:
            self.started[kind].reload(text)
            return
        wiring = self.wiring(kind)
        self.started[kind] = self.ends.enter_context(proxies.running(kind, text, wiring.directory, wiring.ports))

    def parameters(self, kind: str, scheme: str = "https", **more: t.Any) -> Parameters:
        """Return the parameters of the module for a proxy, without those of the connection to Synapse."""
        server = self.place.server
        http, https = (f"127.0.0.1:{port}" for port in self.wiring(kind).ports)
        return {
            "public_url": f"{scheme}://{server.name}",
            "config_path": server.config_path,
            "log_path": [server.log],
            "synapse_python": server.python,
            "ca_path": str(self.authority.certificate),
            "connect_to": {f"{server.name}:80": http, f"{server.name}:443": https, f"{server.name}:8448": https},
            "nameservers": [self.nameserver],
            **more,
        }

    def look(self, kind: str, scheme: str = "https", **more: t.Any) -> Result:
        """Run the module, which changes nothing, and return its result."""
        seen = play(self.place, MODULE, self.parameters(kind, scheme, **more))
        assert not seen.get("failed"), seen
        assert not seen["changed"], seen
        return seen


@contextlib.contextmanager
def staged(directory: Path) -> t.Iterator[Stage]:
    """Start a Synapse that takes the address of a client from the proxy, and end all proxies that are started later."""
    with servers.own_servers("sqlite", **_SETTINGS) as [server], contextlib.ExitStack() as ends:
        assert server.name == _NAME
        _forward(server)
        authority = make_authority(directory / "authority")
        certificate = authority.issue([server.name])
        nameserver = ends.enter_context(name_server.running())
        yield Stage(Place(server, "own", directory), authority, certificate, nameserver, ends)


def _forward(server: Server) -> None:
    """Let Synapse take the address of a client from X-Forwarded-For, and serve its metrics on the same port."""
    listeners = yaml.safe_load(Path(server.config_path[0]).read_text())["listeners"]
    for listener in listeners:
        if listener["type"] == "http":
            listener["x_forwarded"] = True
            listener["resources"].append({"names": ["metrics"]})
    Path(server.config_path[1], "80-forwarded.yaml").write_text(json.dumps({"listeners": listeners}))
    servers.restart(server)
