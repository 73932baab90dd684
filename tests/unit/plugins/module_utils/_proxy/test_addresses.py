# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether IPv6 works where IPv4 does: real connections to loopback, for names that have these addresses in the test."""

from __future__ import annotations

import socket
import threading
import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy import addresses
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.addresses import (
    can_reach,
    check_addresses,
    failing_targets,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import is_address

Listen = t.Callable[[str], int]


@pytest.fixture
def listen() -> t.Iterator[Listen]:
    """Listens on a free port of an address, and returns the port."""
    opened = []

    def start(address: str) -> int:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.create_server((address, 0), family=family)
        opened.append(listening)
        return int(listening.getsockname()[1])

    yield start
    for listening in opened:
        listening.close()


@pytest.fixture(autouse=True)
def has_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the host have IPv6, whatever it has."""
    monkeypatch.setattr(addresses, "can_reach", lambda address: True)


def named(monkeypatch: pytest.MonkeyPatch, *found: str) -> list[str]:
    """Let every name have these addresses, and return the names that are looked up."""
    asked: list[str] = []
    original: t.Callable[..., t.Any] = socket.getaddrinfo

    def look_up(host: str, port: int, *arguments: int, **options: int) -> t.Any:
        # To connect to an address, the standard library looks it up too.
        if is_address(host):
            return original(host, port, *arguments, **options)
        asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in found for _twice in range(2)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def place(port: int) -> Place:
    return Place("https", "example.org", port)


def test_ipv6_that_refuses_while_ipv4_accepts(monkeypatch: pytest.MonkeyPatch, listen: Listen) -> None:
    port = listen("127.0.0.1")
    named(monkeypatch, "::1", "127.0.0.1")
    [finding] = check_addresses(place(port), {}, "client").findings
    assert (finding.name, finding.severity, finding.site) == ("ipv6_unreachable", "warning", "client")
    assert finding.what == (
        "example.org has IPv6 addresses in the DNS, but only IPv4 accepts connections, so that servers and clients that"
        f" use IPv6 wait or fail: let the proxy listen at [::1]:{port}, or remove the AAAA records."
    )
    assert finding.evidence["request"] == f"connect to [::1]:{port}"
    # Without IPv6 the system has another reason than "Connection refused".
    assert finding.evidence["answer"].startswith(f"[::1]:{port}: C")


def connections_of(monkeypatch: pytest.MonkeyPatch, accepting: set[str]) -> list[str]:
    """Let these addresses accept connections and all others refuse them; return the addresses that were tried."""
    tried: list[str] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(address[0])
        if address[0] not in accepting:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    return tried


@pytest.mark.parametrize(
    ("found", "accepting"),
    [
        # Both work, or one of several IPv6 addresses.
        (["2001:db8::1", "192.0.2.1"], {"2001:db8::1", "192.0.2.1"}),
        (["2001:db8::1", "2001:db8::2", "192.0.2.1"], {"2001:db8::2", "192.0.2.1"}),
        # Only one version exists.
        (["2001:db8::1"], set()),
        (["192.0.2.1"], {"192.0.2.1"}),
        # Nothing works, which is another finding.
        (["2001:db8::1", "192.0.2.1"], set()),
        # Only IPv6 works.
        (["2001:db8::1", "192.0.2.1"], {"2001:db8::1"}),
        ([], set()),
    ],
)
def test_what_is_not_a_finding(monkeypatch: pytest.MonkeyPatch, found: list[str], accepting: set[str]) -> None:
    connections_of(monkeypatch, accepting)
    named(monkeypatch, *found)
    result = check_addresses(place(443), {})
    assert (result.findings, result.unknown) == ((), ())


@pytest.mark.parametrize(
    ("v6", "v4", "tried"), [(1, 9, (1, 3)), (2, 2, (2, 2)), (9, 1, (3, 1)), (9, 9, (2, 2)), (3, 1, (3, 1))]
)
def test_at_most_four_addresses(monkeypatch: pytest.MonkeyPatch, v6: int, v4: int, tried: tuple[int, int]) -> None:
    connected = connections_of(monkeypatch, {f"192.0.2.{number}" for number in range(v4)})
    named(monkeypatch, *[f"192.0.2.{number}" for number in range(v4)], *[f"2001:db8::{number}" for number in range(v6)])
    assert len(check_addresses(place(443), {}).findings) == 1
    assert tried == (sum(":" in address for address in connected), sum(":" not in address for address in connected))


def test_a_host_without_ipv6_does_not_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "can_reach", lambda address: False)
    connections_of(monkeypatch, {"192.0.2.1"})
    named(monkeypatch, "2001:db8::1", "192.0.2.1")
    found = check_addresses(place(443), {})
    assert found.findings == ()
    [unknown] = found.unknown
    assert unknown.name == "ipv6_unreachable"
    assert "the host where the module runs has no IPv6 connection" in unknown.reason


def test_connect_to(monkeypatch: pytest.MonkeyPatch) -> None:
    connections_of(monkeypatch, {"192.0.2.1"})
    asked = named(monkeypatch, "2001:db8::1", "192.0.2.1")
    [finding] = check_addresses(place(443), {"example.org:443": "m_1.example.org:8443"}).findings
    assert asked == ["m_1.example.org"]
    assert finding.evidence["request"] == "connect to [2001:db8::1]:8443"


@pytest.mark.parametrize("target", ["127.0.0.1:1", "[::1]:1"])
def test_an_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    asked = named(monkeypatch)
    assert check_addresses(place(443), {"example.org:443": target}).findings == ()
    assert check_addresses(Place("https", "2001:db8::1", 443), {}).findings == ()
    assert asked == []


def test_a_name_that_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_arguments: object, **_options: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert check_addresses(place(443), {}).findings == ()


def test_a_lookup_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: end.wait(60) and [])
    monkeypatch.setattr(addresses, "_LOOKUP_DURATION", 0.05)
    started = time.monotonic()
    assert check_addresses(place(443), {}).findings == ()
    assert time.monotonic() - started < 5
    end.set()


def test_a_connection_that_is_not_answered_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        if ":" in address[0]:
            raise socket.timeout("timed out")
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    named(monkeypatch, "2001:db8::1", "192.0.2.1")
    [finding] = check_addresses(place(443), {}).findings
    assert finding.evidence["answer"] == "[2001:db8::1]:443: no answer within 2 seconds"


class Probe:
    """A socket for UDP whose route leads from the address `own`; "": there is no route."""

    own = ""

    def __init__(self, *_arguments: object) -> None:
        pass

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_exception: object) -> None:
        pass

    def connect(self, address: tuple[str, int]) -> None:
        if not self.own:
            raise OSError(101, "Network is unreachable")

    def getsockname(self) -> tuple[str, int]:
        return self.own, 1


@pytest.mark.parametrize(
    ("own", "address", "reaches"),
    [
        ("", "2001:db8::1", False),
        ("2001:db8::2", "2001:db8::1", True),
        # Such an address only works within one network.
        ("fd00::2", "2001:db8::1", False),
        ("fe80::2%eth0", "2001:db8::1", False),
        ("fd00::2", "fd00::1", True),
        ("2001:db8::2", "fd00::1", True),
        ("::1", "::1", True),
    ],
)
def test_whether_this_host_has_ipv6(monkeypatch: pytest.MonkeyPatch, own: str, address: str, reaches: bool) -> None:
    monkeypatch.setattr(Probe, "own", own)
    monkeypatch.setattr(socket, "socket", Probe)
    assert can_reach(address) == reaches


@pytest.mark.parametrize("host", ["exa mple.org", "a..b", "", f"{'a' * 64}.example"])
def test_names_that_are_none(host: str) -> None:
    assert check_addresses(Place("https", host, 443), {}) == ((), ())


def test_targets_of_which_some_fail(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    port = listen("127.0.0.1")
    named(monkeypatch, "127.0.0.1")
    dead, alive, moved = "dead.example:1", f"alive.example:{port}", "Moved.example:8448"
    failing = failing_targets([dead, alive, moved, "bad"], {"moved.example:8448": f"127.0.0.1:{port}"})
    assert failing == {dead: "Connection refused", "bad": "bad"}


def test_a_target_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_arguments: object, **_options: object) -> t.NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert "Name or service not known" in failing_targets(["none.example:1"], {})["none.example:1"]
