# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The sections of the page about the account itself: profile, contact data, devices, connections, settings."""

from __future__ import annotations

import itertools
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.event import word
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.room import read_optional
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.event import raw
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.markup import (
    NOTHING,
    Html,
    count,
    definitions,
    element,
    escaped,
    isolated,
    joined,
    moment,
    table,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.media import Media

_PROFILE = {
    "name": "User ID",
    "displayname": "Name",
    "creation_ts": "Account created",
    "last_seen_ts": "Last seen",
    "admin": "Server admin",
    "deactivated": "Deactivated",
    "erased": "Erased",
    "locked": "Locked",
    "suspended": "Suspended",
    "shadow_banned": "Shadow-banned",
    "is_guest": "Guest",
    "user_type": "Type of account",
    "appservice_id": "Belongs to the application service",
    "consent_version": "Accepted version of the terms",
    "consent_server_notice_sent": "Asked to accept version of the terms",
    "consent_ts": "Accepted at",
}
_SHOWN_ELSEWHERE = ("avatar_url", "threepids", "external_ids")
_MEDIUMS = {"email": "E-mail", "msisdn": "Phone number"}
_SETTINGS = {
    "m.accepted_terms": "Accepted terms",
    "m.cross_signing.master": "Own keys, encrypted",
    "m.cross_signing.self_signing": "Own keys, encrypted",
    "m.cross_signing.user_signing": "Own keys, encrypted",
    "m.direct": "Which rooms are direct conversations",
    "m.fully_read": "Last message that was read",
    "m.identity_server": "Server for finding users by e-mail address or phone number",
    "m.ignored_user_list": "Ignored users",
    "m.marked_unread": "Marked as unread",
    "m.megolm_backup.v1": "Key of the message backup, encrypted",
    "m.push_rules": "Notification rules",
    "m.secret_storage.default_key": "Which key protects the secrets",
    "m.tag": "Tags of the room",
}


def read_profile(directory: str) -> dict[str, t.Any]:
    """Return the profile of the export, {} if there is none. Raises SynapseError if it is damaged."""
    profile: dict[str, t.Any] = {}
    for found in _user_data(directory, "profile"):
        profile.update(found)
    return profile


def show_profile(profile: t.Mapping[str, t.Any], media: Media) -> t.Iterator[Html]:
    """Yield the profile of the account, with the picture."""
    keys = [*_PROFILE, *sorted(set(profile) - set(_PROFILE) - set(_SHOWN_ELSEWHERE))]
    pairs = [
        (_PROFILE.get(key, key), _value(key, profile[key])) for key in keys if profile.get(key) not in (None, "", [])
    ]
    portrait = media.portrait(profile.get("avatar_url"), "Profile picture")
    picture = element("div", portrait, class_="portrait") if portrait else NOTHING
    if profile.get("avatar_url") and not portrait:
        pairs.append(("Picture", Html(f"{isolated(profile['avatar_url'])} (not part of this export)")))
    yield element("div", picture, definitions(pairs) if pairs else _none("profile"), class_="card person")


def show_contact_data(profile: t.Mapping[str, t.Any]) -> t.Iterator[Html]:
    """Yield the e-mail addresses, phone numbers and accounts of other services that belong to the account."""
    contacts = _objects(profile.get("threepids"))
    elsewhere = _objects(profile.get("external_ids"))
    if contacts:
        yield from table(
            "With these the account can be found and its password can be reset.",
            ("Type", "E-mail address or phone number", "Confirmed", "Added"),
            (
                (
                    isolated(_MEDIUMS.get(word(found, "medium"), found.get("medium"))),
                    isolated(found.get("address")),
                    moment(found.get("validated_at")),
                    moment(found.get("added_at")),
                )
                for found in contacts
            ),
        )
    if elsewhere:
        rows = ((isolated(found.get("auth_provider")), isolated(found.get("external_id"))) for found in elsewhere)
        yield from table("Accounts of other services that can log in to this account.", ("Provider", "Account"), rows)
    if not contacts and not elsewhere:
        yield _none("contact data")


def show_devices(directory: str) -> t.Iterator[Html]:
    """Yield a table of the devices that are logged in."""
    rows = (
        (
            isolated(found.get("display_name") or "without a name"),
            isolated(found.get("device_id")),
            moment(found.get("last_seen_ts")),
            isolated(found.get("last_seen_ip") or "unknown"),
            isolated(found.get("last_seen_user_agent") or "unknown"),
        )
        for found in _user_data(directory, "devices")
    )
    headings = ("Device", "Device ID", "Last seen", "IP address", "App")
    yield from _table_or_none("Every login is a device.", headings, rows, "device")


def show_connections(directory: str) -> t.Iterator[Html]:
    """Yield a table of the connections from which the account was used."""
    rows = (
        (
            isolated(found.get("ip") or "unknown"),
            moment(found.get("last_seen")),
            isolated(found.get("user_agent") or "unknown"),
        )
        for found in _user_data(directory, "connections")
    )
    caption = "The IP addresses from which the account was used, as far as the server has stored them."
    yield from _table_or_none(caption, ("IP address", "Last seen", "App"), rows, "connection")


def show_account_data(directory: str, name: str = "global") -> t.Iterator[Html]:
    """Yield the settings that the user's apps store on the server: those of a room, or the global ones."""
    rows = (
        (
            element("span", isolated(kind), title=_SETTINGS.get(kind)),
            escaped(_SETTINGS.get(kind, "A setting of an app")),
            joined([escaped(_extent(content)), raw("Show the content", content)]),
        )
        for found in _user_data(directory, os.path.join("account_data", name))
        for kind, content in sorted(found.items())
    )
    yield from _table_or_none(
        "Stored for the apps of this account.", ("Type", "Description", "Content"), rows, "setting"
    )


def has_account_data(directory: str, name: str) -> bool:
    """Return whether there are settings for the room of this name."""
    return os.path.exists(os.path.join(directory, "user_data", "account_data", name))


def _user_data(directory: str, name: str) -> t.Iterator[dict[str, t.Any]]:
    return read_optional(os.path.join(directory, "user_data", name))


def _value(key: str, value: object) -> Html:
    if key == "creation_ts" and isinstance(value, int):
        # Only this time is in seconds.
        return moment(value * 1000)
    if key.endswith("_ts"):
        return moment(value)
    if isinstance(value, (bool, int)) and value in (0, 1):
        return escaped("yes" if value else "no")
    return raw("Show the content", value) if isinstance(value, (dict, list)) else isolated(value)


def _extent(content: object) -> str:
    return count(len(content), "entry", "entries") if isinstance(content, (dict, list)) else ""


def _objects(value: object) -> list[dict[str, t.Any]]:
    return [found for found in value if isinstance(found, dict)] if isinstance(value, list) else []


def _table_or_none(
    caption: str, headings: t.Sequence[str], rows: t.Iterator[t.Sequence[Html]], thing: str
) -> t.Iterator[Html]:
    first = next(rows, None)
    if first is None:
        yield _none(thing)
        return
    # The rows are an iterator, and one was read already.
    yield from table(caption, headings, itertools.chain([first], rows))


def _none(thing: str) -> Html:
    return element("p", escaped(f"The export contains no {thing}."), class_="quiet")
