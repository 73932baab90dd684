# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the addresses, networks and names of the variables: sentences."""

from __future__ import annotations

import ipaddress
import re
import typing as t

# The networks of somebody are smaller: the largest private ones are 10.0.0.0/8 and fc00::/7.
LEAST_PREFIX = 7


def value_faults(question: dict[str, t.Any]) -> list[str]:
    """Return which values nginx would refuse, or would understand otherwise than they are meant."""
    return [
        *(
            f"synapse_reverse_proxy_listen_addresses contains {value}, which is not an IP address."
            for value in question["addresses"]
            if not is_address(value)
        ),
        *(
            f"synapse_reverse_proxy_listen_addresses contains {value} twice."
            for value in dict.fromkeys(question["addresses"])
            if question["addresses"].count(value) > 1
        ),
        *filter(None, map(network_fault, question["admin_networks"])),
        *(
            f"{name} is not a host name, and not an IP address. Set synapse_reverse_proxy_server_name and "
            "synapse_reverse_proxy_public_name to names that clients can look up."
            for name in question["names"]
            if not is_host(name)
        ),
    ]


def is_address(value: str) -> bool:
    """Return whether a value is an IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def is_host(name: str) -> bool:
    """Return whether a name is an IP address in brackets if it has colons, or none that looks like one."""
    if name.startswith("["):
        return is_address(name[1:-1])
    return is_address(name) or not re.search(r"(\A|[.])[0-9]+\Z", name)


def network_fault(value: str) -> str:
    """Return what is wrong with a network of those who may use the Admin API, as a sentence, or nothing."""
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return f"synapse_reverse_proxy_allow_admin_from contains {value}, which is not an IP address and not a network."
    if network.prefixlen < LEAST_PREFIX:
        return (
            f"synapse_reverse_proxy_allow_admin_from contains {value}, which is a large part of the Internet, or all "
            "of it. List only the networks of administrators."
        )
    return ""
