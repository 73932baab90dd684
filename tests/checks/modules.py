# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that every module is documented, tested, and in the action groups that it belongs to: modules.py COLLECTION

- The group `synapse` has the modules with connection options, and no others.
- The group `host` has the modules that must run on the host of Synapse. They all have the option `config_path`.
- The fragments in DOCUMENTATION and the groups in meta/runtime.yml agree.
- A module with connection options documents what a failed request returns. No returned value is ever null.
"""

from __future__ import annotations

import re
import sys
import typing as t
from pathlib import Path

import yaml

_FRAGMENTS = "matrix_ops.synapse."
_CONNECTION = f"{_FRAGMENTS}_connection"
_CONFIGURATION = f"{_FRAGMENTS}_configuration"
# The fragments that document a membership, with the groups.
_MEMBERSHIPS = {
    f"{_FRAGMENTS}_attributes.actiongroup_synapse": {"synapse"},
    f"{_FRAGMENTS}_attributes.actiongroup_host": {"host"},
    f"{_FRAGMENTS}_attributes.actiongroups": {"synapse", "host"},
}
_GROUPS = sorted(set().union(*_MEMBERSHIPS.values()))
_DOCUMENTS = ("DOCUMENTATION", "EXAMPLES", "RETURN")
# They report in other ways what they cannot read.
_WITHOUT_FAILED_REQUESTS = {
    "synapse_proxy_info",
    "synapse_runtime_check",
    "synapse_runtime_info",
    "synapse_service_info",
}
# What a failed request returns: see `_errors.py`.
_FAILURE = {"request": {"method", "url"}, "status": set[str](), "errcode": set[str](), "error": set[str]()}


def texts_of(module: Path) -> dict[str, str]:
    """Return the documentation of a module: each text that is there, by its name."""
    text = module.read_text()
    found = {name: re.search(rf'^{name} = r"""\n(.*?)^"""', text, re.MULTILINE | re.DOTALL) for name in _DOCUMENTS}
    return {name: match.group(1) for name, match in found.items() if match}


def problems_of_groups(name: str, fragments: t.Collection[str], groups: t.Mapping[str, list[str]]) -> t.Iterator[str]:
    """Yield where the action groups, the fragments and the options of a module do not agree, in words."""
    documented = [_MEMBERSHIPS[fragment] for fragment in fragments if fragment in _MEMBERSHIPS]
    if len(documented) > 1:
        yield "it has more than one fragment with action groups: use actiongroups for both"
    members = set().union(*documented)
    for group in _GROUPS:
        if group in members and name not in groups[group]:
            yield f"its documentation names the action group {group}, but meta/runtime.yml does not list it there"
        if group not in members and name in groups[group]:
            yield f"meta/runtime.yml lists it in the action group {group}, but its documentation does not name it"
    # Another module would refuse the options that `module_defaults` sets for the group.
    if ("synapse" in members) != (_CONNECTION in fragments):
        yield "it must be in the action group synapse if it has connection options, and only then"
    if "host" in members and _CONFIGURATION not in fragments:
        yield "it is in the action group host, but does not have the option config_path"


def problems_of_return(text: str, connects: bool) -> t.Iterator[str]:
    """Yield what is wrong with the documented return values of a module, in words."""
    # In RETURN the word can only be about a value.
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\bnull\b", line, re.IGNORECASE):
            yield f"line {number} of RETURN mentions null, but no returned value is ever null: {line.strip()}"
    values = yaml.safe_load(text) or {}
    for name, parts in _FAILURE.items() if connects else ():
        if name not in values:
            yield f"RETURN does not document {name}, which a failed request returns"
        elif missing := parts - (values[name].get("contains") or {}).keys():
            yield f"RETURN documents {name} without {', '.join(sorted(missing))}"


def problems_of(module: Path, collection: Path, groups: t.Mapping[str, list[str]]) -> t.Iterator[str]:
    """Yield what is wrong with a module, in words."""
    texts = texts_of(module)
    documents = {name: yaml.safe_load(text) for name, text in texts.items()}
    yield from (f"{name} is missing" for name in _DOCUMENTS if not documents.get(name))
    fragments = (documents.get("DOCUMENTATION") or {}).get("extends_documentation_fragment") or []
    yield from problems_of_groups(module.stem, fragments, groups)
    yield from problems_of_return(
        texts.get("RETURN", ""), _CONNECTION in fragments and module.stem not in _WITHOUT_FAILED_REQUESTS
    )
    tasks = documents.get("EXAMPLES") or []
    if not any(f"matrix_ops.synapse.{module.stem}" in task for task in tasks):
        yield "no example uses it by its full name"
    if not (collection / "tests" / "integration" / "targets" / f"module_{module.stem}").is_dir():
        yield "it has no integration target"


def main() -> int:
    """Check every module of the collection and return the exit status."""
    collection = Path(sys.argv[1])
    listed = yaml.safe_load((collection / "meta" / "runtime.yml").read_text())["action_groups"]
    groups = {group: listed.get(group) or [] for group in _GROUPS}
    modules = sorted((collection / "plugins" / "modules").glob("*.py"))
    found = [f"{module.stem}: {problem}" for module in modules for problem in problems_of(module, collection, groups)]
    found += [f"meta/runtime.yml: the action group {group} is missing" for group in _GROUPS if group not in listed]
    found += [
        f"meta/runtime.yml: modules.py does not know the action group {group}"
        for group in sorted(set(listed) - set(_GROUPS))
    ]
    names = {module.stem for module in modules}
    for group, members in groups.items():
        found += [
            f"{name}: in the action group {group}, but there is no such module" for name in sorted(set(members) - names)
        ]
        if members != sorted(set(members)):
            found.append(f"meta/runtime.yml: sort the action group {group}, each module once")
    print("\n".join(found) or f"{len(modules)} modules are complete.")
    return 1 if found or not modules else 0


if __name__ == "__main__":
    sys.exit(main())
