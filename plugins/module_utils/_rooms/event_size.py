# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The size of an event: Synapse refuses one that is too large, so it is measured before.

Relies on the limit of the Matrix specification, "Size limits", as Synapse 1.163 checks it (event_auth.py). An event
also contains signatures and names of earlier events, whose number is not known before it is made. In a room that
exists, only the attempt shows whether an event exceeds the limit by them alone.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._identifiers import server_name_of

_LARGEST = 65536
# What Synapse adds at most to the smallest event: the ID of a room, the names of earlier events, and its own key.
_ADDED = 1024
_HASH, _SIGNATURE, _TIME = "h" * 43, "s" * 86, 1_700_000_000_000


def require_size(content: t.Mapping[str, t.Any], *, kind: str, room_id: str, sender: str, what: str) -> None:
    """Raise InvalidInput if an event of `sender` with this content is too large. `what`: what the event contains.

    `room_id` is empty for a room that does not exist yet. For it, an event that may be too large is refused as well:
    Synapse finds that out after it has created the room, and leaves it behind.
    """
    smallest = {
        "auth_events": [],
        "content": dict(content),
        "depth": 1,
        "hashes": {"sha256": _HASH},
        "origin_server_ts": _TIME,
        "prev_events": [f"${_HASH}"],
        "room_id": room_id,
        "sender": sender,
        "signatures": {server_name_of(sender): {"ed25519:a": _SIGNATURE}},
        "type": kind,
    }
    text = json.dumps(smallest, ensure_ascii=False, separators=(",", ":"))
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} contains bytes that are not UTF-8. Nothing was changed. Remove them.") from None
    added = 0 if room_id else _ADDED
    if size + added > _LARGEST:
        most = f"{_LARGEST}, with up to {added} that it adds" if added else str(_LARGEST)
        raise InvalidInput(
            f"{what} would need an event of more than {size} bytes, but Synapse accepts at most {most}. Nothing was"
            " changed. Shorten it."
        )
