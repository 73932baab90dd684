# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How SRV records are looked up: with a resolver that exists only here, and with dnspython from a real DNS server."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
import types
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.service_records import (
    LookupFailed,
    Record,
    ServiceRecords,
    read_nameservers,
    record_problem,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.web import Dns

NAME = "_matrix-fed._tcp.example.org"
SRV, CNAME, SERVFAIL, NXDOMAIN = 33, 5, 2, 3
SILENT = -1


class Resolver:
    """Answers with texts as in a zone file, and needs `seconds` for each, as far as the clock of the test shows."""

    def __init__(self, answers: t.Mapping[str, list[str]], clock: list[float], seconds: float = 0) -> None:
        self._answers, self._clock, self._seconds = answers, clock, seconds
        self.allowed: list[float] = []

    def ask(self, name: str, kind: str, seconds: float) -> list[str]:
        self.allowed.append(seconds)
        self._clock[0] += self._seconds
        return self._answers.get(f"{kind} {name}", [])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_records_in_the_order_in_which_they_are_tried(clock: list[float]) -> None:
    texts = ["20 0 8448 c.example.", "10 5 443 B.example.", "10 50 8448 a.example.", "nonsense", "1 2 x y."]
    found = ServiceRecords(resolver=Resolver({f"SRV {NAME}": texts}, clock)).lookup(NAME)
    assert found == [
        Record(10, 50, "a.example", 8448),
        Record(10, 5, "b.example", 443),
        Record(20, 0, "c.example", 8448),
    ]
    assert found[0].address == "a.example:8448"


def test_no_records_and_no_such_service(clock: list[float]) -> None:
    resolver = Resolver({f"SRV {NAME}": ["0 0 0 ."]}, clock)
    assert ServiceRecords(resolver=resolver).lookup("_matrix._tcp.example.org") == []
    assert ServiceRecords(resolver=resolver).lookup(NAME) == [Record(0, 0, ".", 0)]


def test_all_questions_together_have_a_limit(clock: list[float]) -> None:
    resolver = Resolver({}, clock, seconds=1.25)
    records = ServiceRecords(resolver=resolver)
    for name in ("a", "b", "c"):
        records.lookup(name)
    with pytest.raises(LookupFailed, match=r"SRV record of d within 3 seconds\.$"):
        records.lookup("d")
    assert resolver.allowed == [3, 1.75, 0.5]


@pytest.mark.parametrize(
    ("given", "ports"),
    [
        ([], {}),
        (["192.0.2.1", "192.0.2.2:5353"], {"192.0.2.1": 53, "192.0.2.2": 5353}),
        (
            ["2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:54"],
            {"2001:db8::1": 53, "2001:db8::2": 53, "2001:db8::3": 54},
        ),
        (["192.0.2.1", "192.0.2.1:53"], {"192.0.2.1": 53}),
    ],
)
def test_nameservers(given: list[str], ports: dict[str, int]) -> None:
    assert read_nameservers(given) == ports


@pytest.mark.parametrize(
    "text", ["", "dns.example", "192.0.2.1:", "192.0.2.1:0", "udp://192.0.2.1", "[::1", "300.1.1.1"]
)
def test_what_is_not_a_nameserver(text: str) -> None:
    with pytest.raises(InvalidInput, match="^nameservers: .* is not the address of a DNS server"):
        ServiceRecords([text])


def test_a_nameserver_with_two_ports() -> None:
    with pytest.raises(InvalidInput, match="192.0.2.1 is in the list with two ports"):
        ServiceRecords(["192.0.2.1", "192.0.2.1:54"])


def test_without_dnspython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns", None)
    monkeypatch.setitem(sys.modules, "dns.exception", None)
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    # Only a question needs it.
    records = ServiceRecords()
    with pytest.raises(LookupFailed, match="dnspython is not installed on the host where the module runs") as caught:
        records.lookup(NAME)
    assert "python3-dnspython" in caught.value.fix


def test_with_an_old_dnspython(monkeypatch: pytest.MonkeyPatch) -> None:
    package, exceptions, resolver = (types.ModuleType(name) for name in ("dns", "dns.exception", "dns.resolver"))
    # It had the method query in place of resolve.
    parts = {"exception": exceptions, "resolver": resolver}
    package.__dict__.update(parts)
    resolver.__dict__["Resolver"] = type("Resolver", (), {"query": None})
    monkeypatch.setitem(sys.modules, "dns", package)
    for name, part in parts.items():
        monkeypatch.setitem(sys.modules, f"dns.{name}", part)
    with pytest.raises(LookupFailed, match=r"is older than version 2\.0"):
        ServiceRecords().lookup(NAME)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (Record(0, 0, "a.example", 8448), ""),
        (Record(0, 0, "192.0.2.1", 8448), "its target 192.0.2.1 is an IP address, where a host name is required"),
        (Record(0, 0, "a.example", 0), "its port is 0"),
        (Record(0, 0, "b.example", 1), "its target b.example is an alias (CNAME) of a.example, which is not allowed"),
    ],
)
def test_problems_of_targets(record: Record, problem: str) -> None:
    assert record_problem(record, Dns(aliases={"b.example": "a.example"})) == problem


