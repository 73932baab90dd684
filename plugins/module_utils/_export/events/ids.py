# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The ids of events. Since room version 3 they are not part of an event, but calculated from its content.

The rules are those of the Matrix specification, "Calculating the reference hash for an event" and "Redactions" of each
room version; Synapse has them in synapse/crypto/event_signing.py and synapse/events/utils.py (1.163).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import typing as t

_KEPT = (
    *("type", "room_id", "sender", "state_key", "content", "hashes", "depth", "prev_events", "auth_events"),
    *("origin_server_ts", "event_id"),
)
_KEPT_BEFORE_11 = (*_KEPT, "prev_state", "origin", "membership")

_POWER_LEVELS = (*("ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"),)
_CONTENT = {
    "m.room.create": ("creator",),
    "m.room.history_visibility": ("history_visibility",),
    "m.room.join_rules": ("join_rule",),
    "m.room.member": ("membership",),
    "m.room.power_levels": _POWER_LEVELS,
}


def event_id_of(event: t.Mapping[str, t.Any], room_version: str) -> str | None:
    """Return the id of the event, or None if it is unknown, because of the version of the room or a damaged event."""
    version = int(room_version) if re.fullmatch("[1-9][0-9]?", room_version) else 0
    if version < 3:
        found = event.get("event_id")
        return found if version and isinstance(found, str) else None
    content = event.get("content")
    if not isinstance(content, dict):
        return None
    kept = {key: event[key] for key in (_KEPT if version >= 11 else _KEPT_BEFORE_11) if key in event}
    kept["content"] = _kept_content(str(event.get("type")), content, version)
    try:
        # Canonical JSON: sorted, without spaces, in UTF-8.
        text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    except (RecursionError, UnicodeEncodeError):
        return None
    encode = base64.b64encode if version == 3 else base64.urlsafe_b64encode
    return "$" + encode(hashlib.sha256(text).digest()).decode().rstrip("=")


def _kept_content(kind: str, content: dict[str, t.Any], version: int) -> dict[str, t.Any]:
    """Return what a redaction would leave of the content. Only this is part of the id."""
    if kind == "m.room.create" and version >= 11:
        return content
    keys = _CONTENT.get(kind, ())
    if kind == "m.room.aliases" and version <= 5:
        keys = ("aliases",)
    elif kind == "m.room.join_rules" and version >= 8:
        keys = (*keys, "allow")
    elif kind == "m.room.member" and version >= 9:
        keys = (*keys, "join_authorised_via_users_server")
    elif kind == "m.room.power_levels" and version >= 11:
        keys = (*keys, "invite")
    elif kind == "m.room.redaction" and version >= 11:
        keys = ("redacts",)
    kept = {key: content[key] for key in keys if key in content}
    invite = content.get("third_party_invite")
    if kind == "m.room.member" and version >= 11 and isinstance(invite, dict):
        kept["third_party_invite"] = {"signed": invite["signed"]} if "signed" in invite else {}
    return kept
