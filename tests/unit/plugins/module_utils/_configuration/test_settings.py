# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    changed_paths,
    dotted,
    leaves,
    masked,
    overlay,
    plain,
    same,
    secret_values,
)


class Text(str):
    """A string of another type, as a caller may pass it."""


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        (None, None, True),
        (None, False, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([1], [1.0], False),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1}}, {"a": {"b": True}}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
    ],
)
def test_same_compares_the_types_too(one: t.Any, other: t.Any, expected: bool) -> None:
    for left, right in ((one, other), (other, one)):
        assert same(left, right) is expected


def test_overlay_puts_mappings_together_at_every_depth() -> None:
    lower = {"a": {"b": {"c": 1, "d": 2}, "e": [1]}, "f": 1}
    assert overlay(lower, {"a": {"b": {"c": 9}, "e": [2]}}) == {"a": {"b": {"c": 9, "d": 2}, "e": [2]}, "f": 1}
    assert lower == {"a": {"b": {"c": 1, "d": 2}, "e": [1]}, "f": 1}


@pytest.mark.parametrize("lower", [None, 1, "text", [1]])
def test_overlay_replaces_what_is_no_mapping(lower: t.Any) -> None:
    assert overlay(lower, {"a": 1}) == {"a": 1}
    assert overlay({"a": {"b": 1}}, {"a": lower}) == {"a": lower}


def test_plain_leaves_only_the_types_of_yaml_and_shares_nothing() -> None:
    inner = [Text("x")]
    made = plain({Text("a"): inner, "b": (1, True), "c": None, "d": 2.5, "e": inner})
    assert same(made, {"a": ["x"], "b": [1, True], "c": None, "d": 2.5, "e": ["x"]})
    assert made["a"] is not made["e"]


def test_leaves_stop_at_lists_and_empty_mappings() -> None:
    assert leaves({"a": {"b": 1, "c": {}}, "d": [{"e": 1}], "f": {}}) == {
        ("a", "b"): 1,
        ("a", "c"): {},
        ("d",): [{"e": 1}],
        ("f",): {},
    }
    assert leaves({}) == {}


def test_changed_paths_name_what_comes_goes_and_changes() -> None:
    before = {"caches": {"global_factor": 1, "per_cache_factors": {"x": 1}}, "presence": {"enabled": True}, "z": 1}
    after = {"caches": {"global_factor": 1.0, "per_cache_factors": {"y": 1}}, "presence": {"enabled": True}}
    assert dotted(changed_paths(before, after)) == [
        "caches.global_factor",
        "caches.per_cache_factors.x",
        "caches.per_cache_factors.y",
        "z",
    ]
    assert changed_paths(before, before) == set()


@pytest.mark.parametrize(
    "settings",
    [
        {"registration_shared_secret": "hush"},
        {"macaroon_secret_key": "hush"},
        {"form_secret": "hush"},
        {"worker_replication_secret": "hush"},
        {"recaptcha_private_key": "hush"},
        {"turn_shared_secret": "hush"},
        {"password_config": {"pepper": "hush"}},
        {"email": {"smtp_pass": "hush"}},
        {"database": {"args": {"password": "hush"}}},
        {"redis": {"password": "hush"}},
        {"sentry": {"dsn": "hush"}},
        {"oidc_providers": [{"idp_id": "x", "client_secret": "hush"}]},
        {"as_tokens": ["hush"]},
        {"as_tokens": [["hush"], {"x": {"password": "hush"}}]},
        {"password_providers": {"pairs_of_secrets": [("x", "hush")]}},
        {"http_proxy": "http://user:hush@proxy.example.org:8080"},
    ],
)
def test_masked_hides_what_is_called_like_a_secret(settings: dict[str, t.Any]) -> None:
    assert "hush" not in str(masked(settings))
    assert "(hidden)" in str(masked(settings))


