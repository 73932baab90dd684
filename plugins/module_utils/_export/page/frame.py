# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The frame of every page of an export, and the file of a page."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.markup import Html, element, escaped
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.style import STYLE, STYLE_HASH

# Browsers differ in whether 'self' includes the files next to a page that was opened as a file.
_POLICY = f"default-src 'none'; img-src 'self' file:; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'"


class Page:
    """A page that is being written."""

    def __init__(self, file: t.IO[bytes]) -> None:
        self._file = file

    def write(self, parts: t.Iterable[Html]) -> None:
        """Write the parts in order. Raises OSError."""
        for html in parts:
            self._file.write(html.encode())

    def copy(self, source: t.IO[bytes], start: int, end: int) -> None:
        """Copy the bytes of `source` from `start` to `end`. Raises OSError."""
        source.seek(start)
        while start < end:
            read = source.read(min(end - start, 1 << 16))
            self._file.write(read)
            start += len(read)


@contextlib.contextmanager
def open_page(path: str, title: str) -> t.Iterator[Page]:
    """Yield a new page at `path`, which only its owner can read. Raises OSError."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        page = Page(file)
        page.write([_head(title)])
        yield page
        page.write([Html("</body></html>\n")])


def heading(name: str, words: str) -> Html:
    """Return the heading of a section, with `name` as the target of links."""
    return Html(element("h2", escaped(words), id=name) + "\n")


def _head(title: str) -> Html:
    parts = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("meta", name="format-detection", content="telephone=no"),
        element("title", escaped(" ".join(title.split()), 250)),
        Html(f"<style>{STYLE}</style>"),
    ]
    return Html(f'<!DOCTYPE html>\n<html lang="en"><head>{"".join(parts)}</head><body>\n')