def test_a_target_that_cannot_be_looked_up() -> None:
    class Broken(Dns):
        def alias_of(self, host: str) -> str:
            raise LookupFailed("No answer.", "None.")

    assert record_problem(Record(0, 0, "a.example", 1), Broken()) == ""


class DnsServer:
    """A DNS server on a free UDP port of 127.0.0.1. `answers`: by type and name, a status or the data of records."""

    def __init__(self, answers: t.Mapping[tuple[int, str], int | list[bytes]], stack: contextlib.ExitStack) -> None:
        self._answers = answers
        self._socket = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.bind(("127.0.0.1", 0))
        # An empty question ends the thread.
        stack.callback(self._socket.sendto, b"", self._socket.getsockname())
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(4096)
            if not question:
                return
            answer = self._answer(question)
            if answer:
                self._socket.sendto(answer, sender)

    def _answer(self, question: bytes) -> bytes:
        labels, place = [], 12
        while question[place]:
            labels.append(question[place + 1 : place + 1 + question[place]].decode())
            place += 1 + question[place]
        (kind,) = struct.unpack("!H", question[place + 1 : place + 3])
        found = self._answers.get((kind, ".".join(labels)), NXDOMAIN)
        if found == SILENT:
            return b""
        status, records = (found, []) if isinstance(found, int) else (0, found)
        head = struct.pack("!2sHHHHH", question[:2], 0x8180 | status, 1, len(records), 0, 0)
        # Each record has the name of the question, and is valid for a minute.
        data = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(record)) + record for record in records)
        return head + question[12 : place + 5] + data


def wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def srv(priority: int, weight: int, port: int, name: str) -> bytes:
    return struct.pack("!HHH", priority, weight, port) + wire(name)


def test_a_real_dns_server() -> None:
    pytest.importorskip("dns.resolver")
    answers: dict[tuple[int, str], int | list[bytes]] = {
        (SRV, NAME): [srv(20, 1, 8448, "b.example.org"), srv(10, 1, 443, "A.example.org")],
        (SRV, "_matrix._tcp.example.org"): [],
        (SRV, "_matrix-fed._tcp.none.example"): [srv(0, 0, 0, "")],
        (SRV, "_matrix-fed._tcp.broken.example"): SERVFAIL,
        (SRV, "_matrix-fed._tcp.silent.example"): SILENT,
        (CNAME, "a.example.org"): [wire("c.example.org")],
        (CNAME, "b.example.org"): [],
    }
    with contextlib.ExitStack() as stack:
        records = ServiceRecords([DnsServer(answers, stack).address])
        assert records.lookup(NAME) == [Record(10, 1, "a.example.org", 443), Record(20, 1, "b.example.org", 8448)]
        assert records.lookup("_matrix._tcp.example.org") == []
        assert records.lookup("_matrix._tcp.unknown.example") == []
        assert records.lookup("_matrix-fed._tcp.none.example") == [Record(0, 0, ".", 0)]
        assert (records.alias_of("a.example.org"), records.alias_of("b.example.org")) == ("c.example.org", "")
        with pytest.raises(LookupFailed, match=r"^The DNS servers did not answer the question for the SRV record of "):
            records.lookup("_matrix-fed._tcp.broken.example")
        started = time.monotonic()
        with pytest.raises(LookupFailed, match=r"silent\.example within 3 seconds\.$"):
            records.lookup("_matrix-fed._tcp.silent.example")
        with pytest.raises(LookupFailed, match="within 3 seconds"):
            records.lookup(NAME)
        assert time.monotonic() - started < 4
