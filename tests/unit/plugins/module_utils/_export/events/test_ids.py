# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.ids import event_id_of

CONTENTS: dict[str, dict[str, t.Any]] = {
    "m.room.create": {"creator": "@a:b", "room_version": "x", "predecessor": {"a": 1}},
    "m.room.member": {
        "membership": "invite",
        "displayname": "x",
        "join_authorised_via_users_server": "@z:y",
        "third_party_invite": {"signed": {"mxid": "m"}, "display_name": "q"},
    },
    "m.room.join_rules": {"join_rule": "restricted", "allow": [{"x": 1}], "z": 2},
    "m.room.power_levels": {
        "ban": 1,
        "invite": 2,
        "events": {"a": 1},
        "notifications": {"room": 5},
        "users": {"@é:x": 3},
        "historical": 3,
    },
    "m.room.aliases": {"aliases": ["#a:b"], "x": 1},
    "m.room.history_visibility": {"history_visibility": "shared", "x": 1},
    "m.room.redaction": {"redacts": "$x", "reason": "é"},
    "m.room.message": {"body": "x"},
}

# The ids that Synapse 1.163 computes (synapse.events.make_event_from_dict) for these contents in the event of the test.
KNOWN = [
    ("3", "m.room.create", "$NzAqOsq7RHQFwCp2y2o6iVE8dgrxLTsgANuPYd5jdPg"),
    ("3", "m.room.message", "$+uujYGIw3lY7g2Oto/uYXNmM0aqeBkQ0xn+8CTaSbdQ"),
    ("4", "m.room.create", "$NzAqOsq7RHQFwCp2y2o6iVE8dgrxLTsgANuPYd5jdPg"),
    ("4", "m.room.history_visibility", "$R0w-5bdlDUjdy4YajJ9te-wezKA-Tcs0btD4Bf4uo08"),
    ("5", "m.room.aliases", "$7oE_oHXKckI60kbtd_tmjfQ0IPGGW8DQKA45VHPGcXM"),
    ("6", "m.room.aliases", "$V56hoqq0ike7O-rEXTqqW-Jhuqu1ycRlWDWjHZf85H8"),
    ("7", "m.room.join_rules", "$ek2pJcspog29mmtYxxfy-gMgwJA_Xx6GR5fwO1kIciA"),
    ("8", "m.room.member", "$aPMASoQeNm4sbPfyA5nk8cJqVgRMbxDLTCOzNKjR0sE"),
    ("8", "m.room.join_rules", "$AaiXZaGFqxmBXl4jIWBAihg_RmJy9N0RBihCnVqusYk"),
    ("9", "m.room.member", "$JtRTXTGMbrcCtgbZ7TMygnJRc-XP3481syEfzg-rs4Q"),
    ("10", "m.room.power_levels", "$VobIQh4tT84PWz-y7b8WrgSHsQHyzTTE70WuMGr7z1Y"),
    ("10", "m.room.redaction", "$O2lQYFRXHv4BejYznKzoax_3o-mmlFwWPfTv7otPSJ4"),
    ("10", "m.room.message", "$-uujYGIw3lY7g2Oto_uYXNmM0aqeBkQ0xn-8CTaSbdQ"),
    ("11", "m.room.create", "$js_ckOQXfqIsh-MmgB31l4T_MMUyk4yYys320qrLldY"),
    ("11", "m.room.member", "$1nxy7AvrGhk8ueAy_EBga1VRuofZ0l9a7INDRDj9Uh0"),
    ("11", "m.room.power_levels", "$Bg-6NPJPfGwyQXyXYd6S7B7Ysf2sMoRje4-7C_EGaLw"),
    ("11", "m.room.redaction", "$4s0YDz3mSGNadw5-XEXZ5dh3vyI8CynZXMTNv6zQZ7E"),
    ("12", "m.room.member", "$1nxy7AvrGhk8ueAy_EBga1VRuofZ0l9a7INDRDj9Uh0"),
    ("12", "m.room.history_visibility", "$uKwBwx1lkbj9gZvTDFHyvkQKydublUnF8bgC-psUf5E"),
    ("12", "m.room.message", "$LI4icp6fzrN61C_DsQGNPRRhiWjiDfh8JCPwd2nym_Y"),
]


def event(kind: str) -> dict[str, t.Any]:
    return {
        "type": kind,
        "room_id": "!r:s.test",
        "sender": "@alice:s.test",
        "content": CONTENTS[kind],
        "depth": 3,
        "prev_events": ["$p"],
        "auth_events": ["$a"],
        "origin_server_ts": 1,
        "origin": "s.test",
        "membership": "join",
        "prev_state": [],
        "hashes": {"sha256": "abc"},
        "signatures": {"s": {"k": "v"}},
        "unsigned": {"age_ts": 1},
        "extra": 1,
        "redacts": "$x",
        "state_key": "k",
    }


@pytest.mark.parametrize(("version", "kind", "event_id"), KNOWN)
def test_the_id_is_the_one_of_synapse(version: str, kind: str, event_id: str) -> None:
    assert event_id_of(event(kind), version) == event_id


@pytest.mark.parametrize("version", ["1", "2"])
def test_old_rooms_have_the_id_in_the_event(version: str) -> None:
    assert event_id_of({**event("m.room.message"), "event_id": "$1:s.test"}, version) == "$1:s.test"


@pytest.mark.parametrize(
    ("changed", "version"),
    [
        ({}, ""),
        ({}, "org.example.own"),
        ({}, "1"),
        ({"content": "text"}, "11"),
        ({"sender": "\ud800"}, "11"),
    ],
)
def test_an_unknown_id(changed: dict[str, t.Any], version: str) -> None:
    assert event_id_of({**event("m.room.message"), **changed}, version) is None
