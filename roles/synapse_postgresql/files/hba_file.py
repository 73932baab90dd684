# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules in a file pg_hba.conf, for a PostgreSQL that does not run: as the view pg_hba_file_rules shows them."""

from __future__ import annotations

import ipaddress
import re
import typing as t

Rule = dict[str, t.Any]

# A part of a field, and the comma after which the field continues. Only # is left over: the rest is a comment.
_PART = re.compile(r'((?:"(?:[^"]|"")*(?:"|$)|[^\s,"#])+)(,?)|#')
_QUOTED = re.compile(r'"((?:[^"]|"")*)(?:"|$)')
_TYPES = ("local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc")
# A line of which only PostgreSQL can tell what it means, for example one that includes another file.
_OTHER: Rule = {"type": "other", "database": ["all"], "user_name": ["all"], "auth_method": ""}


def parse(text: str) -> list[Rule]:
    """Return the rules in the text of the file, in their order."""
    return [rule(fields) for fields in map(fields_of, text.replace("\\\n", "").splitlines()) if fields]


def fields_of(line: str) -> list[list[str]]:
    """Return the fields of a line, each a list of the names in it."""
    fields: list[list[str]] = []
    continues = False
    for found in _PART.finditer(line):
        if found.group(1) is None:
            break
        name = _QUOTED.sub(lambda quoted: quoted.group(1).replace('""', '"'), found.group(1))
        if continues:
            fields[-1].append(name)
        else:
            fields.append([name])
        continues = bool(found.group(2))
    return fields


def rule(fields: list[list[str]]) -> Rule:
    """Return the rule that a line with these fields is."""
    (kind, *_more), *others = fields
    if kind not in _TYPES or len(others) < (3 if kind == "local" else 4):
        return _OTHER
    made: Rule = {"type": kind, "database": others[0], "user_name": others[1]}
    method, *options = others[2:]
    if kind != "local":
        address, netmask = method[0], ""
        method, *options = options
        if _is_address(address):
            if not options:
                return _OTHER
            netmask = method[0]
            method, *options = options
        made.update(_network(address, netmask))
    # Through a local socket, there is no other one.
    name = "peer" if kind == "local" and method[0] == "ident" else method[0]
    return {**made, "auth_method": name, "options": [part for option in options for part in option]}


def _network(address: str, netmask: str) -> Rule:
    try:
        interface = ipaddress.ip_interface(f"{address}/{netmask}" if netmask else address)
    except ValueError:
        # A name of a host, or a word such as all.
        return {"address": address, "netmask": None}
    return {"address": str(interface.ip), "netmask": str(interface.netmask)}


def _is_address(text: str) -> bool:
    """Return whether this is an address that is followed by a network mask."""
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False
