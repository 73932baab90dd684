# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a PostgreSQL lets Synapse in, by the rules of its file pg_hba.conf, and the rule that is missing."""

from __future__ import annotations

import ipaddress
import re
import typing as t

Rule = dict[str, t.Any]

# A rule applies, it does not, or only PostgreSQL can tell.
_UNKNOWN = "unknown"
_WITH_PASSWORD = ("scram-sha-256", "md5", "password")
# Others than PostgreSQL decide, mostly by a password too.
_BY_OTHERS = ("ldap", "pam", "radius", "bsd", "gss", "sspi", "cert")
# What pg_createcluster writes. Rules for replication do not matter here.
DEFAULT_RULES: list[Rule] = [
    {"type": "local", "database": ["all"], "user_name": ["postgres"], "auth_method": "peer"},
    {"type": "local", "database": ["all"], "user_name": ["all"], "auth_method": "peer"},
    {
        "type": "host",
        "database": ["all"],
        "user_name": ["all"],
        "address": "127.0.0.1",
        "netmask": "255.255.255.255",
        "auth_method": "scram-sha-256",
    },
    {
        "type": "host",
        "database": ["all"],
        "user_name": ["all"],
        "address": "::1",
        "netmask": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "auth_method": "scram-sha-256",
    },
]


class Visitor(t.NamedTuple):
    """Who connects. `host`: as in the arguments. `system_user`: the user of Synapse. `encrypts`: the server has TLS.

    `address`: the one that the client has, if the connection does not go through a socket in a directory.
    """

    host: str
    database: str
    user: str
    has_password: bool
    system_user: str
    encrypts: bool = True
    address: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the connection goes through a socket in a directory."""
        return not self.host or self.host.startswith("/")


def method_for(visitor: Visitor, rules: t.Sequence[Rule]) -> str:
    """Return the method of the first rule that applies: "" if there is none, "unknown" if only PostgreSQL can tell."""
    for rule in rules:
        applies = _applies(visitor, rule)
        if applies:
            unknown = applies == _UNKNOWN or rule.get("options") or rule["auth_method"] in _BY_OTHERS
            return _UNKNOWN if unknown else str(rule["auth_method"])
    return ""


def _applies(visitor: Visitor, rule: Rule) -> bool | str:
    found = [_by_type(visitor, rule)]
    found.append(_by_name(visitor.database, rule["database"], same=visitor.user))
    found.append(_by_name(visitor.user, rule["user_name"]))
    if not visitor.is_local:
        found.append(_by_address(visitor.address, rule))
    return False if False in found else _UNKNOWN if _UNKNOWN in found else True


def _by_type(visitor: Visitor, rule: Rule) -> bool | str:
    kind = rule["type"]
    if kind == "other":
        return _UNKNOWN
    if visitor.is_local or kind == "local":
        return visitor.is_local and kind == "local"
    # A client tries it with TLS first, if the server has it, and without it afterwards.
    with_tls = visitor.encrypts and rule["auth_method"] != "reject"
    return {"host": True, "hostssl": with_tls, "hostgssenc": False}.get(kind, _UNKNOWN)


def _by_name(name: str, names: t.Sequence[str], same: str = "") -> bool | str:
    if "all" in names or name in names or ("sameuser" in names and name == same):
        return True
    # Groups, regular expressions and files with names.
    return _UNKNOWN if any(re.match(r"[+/@]|same(role|group)\Z", one) for one in names) else False


def _by_address(address: str, rule: Rule) -> bool | str:
    given = rule.get("address") or ""
    if given in ("all", "samehost", "samenet"):
        # The client is on this host.
        return True
    try:
        network = ipaddress.ip_network(f"{given}/{_prefix(rule.get('netmask') or '')}", strict=False)
        return ipaddress.ip_address(address) in network
    except ValueError:
        return _UNKNOWN


def _prefix(netmask: str) -> int:
    return bin(int(ipaddress.ip_address(netmask))).count("1")


def refusal(visitor: Visitor, rules: t.Sequence[Rule], path: str, unit: str, prefix: str) -> str:
    """Return why these rules do not let Synapse in and what to do about it, or nothing if they may.

    `path`: that of pg_hba.conf. `unit`: the service that reads it again, or "" if it does not run. `prefix`: how the
    names of the variables begin.
    """
    method = method_for(visitor, rules)
    if method in (_UNKNOWN, "trust") or (method in _WITH_PASSWORD and visitor.has_password):
        return ""
    if method == "peer" and visitor.user == visitor.system_user:
        return ""
    who = f"the user {visitor.user} through {'the local socket' if visitor.is_local else visitor.address}"
    if method in _WITH_PASSWORD:
        return f"{path} requires a password of {who} ({method}). Set {prefix}_password."
    kept = f"{path} does not let Synapse in: " + (
        f"for {who} it has the method {method}" if method else f"it has no rule for {who}"
    )
    others = (
        f", and Synapse runs as the user {visitor.system_user}. Set {prefix}_user to {visitor.system_user} and no"
        f" {prefix}_password, or {prefix}_host to localhost. Or"
        if method == "peer"
        else "."
    )
    action = "add this line above its other rules" if others.endswith("Or") else "Add this line above its other rules"
    reload = f", and run systemctl reload {unit}" if unit else ""
    return f"{kept}{others} {action}{reload}: {line_for(visitor)}"


def line_for(visitor: Visitor) -> str:
    """Return the rule that lets Synapse in."""
    names = f"{quoted(visitor.database)} {quoted(visitor.user)}"
    method = "scram-sha-256" if visitor.has_password or not visitor.is_local else "peer"
    if visitor.is_local:
        return f"local {names} {method}"
    return f"host {names} {visitor.address}/{ipaddress.ip_address(visitor.address).max_prefixlen} {method}"


def quoted(name: str) -> str:
    """Return a name as pg_hba.conf writes it."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) and name not in ("all", "sameuser", "samerole", "replication"):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
