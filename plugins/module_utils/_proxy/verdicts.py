# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which server has to change something so that failed signatures do not come again, ours or the other one."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.failure_groups import (
    INBOUND,
    OUTBOUND,
    Group,
    read_groups,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import ERROR, INFO, Finding
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.verdict_texts import EVENT, OTHER, PLAIN

OURS, THEIRS, UNKNOWN = "ours", "theirs", "unknown"
# So many servers do not have the same fault by chance.
_MANY = 3
# In seconds. A smaller difference of the clocks has no effect on keys.
_LARGEST_SKEW = 60.0
_CHANGED = frozenset(
    {
        "path_decoded",
        "path_encoded_twice",
        "path_merged",
        "path_rewritten",
        "path_slash_added",
        "path_slash_removed",
        "query_changed",
        "query_cut",
        "signature_broken",
    }
)
# Because of these, other servers cannot reach us, and our own requests cannot show how the proxy treats theirs.
_NOT_REACHED = frozenset(
    {
        "another_server",
        "certificate_expired",
        "certificate_not_trusted",
        "certificate_wrong_name",
        "errors_replaced",
        "name_not_found",
        "not_matrix",
        "path_not_forwarded",
        "path_refused",
        "port_8448_closed",
        "proxy_error",
        "redirect_loop",
        "redirected",
        "srv_invalid",
        "tls_failed",
        "unreachable",
    }
)
_REFUSED = frozenset({"refused", "invalid_signature", "key_not_found"})


class _Verdict(t.NamedTuple):
    side: str
    reason: str
    what: str
    fix: str


class _Facts(t.NamedTuple):
    """What is known besides one group.

    `changes`: the names of the findings that tell how our proxy changes requests of other servers. `is_clean`: whether
    our proxy was examined and changes nothing. `blocks_keys`: the names of the findings because of which other servers
    cannot fetch our key.
    """

    groups: list[Group]
    changes: list[str]
    removes_authorization: bool
    is_clean: bool
    blocks_keys: list[str]
    skew: float

    def servers(self, direction: str, causes: t.Collection[str]) -> int:
        """How many servers have failures with these causes."""
        return len({each.origin for each in self.groups if each.direction == direction and each.cause in causes} - {""})


def judge_failures(
    failures: t.Any,
    findings: t.Sequence[Finding],
    server_name: str,
    skew_seconds: float | None,
    is_examined: bool = True,
) -> list[dict[str, t.Any]]:
    """Return one verdict for each group of failed signatures, those that we must act on first.

    `failures`: `signature_failures` of synapse_request_log_info, see `read_groups` for the keys. `findings`: all of our
    own. `skew_seconds`: how much our clock differs from others, None if it is not known. `is_examined`: whether the
    site for other servers was examined, so that without findings, our proxy changes nothing.

    Each has `origin`, `direction`, `cause`, `count`, `side` (ours, theirs or unknown), `reason` (which stays the same
    in all releases), `what` and `fix` (one sentence each), and `evidence` with `line` and `uris`. Anybody can send
    requests in the name of any server, so several servers can be one in truth.
    """
    groups = read_groups(failures, server_name)
    facts = _facts(groups, findings, skew_seconds or 0.0, is_examined)
    judged = [(group, _judge(group, facts)) for group in groups]
    order = {OURS: 0, UNKNOWN: 1, THEIRS: 2}
    judged.sort(key=lambda each: (order[each[1].side], -each[0].number, each[0].origin, each[0].cause))
    return [_returned(group, verdict) for group, verdict in judged]


def _facts(groups: list[Group], findings: t.Sequence[Finding], skew: float, is_examined: bool) -> _Facts:
    # A change that is only information breaks no signature, such as of %7E.
    names = {each.name for each in findings if _concerns(each, "federation") and each.severity != INFO}
    not_reached = [each for each in findings if each.name in _NOT_REACHED and each.severity == ERROR]
    is_clean = is_examined and not any(_concerns(each, "federation") for each in not_reached)
    blocked = sorted({each.name for each in not_reached if _concerns(each, "key")})
    return _Facts(groups, sorted(names & _CHANGED), "authorization_removed" in names, is_clean, blocked, skew)


def _concerns(finding: Finding, group: str) -> bool:
    return group in finding.groups or (not finding.groups and finding.site == "federation")


def _judge(group: Group, facts: _Facts) -> _Verdict:
    if group.cause.startswith("event_") or group.cause == "policy_signature":
        return _filled(EVENT[group.direction], group)
    if group.direction == INBOUND:
        if group.cause == "invalid_signature":
            return _inbound_signature(group, facts)
        if group.cause == "key_not_found":
            return _inbound_key(group, facts)
        if group.cause == "missing_authentication" and facts.removes_authorization:
            return _Verdict(
                OURS,
                "proxy_removes_authorization",
                "The proxy of this server removes the header Authorization from requests of other servers.",
                "Correct the proxy so that it passes on the header Authorization unchanged.",
            )
    elif group.cause in _REFUSED:
        return _outbound(group, facts)
    return _filled(PLAIN.get((group.direction, group.cause), OTHER), group)


