# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The sizes that Synapse's code gives its caches before a factor is applied.

They are only in the code, so the Python that runs Synapse reads it (Synapse 1.163): the decorator `cached`
(synapse/util/caches/descriptors.py) has those of methods, the call that creates a cache has those of other caches.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

EVENT_CACHE_SIZE = "event_cache_size"

# Runs in Synapse's own Python, imports nothing of Synapse, and prints {"name of a cache": [each of its base sizes]}.
_SCRIPT = r"""
import ast, collections, importlib.util, json, os, sys

CONSTRUCTORS = {"LruCache", "AsyncLruCache", "DeferredCache", "DictionaryCache"}
WORDS = ["@cached(", *(name + following for name in CONSTRUCTORS for following in "([")]
sizes = collections.defaultdict(list)


def called(call):
    function = call.func.value if isinstance(call.func, ast.Subscript) else call.func
    return getattr(function, "id", getattr(function, "attr", None))


def value(node):
    return node.value if isinstance(node, ast.Constant) else getattr(node, "attr", None)


def note(name, size):
    if isinstance(name, ast.Constant) and size not in sizes[name.value]:
        sizes[name.value].append(size)


def read(node, default):
    if isinstance(node, ast.Call) and called(node) in CONSTRUCTORS:
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if "apply_cache_factor_from_config" not in given:
            size = given.get("max_size", given.get("max_entries"))
            note(given.get("cache_name", given.get("name")), value(size))
    for decorator in getattr(node, "decorator_list", []):
        if isinstance(decorator, ast.Call) and called(decorator) == "cached":
            given = {keyword.arg: keyword.value for keyword in decorator.keywords}
            size = value(given["max_entries"]) if "max_entries" in given else default
            note(given.get("name", ast.Constant(node.name)), size)


def parse(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return ast.parse(text) if any(word in text for word in WORDS) else None


def default_size(path):
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef) and node.name == "cached":
            names = [argument.arg for argument in node.args.kwonlyargs]
            return value(node.args.kw_defaults[names.index("max_entries")])


package = importlib.util.find_spec("synapse")
if package is None:
    sys.exit("the package synapse is not installed for it")
root = os.path.dirname(package.origin)
caches = os.path.join(root, "util", "caches")
default = default_size(os.path.join(caches, "descriptors.py"))
for directory, _, names in os.walk(root):
    # This directory defines the classes of the caches, the others create the caches.
    for name in names if directory != caches else ():
        tree = parse(os.path.join(directory, name)) if name.endswith(".py") else None
        for node in ast.walk(tree) if tree else ():
            read(node, default)
print(json.dumps(sizes))
"""

Run = t.Callable[[t.Sequence[str], float], Completed]


@dataclasses.dataclass(frozen=True)
class BaseSizes:
    """The base size of each cache. EVENT_CACHE_SIZE stands for that of the cache of events, which is a setting."""

    sizes: dict[str, int | str]

    def of(self, cache: str, event_cache_size: int) -> int | None:
        """Return the base size of `cache`, or None if it is unknown or the cache is not scaled."""
        size = self.sizes.get(cache)
        return event_cache_size if size == EVENT_CACHE_SIZE else t.cast("int | None", size)


def read_base_sizes(synapse_python: str, timeout: float, run: Run = run_command) -> BaseSizes:
    """Read them with `synapse_python`, the Python that runs Synapse. Raises SynapseError if it cannot."""
    # -I ignores the modules of the working directory and of PYTHONPATH, -B writes no files next to Synapse's code.
    done = run([synapse_python, "-I", "-B", "-c", _SCRIPT], timeout)
    if done.status != 0:
        raise _unreadable(synapse_python, (done.errors.strip().splitlines() or ["it printed nothing"])[-1])
    try:
        found: dict[str, list[t.Any]] = json.loads(done.output.splitlines()[-1])
        # Several caches can have the same name. If their sizes differ, it is unknown which one the metrics show.
        return BaseSizes({name: sizes[0] for name, sizes in found.items() if len(sizes) == 1 and _is_size(sizes[0])})
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(synapse_python, "its output has another format") from error


def _unreadable(synapse_python: str, reason: str) -> SynapseError:
    return SynapseError(f"{synapse_python} cannot read the base sizes of the caches: {reason}.")


def _is_size(size: t.Any) -> bool:
    return size == EVENT_CACHE_SIZE or (isinstance(size, int) and not isinstance(size, bool))
