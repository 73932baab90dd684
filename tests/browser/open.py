# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the page of an export in a real browser: run open.py DIRECTORY PICTURES TEXT...

It must show that many pictures and each of the texts, and ask for nothing beside the export. Exit status: 0 all is
well, 77 no browser can be had here (the last line says why), else something is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import checks
from browser import Browser, Gate, end_as_an_exception, find_browser
from machine import CannotRun


def main(directory: str, pictures: str, *texts: str) -> int:
    """Open the page and return the exit status."""
    gate = Gate()
    browser = Browser(find_browser(), gate.address)
    try:
        export = Path(directory).resolve()
        browser.look(1280, "light")
        browser.visit((export / "index.html").as_uri())
        problems = [*checks.content(browser, int(pictures), texts), *checks.layout(browser)]
        problems += checks.harm(browser, gate, f"{export.as_uri()}/")
    finally:
        browser.close()
        gate.close()
    print("\n".join(problems) or "The page opens.")
    return 1 if problems else 0


if __name__ == "__main__":
    end_as_an_exception()
    try:
        sys.exit(main(*sys.argv[1:]))
    except CannotRun as error:
        print(error, file=sys.stderr)
        sys.exit(77)
