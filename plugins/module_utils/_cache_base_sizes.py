# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The sizes that Synapse's own code gives its caches before any factor is applied.

They stand in the code alone, so the Python that runs Synapse is asked (Synapse 1.163): decorated methods hold theirs in
the decorator (synapse/util/caches/descriptors.py), the other caches are made by a call with the size as a number.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError

EVENT_CACHE_SIZE = "event_cache_size"

# Runs in Synapse's own Python, and prints {"name of the cache": [every base size found under this name]}.
_SCRIPT = r"""
import ast, collections, json, sys
import synapse.app.generic_worker, synapse.app.homeserver
from synapse.util.caches.descriptors import DeferredCacheDescriptor

CONSTRUCTORS = {"LruCache", "AsyncLruCache", "DeferredCache", "DictionaryCache"}
sizes = collections.defaultdict(set)


def constructed(module):
    with open(module.__file__, encoding="utf-8") as file:
        text = file.read()
    if not any(name + "(" in text or name + "[" in text for name in CONSTRUCTORS):
        return
    for call in ast.walk(ast.parse(text)):
        if not isinstance(call, ast.Call):
            continue
        function = call.func.value if isinstance(call.func, ast.Subscript) else call.func
        if getattr(function, "id", getattr(function, "attr", None)) not in CONSTRUCTORS:
            continue
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        name = given.get("cache_name", given.get("name"))
        size = given.get("max_size", given.get("max_entries"))
        if not isinstance(name, ast.Constant) or size is None or "apply_cache_factor_from_config" in given:
            continue
        sizes[name.value].add(size.value if isinstance(size, ast.Constant) else getattr(size, "attr", None))


for module in [module for name, module in sys.modules.items() if name.startswith("synapse.")]:
    if (getattr(module, "__file__", None) or "").endswith(".py"):
        constructed(module)
    for owner in vars(module).values():
        if isinstance(owner, type):
            for attribute in vars(owner).values():
                if isinstance(attribute, DeferredCacheDescriptor):
                    sizes[attribute.name].add(attribute.max_entries)
print(json.dumps({name: list(found) for name, found in sizes.items()}))
"""


Run = t.Callable[[t.Sequence[str], float], Completed]


@dataclasses.dataclass(frozen=True)
class BaseSizes:
    """The base size of each cache. That of the cache of events is a setting, and stands as EVENT_CACHE_SIZE."""

    sizes: dict[str, int | str]

    def of(self, cache: str, event_cache_size: int) -> int | None:
        """Return the base size of `cache`, or None if it is not known or the cache is not scaled."""
        size = self.sizes.get(cache)
        return event_cache_size if size == EVENT_CACHE_SIZE else t.cast("int | None", size)


def read_base_sizes(synapse_python: str, timeout: float, run: Run = run_command) -> BaseSizes:
    """Ask `synapse_python`, the Python that runs Synapse. Raises SynapseError if it cannot tell."""
    # -I keeps out the modules of the working directory and of PYTHONPATH, -B leaves no files beside Synapse's code.
    done = run([synapse_python, "-I", "-B", "-c", _SCRIPT], timeout)
    if done.status != 0:
        raise _cannot_tell(synapse_python, (done.errors.strip().splitlines() or ["it says nothing"])[-1])
    try:
        found: dict[str, list[t.Any]] = json.loads(done.output.splitlines()[-1])
        # Under one name there may be several caches; where they differ, nobody knows whose size the metrics show.
        return BaseSizes({name: sizes[0] for name, sizes in found.items() if len(sizes) == 1 and _is_size(sizes[0])})
    except (IndexError, ValueError, TypeError, AttributeError) as error:
        raise _cannot_tell(synapse_python, "it answers something else") from error


def _cannot_tell(synapse_python: str, reason: str) -> SynapseError:
    return SynapseError(f"{synapse_python} cannot tell the base sizes of the caches: {reason}.")


def _is_size(size: t.Any) -> bool:
    return size == EVENT_CACHE_SIZE or (isinstance(size, int) and not isinstance(size, bool))
