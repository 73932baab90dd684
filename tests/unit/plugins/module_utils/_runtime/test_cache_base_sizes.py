# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.cache_base_sizes import (
    BaseSizes,
    read_base_sizes,
)

# The part of Synapse that the script reads, with every way to create a cache.
DESCRIPTORS = """
def cached(*, num_args: int | None = None, max_entries: int = 1000, name: str | None = None):
    return LruCache(cache_name="not a cache", max_size=1)
"""
HOMESERVER = """
import a_package_that_is_not_there

class Store:
    @cached()
    async def plain(self): ...

    @cached(max_entries=5, tree=True)
    def same(self): ...

    @descriptors.cached(num_args=1, max_entries=6)
    async def qualified(self): ...

    @cached(name="renamed", max_entries=4)
    def original(self): ...

    @cached(max_entries=1)
    def other(self): ...

    @cached(max_entries=LIMIT)
    def by_name(self): ...

    @cachedList(cached_method_name="plain", list_name="x")
    def a_list(self): ...

class Second:
    @cached(max_entries=5)
    def same(self): ...

    @cached(max_entries=2)
    def other(self): ...

def start(hs):
    hs.a = LruCache(cache_name="lru", max_size=7)
    hs.b = LruCache[str, int](cache_name="generic", max_size=8)
    hs.c = caches.DictionaryCache(name="*dictionary*", max_entries=9)
    hs.d = AsyncLruCache(cache_name="*getEvent*", max_size=hs.config.caches.event_cache_size)
    hs.e = LruCache(cache_name="computed", max_size=3 * hs.n)
    hs.f = LruCache(cache_name="setting", max_size=hs.config.other)
    hs.g = LruCache(cache_name=hs.name, max_size=1)
    hs.h = LruCache(max_size=1)
    hs.i = LruCache(cache_name="unscaled", max_size=1, apply_cache_factor_from_config=False)
    hs.j = Elsewhere(cache_name="elsewhere", max_size=1)
"""


@pytest.fixture
def synapse(tmp_path: pathlib.Path) -> t.Callable[[t.Sequence[str], float], Completed]:
    """Return a `run` with which Python finds a package that looks like Synapse."""
    package = tmp_path / "synapse"
    for name, text in {
        "app/homeserver.py": HOMESERVER,
        "__init__.py": "",
        "broken.txt": "LruCache(",
        "util/caches/descriptors.py": DESCRIPTORS,
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)

    def run(arguments: t.Sequence[str], timeout: float) -> Completed:
        assert list(arguments[:4]) == ["the-python", "-I", "-B", "-c"]
        script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{arguments[4]}"
        return run_command([sys.executable, *arguments[1:4], script], timeout)

    return run


def test_the_sizes_are_in_the_code(synapse: t.Callable[[t.Sequence[str], float], Completed]) -> None:
    assert read_base_sizes("the-python", 60, synapse) == BaseSizes(
        {
            "plain": 1000,
            "same": 5,
            "qualified": 6,
            "renamed": 4,
            "lru": 7,
            "generic": 8,
            "*dictionary*": 9,
            "*getEvent*": "event_cache_size",
        }
    )


def test_the_size_of_the_cache_of_events_is_a_setting() -> None:
    bases = BaseSizes({"*getEvent*": "event_cache_size", "plain": 1000})
    assert (bases.of("*getEvent*", 77), bases.of("plain", 77), bases.of("unknown", 77)) == (77, 1000, None)


def test_a_python_without_synapse() -> None:
    with pytest.raises(
        SynapseError, match="cannot read the base sizes of the caches: the package synapse is not installed for it"
    ):
        read_base_sizes(sys.executable, 60)


@pytest.mark.parametrize("output", ["", "no JSON", "[1]", json.dumps({"a": 5})])
def test_an_output_of_another_format(output: str) -> None:
    with pytest.raises(SynapseError, match="the-python cannot read the base sizes of the caches: "):
        read_base_sizes("the-python", 1, lambda *_: Completed(0, output, ""))


def test_a_failure_without_output() -> None:
    with pytest.raises(SynapseError, match="the-python cannot read the base sizes of the caches: it printed nothing"):
        read_base_sizes("the-python", 1, lambda *_: Completed(1, "", "\n"))


def test_run_command(tmp_path: pathlib.Path) -> None:
    done = run_command([sys.executable, "-c", "import sys; print('é'); sys.exit('broken')"], 60)
    assert (done.status, done.output, done.errors) == (1, "é\n", "broken\n")
    with pytest.raises(SynapseError, match="nowhere cannot be run: No such file or directory"):
        run_command([str(tmp_path / "nowhere")], 1)
    with pytest.raises(SynapseError, match=r"did not end within 0\.2 seconds"):
        run_command([sys.executable, "-c", "import time; time.sleep(60)"], 0.2)
