# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files of an export on its page: pictures are shown, other files are links, missing files have a reason."""

from __future__ import annotations

import os
import re
import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.markup import (
    NOTHING,
    Html,
    element,
    escaped,
    isolated,
    moment,
    size,
    table,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import timestamp

# Types that browsers never treat as a document, unlike SVG and anything that may be detected as HTML.
_PICTURES = frozenset({"image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"})
_MEDIA_ID = re.compile(r"[0-9A-Za-z_-]{1,255}")
_MXC = re.compile(r"mxc://([^/]+)/([0-9A-Za-z_-]{1,255})")
_LARGEST_SIDE = 20_000
# The number of bytes that browsers read to detect the type of a file.
_SNIFFED = 4096


class Media:
    """The files in the directory `media` of an export.

    `descriptions` are the objects of media_ids/* (rows of the table local_media_repository), `outcomes` the entries of
    the manifest, with the name of the `file` or the `reason`. `directory` is the path of the files, `link` the same
    path relative to the page.
    """

    def __init__(
        self,
        server_name: str,
        descriptions: t.Iterable[t.Mapping[str, t.Any]],
        outcomes: t.Iterable[t.Mapping[str, t.Any]],
        directory: str,
        link: str,
    ) -> None:
        self._server_name = server_name
        self._directory = directory
        self._link = link
        self._known: dict[str, dict[str, t.Any]] = {}
        for given in (*descriptions, *outcomes):
            media_id = given.get("media_id")
            if isinstance(media_id, str) and _MEDIA_ID.fullmatch(media_id):
                self._known.setdefault(media_id, {}).update({key: value for key, value in given.items() if value})

    def below(self, link: str) -> Media:
        """Return the same files for a page with the relative path `link`."""
        media = Media(self._server_name, (), (), self._directory, link)
        media._known = self._known
        return media

    def __len__(self) -> int:
        return len(self._known)

    def missing(self) -> int:
        """Return the number of missing files."""
        return sum(self._reason(media_id) is not None for media_id in self._known)

    def show(self, url: object, caption: str, info: object = None) -> Html:
        """Return a figure of the file of an mxc URL, with its caption."""
        found = _MXC.fullmatch(url) if isinstance(url, str) else None
        if not found:
            return _figure(NOTHING, caption, "its URL is not valid")
        server_name, media_id = found.groups()
        if server_name != self._server_name or media_id not in self._known:
            return _figure(NOTHING, caption, "a file of another user: not part of this export")
        reason = self._reason(media_id)
        if reason is not None:
            return _figure(NOTHING, caption, reason)
        picture = self._picture(media_id, caption, info)
        return _figure(picture or self._download(media_id, caption), caption if picture else "", "")

    def portrait(self, url: object, alternative: str) -> Html:
        """Return the picture of an mxc URL, or nothing if it is missing."""
        found = _MXC.fullmatch(url) if isinstance(url, str) else None
        if not found or found.group(1) != self._server_name or found.group(2) not in self._known:
            return NOTHING
        return NOTHING if self._reason(found.group(2)) else self._picture(found.group(2), alternative, None)

    def table(self) -> t.Iterator[Html]:
        """Yield a table of all files in pieces, the newest first."""
        names = sorted(self._known, key=lambda name: timestamp(self._known[name].get("created_ts")) or 0, reverse=True)
        headings = ("File", "Preview", "Type", "Size", "Uploaded")
        yield from table("The newest files come first.", headings, map(self._row, names))

    def _row(self, media_id: str) -> tuple[Html, ...]:
        known = self._known[media_id]
        name = str(known.get("upload_name") or media_id)
        reason = self._reason(media_id)
        shown = self._download(media_id, name) if reason is None else Html(f"{isolated(name)} ({escaped(reason)})")
        preview = self._picture(media_id, f"Preview of {name}", None) if reason is None else NOTHING
        return (
            shown,
            preview or escaped("none"),
            isolated(known.get("media_type") or "unknown"),
            escaped(size(known.get("size", known.get("media_length"))) or "unknown"),
            moment(known.get("created_ts")),
        )

    def _reason(self, media_id: str) -> str | None:
        """Return why the file is missing, or None if it exists."""
        reason = self._known[media_id].get("reason")
        if isinstance(reason, str):
            return f"missing: {reason}"
        there = self._known[media_id].get("file") and os.path.isfile(self._path(media_id))
        return None if there else "missing: the file itself is not part of this export"

    def _path(self, media_id: str) -> str:
        return os.path.join(self._directory, self._known[media_id]["file"])

    def _link_to(self, media_id: str) -> str:
        """Return the link to the file. The only special character in its name is a plus."""
        return f"{self._link}/{urllib.parse.quote(self._known[media_id]['file'])}"

    def _may_run(self, media_id: str) -> bool:
        """Return whether a browser could treat the file as HTML or SVG, whatever type the uploader has set."""
        try:
            with open(self._path(media_id), "rb") as file:
                return file.read(_SNIFFED).lstrip(b"\xef\xbb\xbf\0\t\n\f\r ").startswith(b"<")
        except OSError as error:
            raise SynapseError(f"{error.filename} cannot be read: {error.strerror}.") from error

    def _picture(self, media_id: str, alternative: str, info: object) -> Html:
        if self._known[media_id].get("media_type") not in _PICTURES:
            return NOTHING
        given = info if isinstance(info, dict) else {}
        sides = [given.get(side) for side in ("w", "h")]
        known = all(isinstance(side, int) and 0 < side <= _LARGEST_SIDE for side in sides)
        width, height = sides if known else (None, None)
        return element(
            "img",
            src=self._link_to(media_id),
            alt=alternative[:250],
            width=width,
            height=height,
            loading="lazy",
            decoding="async",
        )

    def _download(self, media_id: str, name: str) -> Html:
        if self._may_run(media_id):
            place = (
                f" (in {self._link}/{self._known[media_id]['file']}: no link, because a browser could run its content)"
            )
            return Html(f"{isolated(name)}{escaped(place)}")
        return element("a", isolated(name), href=self._link_to(media_id), download=name.replace("/", "_")[:250])


def _figure(content: Html, caption: str, reason: str) -> Html:
    parts = [isolated(caption)] if caption else []
    parts += [escaped(f" ({reason})" if caption else reason)] if reason else []
    return element("figure", content, element("figcaption", *parts) if parts else NOTHING)