@pytest.mark.parametrize(
    "value",
    [1234567, 0, -1, 12.5, datetime.date(2020, 1, 1), b"hush", {"!!set"}, [42], [[42, 1.5]], {"x7!hush": None}],
    ids=str,
)
def test_masked_hides_secrets_that_are_no_texts(value: t.Any) -> None:
    shown = masked({"email": {"smtp_pass": value}, "database": {"args": {"password": value}}})
    hidden = [["(hidden)"] * 2] if value == [[42, 1.5]] else ["(hidden)"] if value == [42] else "(hidden)"
    assert shown == {"email": {"smtp_pass": hidden}, "database": {"args": {"password": hidden}}}


def test_masked_makes_the_keys_text() -> None:
    shown = masked({"x": {datetime.date(2020, 1, 1): 5, 1: {None: 2}}})
    assert shown == {"x": {"2020-01-01": 5, "1": {"None": 2}}}


@pytest.mark.parametrize(
    "settings",
    [
        {"password": None, "x_secret": True, "z_secret": {}, "tokens": [None, False]},
        {"signing_key_path": "/etc/matrix-synapse/key"},
        {"registration_shared_secret_path": "/run/secret"},
        {"registration_requires_token": True},
        {"password_config": {"enabled": True}},
        {"caches": {"per_cache_factors": {"get_user_by_access_token": 2.0}}},
        {"key_refresh_interval": "1d"},
        {"public_baseurl": "https://matrix.example.org:8448/"},
        {"trusted_key_servers": [{"server_name": "matrix.org"}]},
        {"session_lifetime": "24h", "bypass": "x"},
    ],
)
def test_masked_shows_what_is_none(settings: dict[str, t.Any]) -> None:
    assert masked(settings) == settings


def test_masked_hides_declared_secrets_of_any_type_and_marks_new_ones() -> None:
    settings = {"a": {"b": 5, "c": [1, {"d": 2}]}, "e": {"f": {"g": 1}}, "shown": 1}
    assert masked(settings, {("a", "b"), ("a", "c"), ("e",)}, {("a", "c"), ("e", "f", "g"), ("shown",)}) == {
        "a": {"b": "(hidden)", "c": "(hidden, new)"},
        "e": "(hidden, new)",
        "shown": 1,
    }
    assert masked({"x_secret": "a", "y_secret": "b"}, new={("y_secret",)}) == {
        "x_secret": "(hidden)",
        "y_secret": "(hidden, new)",
    }


def test_secret_values_are_those_that_are_hidden() -> None:
    settings = {
        "database": {"args": {"password": "hush-1", "user": "synapse"}},
        "proxy": "http://me:hush-2@proxy",
        "pepper": 123456,
        "declared": {"inside": "hush-3"},
        "registration_shared_secret": "abc",
    }
    found = secret_values(settings, {("declared", "inside")})
    # A secret of three letters would turn other words of a text into nonsense.
    assert found == {"hush-1", "http://me:hush-2@proxy", "hush-2", "123456", "hush-3"}


def test_secret_values_are_also_in_lists() -> None:
    settings = {
        "oidc_providers": [{"idp_id": "provider", "client_secret": "hush-1"}, {"client_secret": 8675309867}],
        "as_tokens": ["hush-2", ["hush-3"], True],
        "x_secret": (b"hush-4", {"hush-5"}),
        "declared": [{"inside": "hush-6", "enabled": True}],
    }
    found = secret_values(settings, {("declared",)})
    assert found == {*(f"hush-{number}" for number in range(1, 7)), "8675309867"}


def test_secret_values_are_also_what_yaml_does_not_take_for_text() -> None:
    settings = {
        "manhole_settings": {"password": datetime.date(2020, 5, 17)},
        "client_secret": {"x7!hush": None, "y": "abcd"},
    }
    assert secret_values(settings) == {"2020-05-17", "datetime.date(2020, 5, 17)", "x7!hush", "abcd"}
