# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a place is reachable by IPv6 if its name has IPv6 addresses: other servers and clients try these first."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._deadline import Deadline
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import (
    NotConnected,
    addresses_of,
    split_address,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import WARNING, Finding, Found, Unknown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import is_address, joined
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import FEDERATION

_MOST_ADDRESSES = 4
# In seconds.
_LOOKUP_DURATION = 3.0
_CONNECT_DURATION = 2.0
# Addresses that only work within one network.
_NOT_GLOBAL = (ipaddress.ip_network("fc00::/7"), ipaddress.ip_network("fe80::/10"))

Outcome = t.Optional[str]


def check_addresses(place: Place, connect_to: t.Mapping[str, str], site: str = FEDERATION) -> Found:
    """Return `ipv6_unreachable` if no IPv6 address of a place accepts connections, but an IPv4 address does.

    `connect_to`: as that of the sender, each a host and a port. Connects to at most 4 addresses, in parallel, and sends
    nothing. If this host has no IPv6 itself, nothing is concluded from a failure.
    """
    target = connect_to.get(place.address.lower(), place.address)
    try:
        host, port = split_address(target)
        if is_address(host):
            return Found()
        addresses = list(
            dict.fromkeys(str(one[0]) for _family, one in addresses_of(target, Deadline(_LOOKUP_DURATION)))
        )
    # The check of the site reports a name that cannot be used or is not found.
    except (ValueError, NotConnected):
        return Found()
    by_version = [[address for address in addresses if (":" in address) == is_v6] for is_v6 in (True, False)]
    if not all(by_version):
        return Found()
    chosen = _chosen(*by_version)
    outcomes = _in_parallel(chosen, port)
    failed = {address: outcome for address, outcome in outcomes.items() if ":" in address and outcome}
    works_with_v4 = any(not outcome for address, outcome in outcomes.items() if ":" not in address)
    works_with_v6 = any(not outcome for address, outcome in outcomes.items() if ":" in address)
    if works_with_v6 or not works_with_v4:
        return Found()
    if not any(can_reach(address) for address in failed):
        unknown = Unknown(
            "ipv6_unreachable",
            f"{host} has IPv6 addresses, but the host where the module runs has no IPv6 connection.",
            "Run the task on a host with IPv6.",
        )
        return Found(unknown=(unknown,))
    shown = ", ".join(joined(address, port) for address in failed)
    what = (
        f"{host} has IPv6 addresses in the DNS, but only IPv4 accepts connections, so that servers and clients"
        f" that use IPv6 wait or fail: let the proxy listen at {shown}, or remove the AAAA records."
    )
    answers = "; ".join(f"{joined(address, port)}: {outcome}" for address, outcome in failed.items())
    evidence = {"request": f"connect to {shown}", "answer": answers}
    return Found((Finding("ipv6_unreachable", what, WARNING, site, evidence),))


def failing_targets(targets: t.Iterable[str], connect_to: t.Mapping[str, str]) -> dict[str, str]:
    """Return the targets ("host:port") of which no address accepts connections, and why. Connects in parallel."""
    outcomes: dict[str, Outcome] = dict.fromkeys(targets, "no answer")

    def connect(target: str) -> None:
        outcomes[target] = _connect_to_one_of(connect_to.get(target.lower(), target))

    _at_the_same_time(connect, outcomes, _LOOKUP_DURATION + _CONNECT_DURATION)
    return {target: outcome for target, outcome in dict(outcomes).items() if outcome}


def _connect_to_one_of(target: str) -> Outcome:
    outcome: Outcome = "it has no address"
    try:
        for _family, address in addresses_of(target, Deadline(_LOOKUP_DURATION))[:_MOST_ADDRESSES]:
            outcome = _connect(str(address[0]), int(address[1]))
            if outcome is None:
                break
    except (ValueError, NotConnected) as error:
        outcome = str(error) or "it is not a host and a port"
    return outcome


def can_reach(address: str) -> bool:
    """Return whether this host has a route to an IPv6 address, and an own address that is valid there.

    No packet is sent: to connect a socket for UDP only looks up the route.
    """
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            own = probe.getsockname()[0]
    except OSError:
        return False
    return _is_global(own) or not _is_global(address)


def _is_global(address: str) -> bool:
    number = ipaddress.ip_address(address.partition("%")[0])
    return not any(number in network for network in _NOT_GLOBAL)


def _chosen(v6: list[str], v4: list[str]) -> list[str]:
    """As many addresses of both versions as are tried, at least half of them IPv6 if there are so many."""
    few = v4[: max(_MOST_ADDRESSES // 2, _MOST_ADDRESSES - len(v6))]
    return v6[: _MOST_ADDRESSES - len(few)] + few


def _in_parallel(addresses: list[str], port: int) -> dict[str, Outcome]:
    """Connect to each address: None if it accepts connections, otherwise the reason."""
    outcomes: dict[str, Outcome] = dict.fromkeys(addresses, "no answer")

    def connect(address: str) -> None:
        outcomes[address] = _connect(address, port)

    _at_the_same_time(connect, addresses, _CONNECT_DURATION)
    return dict(outcomes)


def _at_the_same_time(run: t.Callable[[str], None], arguments: t.Iterable[str], seconds: float) -> None:
    """Call `run` in a thread for each argument, and wait for them a little longer than `seconds`."""
    threads = [threading.Thread(target=run, args=(argument,), daemon=True) for argument in arguments]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds + 0.5
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _connect(address: str, port: int) -> Outcome:
    try:
        with socket.create_connection((address, port), timeout=_CONNECT_DURATION):
            return None
    except socket.timeout:
        return f"no answer within {_CONNECT_DURATION:g} seconds"
    except OSError as error:
        return error.strerror or type(error).__name__
