# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every module is documented and tested, and in the action group just if it has connection options.

modules.py COLLECTION
"""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path

import yaml


def problems_of(module: Path, collection: Path, group: t.Collection[str]) -> t.Iterator[str]:
    """Yield what is wrong with a module, in words."""
    text = module.read_text()
    documents = {
        name: yaml.safe_load(found.group(1))
        for name in ("DOCUMENTATION", "EXAMPLES", "RETURN")
        if (found := re.search(rf'^{name} = r"""\n(.*?)^"""', text, re.MULTILINE | re.DOTALL))
    }
    yield from (f"{name} is missing" for name in ("DOCUMENTATION", "EXAMPLES", "RETURN") if not documents.get(name))
    fragments = (documents.get("DOCUMENTATION") or {}).get("extends_documentation_fragment") or []
    connects = "matrix_ops.synapse._connection" in fragments
    if connects and module.stem not in group:
        yield "it has connection options, but is not in the action group synapse of meta/runtime.yml"
    if not connects and module.stem in group:
        yield "it is in the action group synapse of meta/runtime.yml, but has no connection options to set there"
    tasks = documents.get("EXAMPLES") or []
    if not any(f"matrix_ops.synapse.{module.stem}" in task for task in tasks):
        yield "no example uses it by its full name"
    if not (collection / "tests" / "integration" / "targets" / f"module_{module.stem}").is_dir():
        yield "it has no integration target"


def main() -> int:
    """Check every module of the collection and return the exit status."""
    collection = Path(sys.argv[1])
    group = yaml.safe_load((collection / "meta" / "runtime.yml").read_text())["action_groups"]["synapse"]
    modules = sorted((collection / "plugins" / "modules").glob("*.py"))
    found = [f"{module.stem}: {problem}" for module in modules for problem in problems_of(module, collection, group)]
    nothing = set(group) - {module.stem for module in modules}
    found += [f"{name}: in the action group, but no module" for name in sorted(nothing)]
    print("\n".join(found) or f"{len(modules)} modules are whole.")
    return 1 if found or not modules else 0


if __name__ == "__main__":
    sys.exit(main())
