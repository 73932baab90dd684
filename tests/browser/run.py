# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the page of an export in a real browser, with content that tries everything: run run.py [DIRECTORY]

Pictures of it are left in DIRECTORY, if one is named. Exit status: 0 all is well, 77 no browser can be had here (the
last line says why), else something is wrong.
"""

from __future__ import annotations

import base64
import importlib
import itertools
import sys
import tempfile
import typing as t
from pathlib import Path

import checks
import hostile
from browser import Browser, Gate, end_as_an_exception, find_browser
from machine import REPOSITORY, CannotRun

_WIDTHS = (1280, 400)
_SCHEMES = ("light", "dark")
# One portrait, one in each row of the files, one in each message with a picture that is the account's own.
_PICTURES = 1 + 5 + 5
_TEXTS = (
    *(attack.strip() for attack in hostile.ATTACKS),
    *("first line\n    second line", "Encrypted message: the server cannot read it.", "number 1096"),
)


def main(arguments: list[str]) -> int:
    """Check everything and return the exit status."""
    pictures = Path(arguments[0]).resolve() if arguments else None
    gate = Gate()
    with tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_page_") as directory:
        export = Path(directory) / "export"
        hostile.write_export(export)
        hostile.write_unsafe_page(Path(directory) / "unsafe.html")
        _write_page(Path(directory), export)
        browser = Browser(find_browser(), gate.address)
        problems = 0
        try:
            unsafe = _unsafe(browser, gate, Path(directory))
            for problem in itertools.chain(unsafe, _safe(browser, gate, export, pictures)):
                problems += 1
                print(problem, flush=True)
        finally:
            browser.close()
            gate.close()
    if not problems:
        print("The page is safe and can be read.")
    return 1 if problems else 0


def _write_page(directory: Path, export: Path) -> None:
    """Let the collection write the page; its modules are found by the name of the collection only."""
    place = directory / "tree/ansible_collections/matrix_ops/synapse"
    place.parent.mkdir(parents=True)
    place.symlink_to(REPOSITORY)
    sys.path.insert(0, str(directory / "tree"))
    module = importlib.import_module("ansible_collections.matrix_ops.synapse.plugins.module_utils._export.page.page")
    module.write_page(str(export), hostile.manifest(), str(export / "index.html"))


def _unsafe(browser: Browser, gate: Gate, directory: Path) -> t.Iterator[str]:
    """Yield what the checks do not find of a page with which everything is wrong."""
    browser.look(1280, "light")
    browser.visit((directory / "unsafe.html").as_uri())
    found = [*checks.harm(browser, gate, "file:"), *checks.layout(browser), *checks.content(browser, 0, ["not there"])]
    expected = (
        "a script ran",
        "asked for http://",
        "asked a server",
        "wider than",
        "contrast",
        "the direction of a name",
        "pictures",
        "not shown",
    )
    for words in expected:
        if not any(words in line for line in found):
            yield f"the checks do not work: nothing of an unsafe page says {words!r}"
    gate.asked.clear()


def _safe(browser: Browser, gate: Gate, export: Path, pictures: Path | None) -> t.Iterator[str]:
    """Yield what is wrong with the page of the export, and with the further one of its long room."""
    index = (export / "index.html").as_uri()
    allowed = export.as_uri() + "/"
    for width in _WIDTHS:
        for scheme in _SCHEMES:
            where = f"{width} px, {scheme}: "
            browser.look(width, scheme)
            browser.visit(index)
            found = [*checks.content(browser, _PICTURES, _TEXTS), *checks.harm(browser, gate, allowed)]
            found += [*checks.layout(browser), *checks.structure(browser)]
            yield from (where + line for line in found)
            if pictures:
                _take_picture(browser, pictures / f"{width}-{scheme}.png")
    browser.visit(index)
    yield from checks.keyboard(browser)
    browser.visit(index)
    yield from checks.links(browser)
    browser.look(800, "dark", media="print")
    browser.visit(index)
    yield from checks.paper(browser)
    browser.look(400, "dark")
    browser.visit((export / "pages/2-1.html").as_uri())
    found = [*checks.content(browser, 1, ["number 0", "number 96"]), *checks.layout(browser)]
    yield from (f"further page: {line}" for line in (*found, *checks.harm(browser, gate, allowed)))
    browser.visit(index)
    yield from checks.policy(browser, gate)


def _take_picture(browser: Browser, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    taken = browser.call("Page.captureScreenshot", captureBeyondViewport=False)
    path.write_bytes(base64.b64decode(taken["data"]))


if __name__ == "__main__":
    end_as_an_exception()
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotRun as error:
        print(error, file=sys.stderr)
        sys.exit(77)
