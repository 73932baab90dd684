# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every role is whole, and that its argument_specs say the same as its defaults: roles.py COLLECTION"""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import yaml

_FILES = (
    "README.md",
    "defaults/main.yml",
    "meta/argument_specs.yml",
    "meta/main.yml",
    "tasks/main.yml",
    "tasks/preflight.yml",
    "tasks/verify.yml",
)


def problems_of(role: Path) -> t.Iterator[str]:
    """Yield what is wrong with a role, in words."""
    missing = [name for name in _FILES if not (role / name).is_file()]
    yield from (f"{name} is missing" for name in missing)
    if {"defaults/main.yml", "meta/argument_specs.yml"} & set(missing):
        return
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text()) or {}
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    options = specs["main"].get("options", {})
    described = {name: option["default"] for name, option in options.items() if "default" in option}
    for name in sorted(defaults.keys() | options.keys()):
        if not name.startswith(f"{role.name}_"):
            yield f"{name} does not begin with the role's name"
        if name not in options:
            yield f"{name} has a default but is not in argument_specs"
        elif name in defaults and name not in described:
            yield f"{name} has a default, but argument_specs names none"
        elif name not in defaults and name in described:
            yield f"{name} has a default in argument_specs only"
        elif name in defaults and defaults[name] != described[name]:
            yield f"{name} is {defaults[name]!r} in defaults, but {described[name]!r} in argument_specs"
        elif name.endswith(("_password", "_secret", "_token")) and "{{" in str(defaults.get(name)):
            yield f"{name} has a template as its default, which Ansible prints if another variable has the wrong type"
    for name, option in options.items():
        if not option.get("description") or not option.get("type"):
            yield f"{name} lacks a description or a type in argument_specs"


def main() -> int:
    """Check every role of the collection and return the exit status."""
    roles = sorted(path for path in (Path(sys.argv[1]) / "roles").iterdir() if path.is_dir())
    found = [f"{role.name}: {problem}" for role in roles for problem in problems_of(role)]
    print("\n".join(found) or f"{len(roles)} roles are whole.")
    return 1 if found or not roles else 0


if __name__ == "__main__":
    sys.exit(main())
