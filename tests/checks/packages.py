# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the walls of plugins/module_utils, with whatever is left over in the checkout: packages.py CHECKOUT

A package, or a file beside the packages, is a room. The map in CONTRIBUTING.md shows every room, and a room depends
only on those below it there; none shadows another on a managed host; unit tests stand in folders of the same names.
"""

from __future__ import annotations

import ast
import re
import shlex
import sys
import typing as t
from pathlib import Path

_COLLECTION = "ansible_collections.matrix_ops.synapse."
_PREFIX = f"{_COLLECTION}plugins.module_utils"


def problems_of_names(root: Path) -> t.Iterator[str]:
    """Yield what is wrong with the names of files and directories below `root`, in words."""
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root)
        if "__pycache__" in place.parts or path.name.startswith("."):
            continue
        file = path.with_name(f"{path.name}.py")
        if path.is_symlink():
            yield f"{place} is a link: a place in module_utils has one name"
        elif path.is_dir() and not sources(path):
            shadow = f", and shadows {file.name} beside it on managed hosts" if file.is_file() else ""
            yield f"{place}/ is left over{shadow}: it holds no source, remove it (rm -r {shlex.quote(str(path))})"
        elif path.is_dir() and file.is_file():
            yield f"{place}/ shadows {place}.py on managed hosts, where nothing could be imported from it: rename one"
        elif path.name == "__init__.py":
            yield f"{place}: leave it out; Ansible needs none, and what it imports would be sent to every host"
        elif path.is_dir() or path.suffix == ".py":
            name = path.name if path.is_dir() else path.stem
            if not name.isidentifier():
                yield f"{place}: nothing can be imported by that name"
            elif name.startswith("_") != (path.parent == root):
                yield f"{place}: the underscore belongs on what lies in module_utils itself, plain names below it"


def sources(root: Path) -> list[Path]:
    """Return the files with Python below `root`, sorted."""
    return sorted(path for path in root.rglob("*.py") if path.is_file() and not path.is_symlink())


def parsed(path: Path) -> ast.Module | None:
    """Return what a file holds, or None if it is not Python."""
    try:
        return ast.parse(path.read_text(), str(path))
    except (SyntaxError, ValueError):
        return None


def imports_of(path: Path, root: Path) -> t.Iterator[tuple[int, Path | None]]:
    """Yield every import from this collection: its line and the file it leads to, None if it leads nowhere."""
    for node in ast.walk(parsed(path) or ast.Module([], [])):
        if isinstance(node, ast.Import):
            if any(f"{alias.name}.".startswith(_COLLECTION) for alias in node.names):
                yield node.lineno, None
        elif isinstance(node, ast.ImportFrom):
            module = f"{node.module}."
            if node.level or (module.startswith(_COLLECTION) and not module.startswith(f"{_PREFIX}.")):
                yield node.lineno, None
            elif module.startswith(_COLLECTION):
                place = root.joinpath(*module[len(_PREFIX) :].split("."))
                # A name that is imported is a module itself, or stands in the one before it.
                for alias in node.names:
                    found = [file for file in (place / f"{alias.name}.py", place.with_suffix(".py")) if file.is_file()]
                    yield node.lineno, found[0] if found else None


def problems_of_imports(root: Path, rows: t.Mapping[str, int]) -> t.Iterator[str]:
    """Yield what is wrong with the imports between the rooms below `root`, in words. `rows`: where the map has them."""
    for path in sources(root):
        if parsed(path) is None:
            yield f"{path.relative_to(root)}: this is not Python"
        for line, target in imports_of(path, root):
            where = f"{path.relative_to(root)}, line {line}"
            if target is None:
                yield f"{where}: import what is there, by name, from a place below {_PREFIX}"
                continue
            room, needed = room_of(path, root), room_of(target, root)
            if room != needed and {room, needed} <= rows.keys() and rows[room] >= rows[needed]:
                yield f"{where}: {room} needs {needed}, which is not below it in the map of CONTRIBUTING.md"


def rows_of_map(text: str) -> dict[str, int]:
    """Return the rooms that the map in the text of CONTRIBUTING.md shows, each with the number of its row."""
    _before, _heading, rest = text.partition("\n## The map\n")
    rows = [line.split("|")[1] for line in rest.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return {room: number for number, row in enumerate(rows) for room in re.findall(r"`([\w/]+)`", row)}


def room_of(path: Path, root: Path) -> str:
    """Return the name of the room that a file is in: its package, or the file itself if it lies beside the packages."""
    place = path.relative_to(root)
    return str(place.with_suffix("") if path.parent == root else place.parent)


def problems_of_tests(root: Path, tests: Path, underscore: str = "") -> t.Iterator[str]:
    """Yield which unit tests below `tests` stand elsewhere than what they test below `root`, in words.

    `underscore`: what the names of files directly in `root` begin with, and those of their tests do not.
    """
    for path in sorted(tests.rglob("test_*.py")):
        folder, name = path.parent.relative_to(tests), path.stem.removeprefix("test_")
        tested = root / folder / (f"{underscore}{name}.py" if path.parent == tests else f"{name}.py")
        if not tested.is_file():
            yield f"{path.relative_to(tests)}: there is no {tested.relative_to(root)} that it could test"


def main() -> int:
    """Check the checkout and return the exit status."""
    checkout = Path(sys.argv[1])
    root = checkout / "plugins" / "module_utils"
    rows = rows_of_map((checkout / "CONTRIBUTING.md").read_text())
    found = [*problems_of_names(root), *problems_of_imports(root, rows)]
    tests = checkout / "tests" / "unit" / "plugins"
    found += problems_of_tests(root, tests / "module_utils", "_")
    found += problems_of_tests(checkout / "plugins" / "filter", tests / "filter")
    rooms = {room_of(path, root) for path in sources(root)}
    found += [f"the map in CONTRIBUTING.md does not show {room}" for room in sorted(rooms - rows.keys())]
    found += [f"the map in CONTRIBUTING.md shows {room}, which is not there" for room in sorted(rows.keys() - rooms)]
    print("\n".join(dict.fromkeys(found)) or f"{len(rooms)} rooms are in order.")
    return 1 if found or not rooms else 0


if __name__ == "__main__":
    sys.exit(main())