def _inbound_signature(group: Group, facts: _Facts) -> _Verdict:
    name = group.origin or "other servers"
    changes = _changes_of_the_proxy(group, facts)
    if changes:
        what = f"The proxy of this server changes requests on their way to Synapse ({changes}), so that"
        return _Verdict(
            OURS,
            "proxy_changes_path",
            f"{what} {_consequence(group, f'the signatures of {name} do not match')}.",
            "Correct the proxy so that it passes on the path and the query byte for byte.",
        )
    if group.is_decoded:
        return _Verdict(
            UNKNOWN,
            "proxy_changes_path",
            f"Requests of {name} arrived decoded, but the proxy of this server does not change paths now, so it was"
            " corrected after that, there is another proxy, or that server runs other software than Synapse.",
            "Look for failures that are newer than the last change of the proxy, and ask the operator of the other"
            " server if there are some.",
        )
    if facts.servers(INBOUND, {"invalid_signature"}) >= _MANY:
        return _clock(facts) or _Verdict(
            UNKNOWN,
            "unknown",
            "The signatures of several servers do not match, although their paths arrive unchanged.",
            "Look for another proxy or a firewall that changes the bodies of requests, and for another way to Synapse.",
        )
    if not facts.is_clean:
        return _Verdict(
            UNKNOWN,
            "unknown",
            f"The signatures of {name} do not match, and it is not known whether our proxy changes paths.",
            "Correct what prevents the examination of the site for other servers, and run the task again.",
        )
    return _Verdict(
        THEIRS,
        "key_changed",
        f"Only few servers are affected and the proxy of this server changes nothing, so {name} has probably a new key"
        " with the name of an old one, or its proxy for outgoing requests changes them.",
        "Ask the operator of the other server whether its signing key was replaced, and about its outgoing proxy.",
    )


def _changes_of_the_proxy(group: Group, facts: _Facts) -> str:
    """Return what shows that our proxy changes requests, "" if nothing does."""
    if facts.changes:
        return ", ".join(facts.changes)
    if group.is_encoded_twice:
        return "a path arrived that was encoded twice"
    decoded = {each.origin for each in facts.groups if each.cause == "invalid_signature" and each.is_decoded}
    # One server can run software that does not encode these characters.
    if group.is_surely_decoded or (group.is_decoded and (len(decoded) > 1 or not facts.is_clean)):
        return "paths arrived decoded"
    return ""


def _inbound_key(group: Group, facts: _Facts) -> _Verdict:
    if facts.servers(INBOUND, {"key_not_found"}) >= _MANY:
        return _clock(facts) or _Verdict(
            OURS,
            "key_not_reachable",
            "This server cannot fetch the keys of several servers.",
            "Check DNS, outgoing connections, outgoing proxies and trusted_key_servers on the host of Synapse.",
        )
    return _Verdict(
        THEIRS,
        "key_not_reachable",
        f"The key of {group.origin or 'the other server'} cannot be fetched or is no longer valid.",
        "Ask its operator to check the delegation, the certificate and the port of that server.",
    )


def _outbound(group: Group, facts: _Facts) -> _Verdict:
    name = group.origin or "another server"
    if facts.blocks_keys:
        return _Verdict(
            OURS,
            "key_not_reachable",
            f"{name} refuses requests of this server, and cannot fetch its key ({', '.join(facts.blocks_keys)}).",
            "Correct these findings, because other servers verify signatures with the key from there.",
        )
    if facts.servers(OUTBOUND, _REFUSED) >= _MANY:
        return _clock(facts) or _Verdict(
            OURS,
            "key_changed",
            "Several servers refuse the signatures of this server.",
            "Check whether its signing key was replaced by another one with the same name (then add the old one to"
            " old_signing_keys and use a new name), and whether an outgoing proxy changes requests.",
        )
    if group.cause == "key_not_found":
        return _Verdict(
            UNKNOWN,
            "key_not_reachable",
            f"{name} could not fetch the key of this server.",
            "Run the examination from another network, and ask the operator of the other server.",
        )
    if group.needs_encoding:
        return _Verdict(
            THEIRS,
            "other_proxy_changes_path",
            f"Probably the proxy of {name} decodes paths, so that"
            f" {_consequence(group, 'it refuses the signatures of this server')}.",
            f"Ask the operator of {name} to correct its proxy so that it passes on paths byte for byte. Then end the"
            " waiting time of Synapse with synapse_federation_destination, because it tries a server that has refused a"
            " signature again only after ten minutes or later.",
        )
    return _Verdict(
        THEIRS,
        "unknown",
        f"Only few servers refuse requests of this server, {name} is one of them, and its log contains the reason.",
        f"Ask the operator of {name} for the message with the cause in the log of that server.",
    )


def _clock(facts: _Facts) -> _Verdict | None:
    if abs(facts.skew) <= _LARGEST_SKEW:
        return None
    return _Verdict(
        OURS,
        "clock",
        f"The clock of this server differs by {abs(facts.skew):.0f} seconds from others, so that keys seem invalid.",
        "Synchronise the clock of the host of Synapse.",
    )


def _consequence(group: Group, otherwise: str) -> str:
    """What users notice, as a piece of a sentence."""
    other = group.origin or "other servers"
    users, rooms = (other, "this server") if group.direction == INBOUND else ("this server", other)
    if group.is_about("make_join", "send_join"):
        return f"users of {users} cannot join rooms of {rooms} or accept invitations to them"
    if group.is_about("invite"):
        return f"users of {users} cannot invite users of {rooms}"
    return otherwise


def _filled(texts: tuple[str, str, str, str], group: Group) -> _Verdict:
    side, reason, what, fix = texts
    name = group.origin or "another server"
    return _Verdict(side, reason, what.replace("NAME", name), fix.replace("NAME", name))


def _returned(group: Group, verdict: _Verdict) -> dict[str, t.Any]:
    return {
        "origin": group.origin,
        "direction": group.direction,
        "cause": group.cause,
        "count": group.number,
        **verdict._asdict(),
        "evidence": {"line": group.line, "uris": list(group.uris)},
    }
