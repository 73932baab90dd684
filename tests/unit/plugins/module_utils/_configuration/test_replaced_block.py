# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.replaced_block import (
    Replacement,
    find_replacements,
)

WHOLE = {"name": "psycopg2", "args": {"user": "synapse", "password": "hush", "cp_max": 10}}


def files(*blocks: t.Any, key: str = "database") -> list[tuple[str, dict[str, t.Any]]]:
    return [(f"/{number}.yaml", {key: block}) for number, block in enumerate(blocks)]


def find_replacement(given: list[tuple[str, dict[t.Any, t.Any]]], key: t.Any) -> Replacement | None:
    found = find_replacements(given, key)
    assert len(found) < 2
    return found[0] if found else None


def test_names_both_files_and_what_is_lost() -> None:
    found = find_replacement(files(WHOLE, {"args": {"cp_max": 30}}), "database")
    assert found is not None
    lost = ("database.name", "database.args.user", "database.args.password")
    assert found == Replacement("database", "/1.yaml", "/0.yaml", lost, "/1.yaml")
    assert found.sentence() == (
        "/1.yaml replaces the whole database block of /0.yaml, so that database.name, database.args.user,"
        " database.args.password of it have no effect. Write the complete block in /1.yaml, or remove database there."
    )
    assert "hush" not in found.sentence()


@pytest.mark.parametrize(
    "blocks",
    [
        (),
        (WHOLE,),
        (WHOLE, WHOLE),
        ({"args": {"cp_max": 10}}, WHOLE),
        ({"name": "sqlite3", "args": {"database": "/a.db"}}, WHOLE),
        ({}, None),
        (None, WHOLE),
        ("text", 7),
        (True, False),
        ([1], [1, 2]),
    ],
    ids=str,
)
def test_nothing_is_lost(blocks: tuple[t.Any, ...]) -> None:
    assert find_replacement(files(*blocks), "database") is None
    assert find_replacement(files(*blocks), "other") is None


@pytest.mark.parametrize("later", [None, {}, "text", [], 0], ids=str)
def test_everything_is_lost(later: t.Any) -> None:
    found = find_replacement(files({"enabled": False}, later, key="presence"), "presence")
    assert found is not None
    assert (found.lost, found.is_empty) == (("presence.enabled",), later is None)
    said = "sets presence to nothing, and thereby replaces the whole" if later is None else "replaces the whole"
    assert f"/1.yaml {said} presence block of /0.yaml, so that presence.enabled of it has no effect" in found.sentence()


def test_a_part_that_becomes_empty_is_lost() -> None:
    found = find_replacement(files(WHOLE, {"name": "psycopg2", "args": None}), "database")
    assert found is not None
    assert found.lost == ("database.args.user", "database.args.password", "database.args.cp_max")


def test_three_files() -> None:
    first, second = find_replacements(files({"a": 1, "b": 1}, {"a": 2, "c": 2}, {"a": 3}, key="x"), "x")
    assert first == Replacement("x", "/1.yaml", "/0.yaml", ("x.b",), "/2.yaml")
    assert second == Replacement("x", "/2.yaml", "/1.yaml", ("x.c",), "/2.yaml")
    assert first.sentence() == (
        "/1.yaml replaces the whole x block of /0.yaml, so that x.b of it has no effect. Write the complete block in"
        " /2.yaml, or remove x from the later files."
    )
    assert second.sentence().endswith("Write the complete block in /2.yaml, or remove x there.")


def test_the_last_file_is_not_to_blame_for_what_another_one_has_removed() -> None:
    before = [{"global_factor": 2, "expire_caches": False}, {"per_cache_factors": {"x": 1}}]
    # As synapse_config with merge writes it.
    merged = {"per_cache_factors": {"x": 1}, "sync_response_cache_duration": "2m"}
    [found] = find_replacements(files(*before, merged, key="caches"), "caches")
    assert (found.later, found.earlier, found.last) == ("/1.yaml", "/0.yaml", "/2.yaml")
    assert found.lost == ("caches.global_factor", "caches.expire_caches")


def test_what_a_later_file_sets_again_is_not_lost() -> None:
    assert find_replacement(files({"a": 1}, {}, {"a": 2}, key="x"), "x") is None
    found = find_replacement(files({"a": 1}, {"a": 2, "c": 2}, {"a": 3}, key="x"), "x")
    assert found is not None
    assert (found.later, found.earlier, found.lost) == ("/2.yaml", "/1.yaml", ("x.c",))


def test_the_same_file_twice() -> None:
    one, two = ("/0.yaml", {"x": {"a": 1}}), ("/1.yaml", {"x": {"b": 1}})
    assert find_replacement([one, one], "x") is None
    assert find_replacement([one, ("//0.yaml", {"x": {"a": 1}})], "x") is None
    found = find_replacement([one, two, one], "x")
    assert found is not None
    # The last time counts.
    assert (found.later, found.earlier, found.lost) == ("/0.yaml", "/1.yaml", ("x.b",))


def test_entries_of_a_list() -> None:
    before = [{"port": 8008, "type": "http"}, {"port": 9000, "type": "metrics"}, {"tls": True}]
    found = find_replacement(files(before, [{"port": 8008, "tls": True}], key="listeners"), "listeners")
    assert found is not None
    assert found.lost == ("the entry with the port 9000", "an entry without a name")
    found = find_replacement(files(["/a.yaml", "/b.yaml"], ["/b.yaml"], key="x"), "x")
    assert found is not None
    assert found.lost == ("/a.yaml",)
    assert found.sentence() == (
        "/1.yaml replaces the whole list x of /0.yaml, so that /a.yaml of it has no effect. Add to x in /1.yaml what is"
        " still needed of it."
    )
    found = find_replacement(files(["hush"], [], key="some_secrets"), "some_secrets")
    assert found is not None
    assert "hush" not in found.sentence()


def test_many_are_counted() -> None:
    found = find_replacement(files({str(number): 1 for number in range(8)}, {"0": 1}, key="x"), "x")
    assert found is not None
    assert "x.1, x.2, x.3, x.4, x.5 and 2 more of it" in found.sentence()


def test_keys_that_are_no_text() -> None:
    assert find_replacement(files({1: {True: 2}}, {1: {True: 3}}, key="x"), "x") is None
    key: t.Any
    for key in (8008, True, None):
        found = find_replacement([("/0.yaml", {key: {"a": 1}}), ("/1.yaml", {key: {"b": 1}})], key)
        assert found is not None
        assert (found.key, found.lost) == (str(key), (f"{key}.a",))
        found = find_replacement([("/0.yaml", {key: ["/a.yaml"]}), ("/1.yaml", {key: []})], key)
        assert found is not None
        assert found.lost == ("/a.yaml",)
