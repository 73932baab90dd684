# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What other files of nginx serve that the file of the role serves too."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import is_foreign
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.listening_sockets import (
    addresses_of,
    ports_of,
)

CONFLICT = re.compile(r'conflicting server name "([^"]*)" on (\S+), ignored')
LISTENS = re.compile(r"(?:^|[\s;{}])listen\s+([^;{}]+);")
WILDCARDS = ("0.0.0.0", "::")


def other_files(question: dict[str, t.Any], dump: str) -> dict[str, str]:
    """Return paths and texts, without comments, of the files in a dump of nginx, but for that of the role."""
    sections = re.split(r"(?m)^# configuration file (.*):$", dump)
    return {path: text for path, text in zip(sections[1::2], sections[2::2]) if path != question["config_path"]}


def without_comments(text: str) -> str:
    """Return a configuration without its comments."""
    return re.sub(r"(?m)(^|\s)#.*$", "", text)


def conflicts(question: dict[str, t.Any], warnings: str, dump: str) -> list[str]:
    """Return which names other files of nginx have already, on the same port, as sentences."""
    ours = {name.lower() for name in question["names"]}
    found = {name: place for name, place in CONFLICT.findall(warnings) if name.lower() in ours}
    sentences = []
    for name, place in sorted(found.items()):
        others = {
            path: text
            for path, text in other_files(question, dump).items()
            if re.search(
                rf"(?i)\bserver_name\s[^;]*(?<![\w.-]){re.escape(name)}(?![\w.-])",
                without_comments(text),
            )
        }
        sentences.append(
            f"{' and '.join(others) or 'Another file of nginx'} already serves {name} on {place}, and nginx would "
            f"ignore one of both. {advice(question, name, others)}"
        )
    return sentences


def advice(question: dict[str, t.Any], name: str, others: dict[str, str]) -> str:
    """Return what to do about files that serve a name already."""
    if others and not any(is_foreign(text.lstrip()) for text in others.values()):
        return (
            "This role has written it for another value of synapse_reverse_proxy_config_path. Run it with that value "
            "and with synapse_reverse_proxy_state set to absent first."
        )
    if name.lower() != question["names"][0].lower():
        return (
            "Serve /.well-known/matrix/server and /.well-known/matrix/client there, and set "
            "synapse_reverse_proxy_well_known to false."
        )
    return "Remove that server, or give another name to it or to synapse_reverse_proxy_public_name."


def hidden_addresses(question: dict[str, t.Any], dump: str) -> list[str]:
    """Return on which single addresses another file has a port of the role, as sentences.

    nginx gives a request to the servers with the most exact address, so those on all addresses would not get it.
    """
    ours = {ipaddress.ip_address(address) for address in addresses_of(question)}
    wild = {address.version for address in ours if str(address) in WILDCARDS}
    ports = ports_of(question)
    taken: dict[tuple[t.Any, int], str] = {}
    for path, text in other_files(question, dump).items():
        for words in LISTENS.findall(without_comments(text)):
            for address, port in places(words):
                if port in ports and address.version in wild and address not in ours:
                    taken.setdefault((address, port), path)
    return [
        f"{path} listens on port {port} of {address} alone, so nginx would give it all requests to that address, and "
        f"none to Synapse. Set synapse_reverse_proxy_listen_addresses to "
        f"{json.dumps([*map(str, addresses_of(question)), str(address)])}."
        for (address, port), path in taken.items()
    ]


def places(listens: str) -> list[tuple[t.Any, int]]:
    """Return the single IP addresses and the port of a directive `listen`; none if it is for all addresses."""
    place, *options = listens.split()
    found = re.fullmatch(r"(\[[^\]]+\]|[^:\s]+)(?::([0-9]+))?", place.strip("\"'"))
    if not found or "quic" in options or found.group(1).isdigit():
        return []
    host, port = found.group(1).strip("[]"), int(found.group(2) or 80)
    addresses = []
    with contextlib.suppress(OSError):
        addresses = [] if host == "*" else [str(entry[4][0]) for entry in socket.getaddrinfo(host, port)]
    return [(ipaddress.ip_address(address), port) for address in dict.fromkeys(addresses) if address not in WILDCARDS]
