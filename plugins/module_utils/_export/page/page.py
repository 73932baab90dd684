# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The page on which users read their own export in any browser, without scripts and without network requests.

index.html contains everything except the older messages of long rooms. Those are on further pages in the directory
pages, so that the size of a page and the memory that is needed to write it do not grow with a room.
"""

from __future__ import annotations

import os
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.event import word
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.room import read_optional
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.account import (
    read_profile,
    show_account_data,
    show_connections,
    show_contact_data,
    show_devices,
    show_profile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.frame import heading, open_page
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.markup import (
    Html,
    count,
    element,
    escaped,
    isolated,
    joined,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.media import Media
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.rooms import Rooms

_ROOMS = "The rooms with the latest messages come first. Open a room to see its messages."
_NO_ROOMS = "The export contains no room that the account was in."


def write_page(export_directory: str, manifest: t.Mapping[str, t.Any], path: str) -> list[str]:
    """Write the page of the export in `export_directory` to `path` in the same directory, all files with mode 0600.

    Returns the paths of what was written, as seen from the directory: the page, and pages/* with the older messages of
    long rooms. From the manifest it reads, all optional, `user_id`, `server_name`, `created`, `synapse_version`, `ids`
    (by path), `forgotten_rooms` (ids), `pending_rooms` (objects with room_id and membership), `media` (objects with
    media_id, file, reason and what else differs from media_ids/*) and `not_exported` (objects with name and reason).
    Missing files leave a gap in the page. Raises SynapseError if one cannot be read, or the page cannot be written.
    """
    path = os.path.abspath(path)
    try:
        # The text before the messages of the rooms is known only after them.
        with tempfile.TemporaryFile(dir=os.path.dirname(path)) as spool:
            return _Index(export_directory, manifest).write(path, spool)
    except OSError as error:
        raise SynapseError(f"The page {path} of the export cannot be written: {error.strerror or error}.") from error


class _Index:
    """The content of the page."""

    def __init__(self, directory: str, manifest: t.Mapping[str, t.Any]) -> None:
        self._directory = directory
        self._manifest = manifest
        self._profile = read_profile(directory)
        self._user_id = str(manifest.get("user_id") or self._profile.get("name") or "")
        self._server_name = str(manifest.get("server_name") or self._user_id.partition(":")[2])
        files = os.path.join(directory, "media")
        self._media = Media(self._server_name, self._descriptions(), self._stated("media"), files, "media")

    def write(self, path: str, spool: t.IO[bytes]) -> list[str]:
        """Write the page and the further ones, and return their paths. Raises OSError and SynapseError."""
        rooms = Rooms(self._directory, path, self._user_id, self._media, spool)
        pending = {word(found, "room_id"): word(found, "membership") for found in self._stated("pending_rooms")}
        rooms.read(pending, self._manifest.get("ids") or {})
        with open_page(path, f"Data of {self._user_id}") as page:
            page.write([self._header(), self._contents(rooms), Html("<main>\n")])
            page.write(self._account())
            page.write([heading("rooms", "Rooms"), _note(_ROOMS if len(rooms) else _NO_ROOMS)])
            rooms.copy_to(page)
            if rooms.count_pending():
                page.write([heading("pending", "Invites and requests to join")])
                page.write(rooms.list_pending())
            page.write([heading("files", "Files")])
            page.write(self._files())
            page.write([heading("missing", "What this export does not contain")])
            page.write([element("ul", *(element("li", html) for html in self._missing(rooms))), Html("</main>\n")])
            words = "It was made from the files next to it, which contain all the data: keep them together."
            page.write([element("footer", element("p", escaped(f"This page needs no network. {words}")))])
        return [os.path.basename(path), *rooms.written]

    def _account(self) -> t.Iterator[Html]:
        yield heading("profile", "Profile")
        yield from show_profile(self._profile, self._media)
        yield heading("contact", "Contact data")
        yield from show_contact_data(self._profile)
        yield heading("devices", "Devices")
        yield from show_devices(self._directory)
        yield heading("connections", "Connections")
        yield from show_connections(self._directory)
        yield heading("settings", "Settings")
        yield from show_account_data(self._directory)

    def _header(self) -> Html:
        version = self._manifest.get("synapse_version")
        made = str(self._manifest.get("created") or "").replace("T", " ").replace("Z", " UTC")
        about = [escaped("What the Matrix server "), isolated(self._server_name), escaped(" stores about the account ")]
        about += [isolated(self._user_id)]
        about += [escaped(", as of "), isolated(made)] if made else []
        about += [escaped(" (Synapse "), isolated(version), escaped(")")] if version else []
        about += [escaped(". All times are in UTC.")]
        name = isolated(word(self._profile, "displayname") or self._user_id or "an account")
        title = element("h1", escaped("Data of "), name)
        skip = element("a", escaped("Skip to the rooms"), href="#rooms", class_="skip")
        return element("header", skip, title, element("p", *about, class_="lead"))

    def _contents(self, rooms: Rooms) -> Html:
        links = [("profile", "Profile"), ("contact", "Contact data"), ("devices", "Devices")]
        links += [("connections", "Connections"), ("settings", "Settings"), ("rooms", f"Rooms ({len(rooms):,})")]
        pending = rooms.count_pending()
        links += [("pending", f"Invites and requests ({pending:,})")] if pending else []
        links += [("files", f"Files ({len(self._media):,})"), ("missing", "Not in this export")]
        items = (element("li", element("a", escaped(words), href=f"#{name}")) for name, words in links)
        return element("nav", element("ul", *items), aria_label="Contents")

    def _files(self) -> t.Iterator[Html]:
        if len(self._media):
            yield from self._media.table()
        else:
            yield _note("The account has no files on the server.")

    def _missing(self, rooms: Rooms) -> t.Iterator[Html]:
        for found in self._stated("not_exported"):
            yield joined([isolated(found.get("name"), 1000), isolated(found.get("reason"), 1000)], ": ")
        forgotten = [isolated(room_id) for room_id in self._manifest.get("forgotten_rooms") or ()]
        if forgotten:
            yield joined([escaped("Rooms that were left and forgotten: "), joined(forgotten, ", ")])
        missing = self._media.missing()
        if missing:
            yield escaped(f"{count(missing, 'file')}: the list of files shows the reasons.")
        encrypted = rooms.encrypted_messages
        if encrypted:
            amount = count(encrypted, "encrypted message")
            yield escaped(f"The content of {amount}: only the user's own devices have the keys.")
        yield escaped("Files and profile pictures of other users: they belong to the accounts of those users.")

    def _stated(self, name: str) -> list[t.Mapping[str, t.Any]]:
        """Return the objects in a list of the manifest."""
        return [found for found in self._manifest.get(name) or () if isinstance(found, dict)]

    def _descriptions(self) -> t.Iterator[t.Mapping[str, t.Any]]:
        directory = os.path.join(self._directory, "media_ids")
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
            yield from read_optional(os.path.join(directory, name))


def _note(words: str) -> Html:
    return element("p", escaped(words), class_="quiet")
