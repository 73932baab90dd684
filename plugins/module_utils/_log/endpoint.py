# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The endpoint that a request was for: its path, with a name in braces instead of each identifier.

The number of endpoints that Synapse serves has a limit. Clients can request any number of others.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.endpoint_paths import PATHS
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.long_polls import LONG_POLLS

OTHER = "(other)"

_VERSION = re.compile(r"(?:r0|v[0-9]{1,2}|v2_alpha|unstable)\Z")
_WORD = re.compile(r"(?:3pid|[a-z]{2,16}(?:[A-Z][a-z]{1,12}){0,2}(?:_[a-z]{1,12}){0,4})\Z")
_PROPOSAL = re.compile(r"(?:[a-z]{2,12}\.){1,3}(?:[a-z]+_)?msc[0-9]{4}(?:\.v[0-9]{1,2})?\Z")
# What an identifier begins with, as it is and as clients encode it.
_KINDS = {
    "!": "{room_id}",
    "%21": "{room_id}",
    "#": "{room_alias}",
    "%23": "{room_alias}",
    "@": "{user_id}",
    "%40": "{user_id}",
    "$": "{event_id}",
    "%24": "{event_id}",
}
_LONG_POLL = re.compile(
    rf"/_matrix/client/(?:api/v1|r0|v[0-9]{{1,2}}|unstable)/(?:{'|'.join(map(re.escape, LONG_POLLS.values()))})"
)
_VERSIONS = ("r0", "v1", "v2", "v3", "v2_alpha", "unstable", "api/v1")
_PLAIN = (
    "/",
    "/health",
    "/.well-known/matrix/client",
    "/.well-known/matrix/server",
    "/.well-known/matrix/support",
    "/_matrix/client/versions",
    "/_matrix/key/v2/query",
    "/_matrix/key/v2/server",
    "/_matrix/key/v2/query/{server_name}",
    "/_matrix/key/v2/query/{server_name}/{key_id}",
    "/_matrix/key/v2/server/{key_id}",
    "/_synapse/metrics",
)
# What the processes of one server ask of each other (synapse/replication/http).
_REPLICATION = """
    add_room_account_data add_tag add_user_account_data added_delayed_event bump_presence_active_time
    cancel_delayed_events_for_user copy_push_rules delete_all_pushers_for_user device_check_registered
    device_handle_room_un_partial_stated fed_cleanup_room fed_query fed_send_edu fed_send_events
    get_repl_stream_updates handle_new_device_update membership_change multi_user_device_resync
    notify_account_deactivated notify_device_update notify_user_signature_update post_register
    presence_set_state profile_delete_field profile_set_field register_user remote_join remote_knock
    remote_reject_invite remote_rescind_knock remove_pusher remove_room_account_data remove_tag
    remove_user_account_data send_events store_room_on_outlier_membership update_current_state
"""
_IDENTIFIERS = ("/{id}", "/{id}/{id}", "/{id}/{id}/{id}")
_SEGMENTS = 12


class _Node(dict[t.Optional[bytes], "_Node"]):
    """A place in the tree of all paths: the segments that can follow, with None for an identifier.

    `endpoint`: the path that ends here, with names in braces.
    """

    endpoint: str | None = None


def endpoint_of(path: bytes) -> str:
    """Return the endpoint of a path (without its query), for example /_matrix/client/v3/rooms/{room_id}/join.

    A path below Synapse's APIs that Synapse does not serve keeps only segments that are plain words. Every path that is
    not below them is "(other)".
    """
    return served_endpoint(path) or unserved_endpoint(path)


def served_endpoint(path: bytes) -> str | None:
    """Return what `endpoint_of` returns for a path that Synapse serves, None for any other."""
    # A slash at the end does not begin an identifier.
    segments = (path[:-1] if path.endswith(b"/") and path != b"/" else path).split(b"/")
    node = _place_of(segments)
    return _find(_TREE, segments) if node is None or node.endpoint is None else node.endpoint


def takes_any(path: bytes) -> bool:
    """Whether Synapse serves whatever is behind `path` and a slash, as long as it is one segment, as one endpoint."""
    node = _place_of(path.split(b"/"))
    return node is not None and list(node) == [None] and node[None].endpoint is not None


def _place_of(segments: t.Sequence[bytes]) -> _Node | None:
    """Where the segments lead. The usual path has no place where both a word and an identifier fit."""
    node = _TREE
    for segment in segments:
        following = node.get(segment)
        if following is None:
            following = node.get(None)
            if following is None:
                return None
        node = following
    return node


def _find(node: _Node, segments: t.Sequence[bytes], place: int = 0) -> str | None:
    """The endpoint below `node` for the segments from `place` on: a word is preferred to an identifier."""
    if place == len(segments):
        return node.endpoint
    for following in (node.get(segments[place]), node.get(None)):
        found = None if following is None else _find(following, segments, place + 1)
        if found is not None:
            return found
    return None


def unserved_endpoint(path: bytes) -> str:
    """The endpoint of a path that Synapse does not serve."""
    texts = [segment.decode("ascii", "replace") for segment in path.split(b"/")]
    for root in (*PATHS, "/_synapse/client", "/_matrix/client/api"):
        below = root.split("/")
        if texts[: len(below)] != below:
            continue
        rest = texts[len(below) :]
        version = rest.pop(0) if rest and _VERSION.match(rest[0]) else None
        if version is None and root in PATHS:
            return f"{root}/{OTHER}"
        return "/".join((root, *([version] if version else []), _words_of(rest)))
    for start in ("/_matrix/", "/_synapse/"):
        if path.startswith(start.encode()):
            return f"{start}{OTHER}"
    return OTHER


def is_long_poll(path: str) -> bool:
    """Whether requests to a path or an endpoint wait on purpose until something happens (synapse/rest/client)."""
    return _LONG_POLL.fullmatch(path) is not None


def _words_of(segments: t.Sequence[str]) -> str:
    """The segments of a path that Synapse does not know, with a name in braces for all that is not a plain word."""
    if len(segments) > _SEGMENTS or not any(segments):
        return OTHER
    return "/".join(_word_or_kind(segment) for segment in segments)


def _word_or_kind(segment: str) -> str:
    if not segment or _PROPOSAL.match(segment) or _WORD.match(segment):
        return segment
    for sign, kind in _KINDS.items():
        if segment.startswith(sign):
            return kind
    return "{id}"


def _grow(paths: t.Iterable[str]) -> _Node:
    root = _Node()
    for path in paths:
        node = root
        for segment in path.split("/"):
            node = node.setdefault(None if segment.startswith("{") else segment.encode(), _Node())
        node.endpoint = path
    return root


def _all_paths() -> t.Iterator[str]:
    yield from _PLAIN
    for root, patterns in PATHS.items():
        for version in _VERSIONS:
            yield from (f"{root}/{version}/{pattern}" for pattern in patterns.split())
    yield from (f"/_synapse/replication/{name}{rest}" for name in _REPLICATION.split() for rest in ("", *_IDENTIFIERS))


_TREE = _grow(_all_paths())
