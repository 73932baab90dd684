# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that the documentation uses names that exist: documentation.py COLLECTION

- Every example in YAML, in plugins, in README files and in guides, uses options and choices that the modules have.
- Every variable of a role or a playbook that a README file or a guide names is one that the role or the playbook has.
- The README lists every module, filter, role and playbook, its links are absolute, and what they link to exists.
"""

from __future__ import annotations

import re
import sys
import textwrap
import typing as t
from pathlib import Path

import yaml

_PREFIX = "matrix_ops.synapse."
_REPOSITORY = "https://github.com/matrix-ops/ansible-collection-synapse/"
# The blocks with YAML of a README file, of a guide, and of a module or a filter.
_BLOCKS = {
    ".md": re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL),
    ".rst": re.compile(r"^\.\. code-block:: yaml\+jinja\n((?:\s*\n| +.*\n)*)", re.MULTILINE),
    ".py": re.compile(r'^EXAMPLES = r"""\n(.*?)^"""', re.MULTILINE | re.DOTALL),
}
Json = t.Any
Options = t.Mapping[str, t.Mapping[str, Json]]


def fragments_in(collection: Path) -> dict[str, Options]:
    """Return the options of each documentation fragment, by the name that modules use for it."""
    found: dict[str, Options] = {}
    for path in sorted((collection / "plugins" / "doc_fragments").glob("*.py")):
        for section, text in re.findall(
            r'^    ([A-Z_]+) = r"""\n(.*?)^"""', path.read_text(), re.MULTILINE | re.DOTALL
        ):
            name = path.stem if section == "DOCUMENTATION" else f"{path.stem}.{section.lower()}"
            found[f"{_PREFIX}{name}"] = (yaml.safe_load(text) or {}).get("options") or {}
    return found


def modules_in(collection: Path) -> dict[str, Options]:
    """Return the options of each module, with those of its fragments."""
    fragments = fragments_in(collection)
    found: dict[str, Options] = {}
    for path in sorted((collection / "plugins" / "modules").glob("*.py")):
        match = re.search(r'^DOCUMENTATION = r"""\n(.*?)^"""', path.read_text(), re.MULTILINE | re.DOTALL)
        documentation = yaml.safe_load(match.group(1)) if match else {}
        options = dict(documentation.get("options") or {})
        for name in documentation.get("extends_documentation_fragment") or []:
            options = {**fragments.get(name, {}), **options}
        found[path.stem] = options
    return found


def problems_of_values(values: Json, options: Options, where: str) -> t.Iterator[str]:
    """Yield which of the values are for options or choices that do not exist."""
    names = {alias: name for name, option in options.items() for alias in [name, *option.get("aliases", [])]}
    for given, value in values.items() if isinstance(values, dict) else ():
        option = options.get(names.get(given, ""))
        if option is None:
            yield f"{where} has no option {given}"
            continue
        for entry in value if isinstance(value, list) else [value]:
            choices = [str(choice) for choice in option.get("choices") or []]
            if choices and isinstance(entry, str) and "{{" not in entry and entry not in choices:
                yield f"{where}: {entry} is not a choice of {given}"
            if option.get("suboptions"):
                yield from problems_of_values(entry, option["suboptions"], f"{where}: {given}")


def returned_in(collection: Path) -> set[str]:
    """Return the names of the values that modules and filters return. One can begin like variables of a playbook."""
    plugins = [*collection.glob("plugins/modules/*.py"), *collection.glob("plugins/filter/*.py")]
    texts = [re.search(r'^RETURN = r"""\n(.*?)^"""', path.read_text(), re.MULTILINE | re.DOTALL) for path in plugins]
    return {name for text in texts if text for name in re.findall(r"^ *(\w+):", text.group(1), re.MULTILINE)}


def tasks_in(data: Json) -> t.Iterator[tuple[str, Json]]:
    """Yield the modules of this collection that are used somewhere in an example, each with its values."""
    if isinstance(data, list):
        for entry in data:
            yield from tasks_in(entry)
    elif isinstance(data, dict):
        for key, value in data.items():
            if isinstance(key, str) and key.startswith(f"{_PREFIX}synapse_"):
                yield key.removeprefix(_PREFIX), value
            else:
                yield from tasks_in(value)


def problems_of_examples(path: Path, modules: t.Mapping[str, Options]) -> t.Iterator[str]:
    """Yield what is wrong with the examples of a file."""
    for block in _BLOCKS[path.suffix].findall(path.read_text()):
        try:
            data = yaml.safe_load(textwrap.dedent(block))
        except yaml.YAMLError as error:
            yield f"an example is not YAML: {error}"
            continue
        for name, values in tasks_in(data):
            if name not in modules:
                yield f"there is no module {name}"
            else:
                yield from problems_of_values(values, modules[name], name)


def variables_in(collection: Path) -> dict[str, set[str]]:
    """Return the variables of each role and of each playbook, by its name."""
    found = {}
    for path in sorted((collection / "roles").glob("*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text())["argument_specs"]
        options = {name for spec in specs.values() for name in spec.get("options") or {}}
        # A fact that the tasks of the role set is for others too.
        tasks = "".join(file.read_text() for file in path.parents[1].glob("tasks/*.yml"))
        found[path.parents[1].name] = options | set(
            re.findall(rf"^ +({path.parents[1].name}_\w+):", tasks, re.MULTILINE)
        )
    for path in sorted((collection / "playbooks").glob("*.yml")):
        texts = [path, *sorted((collection / "playbooks" / "tasks" / path.stem).glob("*.yml"))]
        found[path.stem] = set(re.findall(rf"\b{path.stem}_\w+", "".join(file.read_text() for file in texts)))
    return found


def problems_of_variables(
    text: str, variables: t.Mapping[str, t.Collection[str]], others: t.Collection[str]
) -> t.Iterator[str]:
    """Yield which variables a text names that do not exist. `others`: names that are not those of variables."""
    for owner, names in variables.items():
        for name in sorted(set(re.findall(rf"(?<![\w.]){owner}_\w+", text)) - {*names, *others}):
            yield f"{owner} has no variable {name}"


def problems_of_readme(collection: Path) -> t.Iterator[str]:
    """Yield what the README does not list, and which of its links are not absolute or lead nowhere."""
    text = (collection / "README.md").read_text()
    for pattern in ("plugins/modules/*.py", "plugins/filter/*.py", "roles/*", "playbooks/*.yml"):
        names = {path.stem for path in collection.glob(pattern)}
        yield from (
            f"it does not list {name}" for name in sorted(names) if not re.search(rf"^\| \[?`{name}`", text, re.M)
        )
    for link in re.findall(r"\]\(([^)]+)\)", text):
        place = link.removeprefix(f"{_REPOSITORY}blob/main/")
        if not link.startswith("https://"):
            yield f"the link {link} is not absolute"
        elif place != link and not (collection / place).exists():
            yield f"the link {link} leads to a file that does not exist"


def main() -> int:
    """Check the documentation of the collection and return the exit status."""
    collection = Path(sys.argv[1])
    modules, variables = modules_in(collection), variables_in(collection)
    pages = [
        collection / "README.md",
        *collection.glob("roles/*/README.md"),
        *collection.glob("docs/docsite/rst/*.rst"),
    ]
    others = {*modules, *returned_in(collection)}
    found = [("README.md", problem) for problem in problems_of_readme(collection)]
    plugins = [*collection.glob("plugins/modules/*.py"), *collection.glob("plugins/filter/*.py")]
    for path in sorted([*pages, *plugins]):
        place = str(path.relative_to(collection))
        found += [(place, problem) for problem in problems_of_examples(path, modules)]
        if path in pages:
            found += [(place, problem) for problem in problems_of_variables(path.read_text(), variables, others)]
    print("\n".join(f"{place}: {problem}" for place, problem in found) or f"{len(pages)} pages name what exists.")
    return 1 if found or not modules else 0


if __name__ == "__main__":
    sys.exit(main())
