# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The SRV records of a name, from the DNS. Only this file needs dnspython, and only when it asks."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import (
    is_address,
    joined,
    read_server_name,
    shown,
)

# For all questions of one object together, in seconds, and how long one DNS server may take before the next is asked.
_DURATION = 3.0
_DURATION_OF_SERVER = 1.0
_DNS_PORT = 53


class Record(t.NamedTuple):
    """An SRV record. `host`: in lower case, without the dot at its end; "." alone: there is no such service."""

    priority: int
    weight: int
    host: str
    port: int

    @property
    def address(self) -> str:
        """The host and the port, an IPv6 address in brackets."""
        return joined(self.host, self.port)


class LookupFailed(SynapseError):
    """The DNS gave no answer, so that nothing is known of the record. `fix`: what to do about it."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.fix = fix


class Records(t.Protocol):
    """What looks up records. Both raise LookupFailed."""

    def lookup(self, name: str) -> list[Record]:
        """Return the SRV records of a name, those to try first in front, [] if there is none."""

    def alias_of(self, host: str) -> str:
        """Return the name to which the CNAME record of a host points, "" if it has none."""


class Asks(t.Protocol):
    """What asks a DNS server."""

    def ask(self, name: str, kind: str, seconds: float) -> list[str]:
        """Return the records of a name as in a zone file, [] if there is none. Raises LookupFailed."""


class ServiceRecords:
    """The SRV records as the DNS of this host has them, or as the given DNS servers have them."""

    def __init__(self, nameservers: t.Sequence[str] = (), resolver: Asks | None = None) -> None:
        """`nameservers`: addresses of DNS servers, with or without a port; empty: those of this host.

        `resolver`: asks in place of dnspython. Raises InvalidInput for what is not an address. Asks nothing yet.
        """
        self._nameservers = read_nameservers(nameservers)
        self._resolver = resolver
        self._left = _DURATION

    def lookup(self, name: str) -> list[Record]:
        """See Records. A record that cannot be read is left out."""
        return sorted(filter(None, map(_record_of, self._ask(name, "SRV"))), key=_order)

    def alias_of(self, host: str) -> str:
        """See Records."""
        return next(iter(self._ask(host, "CNAME")), "").rstrip(".").lower()

    def _ask(self, name: str, kind: str) -> list[str]:
        if self._resolver is None:
            self._resolver = _Dnspython(self._nameservers)
        if self._left <= 0:
            raise _no_answer(name, kind)
        started = time.monotonic()
        try:
            return self._resolver.ask(name, kind, self._left)
        finally:
            self._left -= time.monotonic() - started


class _Dnspython:
    """Asks with dnspython."""

    def __init__(self, nameservers: dict[str, int]) -> None:
        """`nameservers`: the port of each address; empty: the DNS servers of this host."""
        try:
            import dns.exception
            import dns.resolver

            is_usable = hasattr(dns.resolver.Resolver, "resolve")
        except ImportError:
            is_usable = False
        if not is_usable:
            raise LookupFailed(
                "The Python package dnspython is not installed on the host where the module runs, or it is older than"
                " version 2.0.",
                "Install it there: the package is python3-dnspython on Debian and Ubuntu, python3-dns on Fedora and"
                " Red Hat, and dnspython for pip.",
            )
        self._nothing = (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer)
        self._timeout = dns.exception.Timeout
        self._errors = (dns.exception.DNSException, OSError, ValueError)
        try:
            self._resolver = dns.resolver.Resolver(configure=not nameservers)
        except self._errors as error:
            raise LookupFailed(
                f"This host has no DNS servers: {_first_line(error)}.", "Set nameservers, or correct /etc/resolv.conf."
            ) from None
        self._resolver.timeout = _DURATION_OF_SERVER
        if nameservers:
            self._resolver.nameservers = list(nameservers)
            self._resolver.nameserver_ports = dict(nameservers)

    def ask(self, name: str, kind: str, seconds: float) -> list[str]:
        """See Asks."""
        try:
            answer = self._resolver.resolve(f"{name}.", kind, lifetime=seconds, search=False)
            return [record.to_text() for record in answer]
        except self._nothing:
            return []
        except self._timeout:
            raise _no_answer(name, kind) from None
        except self._errors as error:
            raise LookupFailed(
                f"The DNS servers did not answer the question for the {kind} record of {name}: {_first_line(error)}.",
                "Check the DNS of the domain, or set nameservers to other DNS servers.",
            ) from None


def read_nameservers(given: t.Sequence[str]) -> dict[str, int]:
    """Return the port of each address. Raises InvalidInput, which names the option `nameservers`."""
    ports: dict[str, int] = {}
    for text in given:
        try:
            name = read_server_name(f"[{text}]" if text.count(":") > 1 and "[" not in text else text)
        except ValueError:
            name = None
        if name is None or not name.is_literal:
            raise InvalidInput(
                f"nameservers: {shown(text)} is not the address of a DNS server. Write an IP address with or without a"
                " port, such as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:5353."
            )
        port = name.port or _DNS_PORT
        if ports.setdefault(name.host, port) != port:
            raise InvalidInput(f"nameservers: {name.host} is in the list with two ports. Keep one of them.")
    return ports


def record_problem(record: Record, records: Records) -> str:
    """Return what is wrong with the target of a record, as a piece of a sentence, "" if nothing is.

    Such targets work with some servers only (RFC 2782: a name with address records, not an alias).
    """
    if is_address(record.host):
        return f"its target {record.host} is an IP address, where a host name is required"
    if not record.port:
        return "its port is 0"
    try:
        alias = records.alias_of(record.host)
    except LookupFailed:
        return ""
    return f"its target {record.host} is an alias (CNAME) of {alias}, which is not allowed" if alias else ""


def _record_of(text: str) -> Record | None:
    try:
        priority, weight, port, host = text.split()
        return Record(int(priority), int(weight), host.rstrip(".").lower() or ".", int(port))
    except ValueError:
        return None


def _order(record: Record) -> tuple[int, int, str, int]:
    return record.priority, -record.weight, record.host, record.port


def _no_answer(name: str, kind: str) -> LookupFailed:
    return LookupFailed(
        f"The DNS servers did not answer the question for the {kind} record of {name} within {_DURATION:g} seconds.",
        "Check that this host reaches its DNS servers, or set nameservers to other ones.",
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0].strip() if lines else type(error).__name__).rstrip(".")[:200]
