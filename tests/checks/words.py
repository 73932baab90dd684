# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that no file puts off work or silences a checker, and that no name says nothing: words.py COLLECTION"""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path

# In two parts each, so that this file does not find itself.
_FORBIDDEN = {
    "TO" + "DO": "do it, or open an issue",
    "FIX" + "ME": "mend it, or open an issue",
    "XX" + "X": "say what it is",
    "no" + "qa": "mend what the checker found",
    "pylint" + ":": "mend what the checker found",
    "skip" + "_ansible_lint": "mend what the checker found",
    "skip" + "_list": "mend what the checker found",
    "warn" + "_list": "mend what the checker found",
    "type: " + "ignore": "mend what the checker found",
    "x" + "fail": "mend what the test found",
}
_EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|misc)(_|$)")
_SUFFIXES = {".py", ".yml", ".yaml", ".md", ".sh", ".j2", ".toml", ".txt", ".cfg", ".ini", ""}


def problems_of(path: Path) -> t.Iterator[str]:
    """Yield what is wrong with a file, in words."""
    if _EMPTY_NAMES.search(path.stem) and path.parent.name != "plugins":
        yield "its name does not say what is in it"
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        for word, mend in _FORBIDDEN.items():
            if re.search(rf"(?<!\w){re.escape(word)}", line):
                yield f"line {number} holds {word}: {mend}"


def main() -> int:
    """Check every text file of the collection and return the exit status."""
    collection = Path(sys.argv[1])
    files = [
        path
        for path in sorted(collection.rglob("*"))
        if path.is_file()
        and path.suffix in _SUFFIXES
        and not {"output", "LICENSES", ".ansible"} & set(path.relative_to(collection).parts)
        and path.name != "COPYING"
    ]
    found = [f"{path.relative_to(collection)}: {problem}" for path in files for problem in problems_of(path)]
    # An ignore file of ansible-test or a skip list would hide what the checkers find.
    found += [f"{path}: no checker is to be silenced" for path in (collection / "tests" / "sanity").glob("ignore*")]
    print("\n".join(found) or f"{len(files)} files are in order.")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
