# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.findings import (
    IGNORED,
    MISREAD,
    REFUSED,
    REPEATED,
    REPLACED,
    SECRET,
    UNKNOWN,
    Fault,
    find_faults,
    find_ignored_files,
    find_replacements,
    without_repetition,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.known_keys import nearest_key


def configured(*settings: dict[str, t.Any]) -> Configuration:
    return Configuration(tuple(ConfigurationFile(f"/{number}.yaml", each) for number, each in enumerate(settings)))


def faults(*settings: dict[str, t.Any]) -> list[Fault]:
    return find_faults(configured(*settings))


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        (
            {"max_upload_size": "lots"},
            REFUSED,
            'max_upload_size in /0.yaml is the text "lots", and Synapse does not start with it: write a number of'
            " bytes, or a number with K, M, G or T directly behind it, such as 50M.",
        ),
        (
            {"rc_login": None},
            REFUSED,
            "rc_login in /0.yaml is empty, and Synapse does not start with it: write a mapping, or remove it.",
        ),
        (
            {"caches": {"global_factor": "3"}},
            REFUSED,
            'caches.global_factor in /0.yaml is the text "3", and Synapse does not start with it: write a number,'
            " without quotes.",
        ),
        (
            {"caches": {"cache_autotuning": {"min_cache_ttl": "5m"}}},
            REFUSED,
            "caches.cache_autotuning in /0.yaml lacks max_cache_memory_usage and target_cache_memory_usage, and Synapse"
            " does not start unless all three are set: max_cache_memory_usage, target_cache_memory_usage,"
            " min_cache_ttl.",
        ),
        (
            {"presence": {"enabled": "false"}},
            MISREAD,
            'presence.enabled in /0.yaml is the text "false", which Synapse takes for true: write false without'
            " quotes.",
        ),
        (
            {"enable_search": None},
            MISREAD,
            "enable_search in /0.yaml is empty, which Synapse takes for false, although the default is true: write"
            " true or false, or remove it.",
        ),
        (
            {"rc_login": {"address": {"per_second": "5"}}},
            MISREAD,
            'rc_login.address.per_second in /0.yaml is the text "5", and Synapse starts with it, but fails when it uses'
            " it: write a number, without quotes, or remove it.",
        ),
        (
            {"federation_domain_whitelist": "example.org"},
            MISREAD,
            'federation_domain_whitelist in /0.yaml is the text "example.org", and Synapse takes each of its characters'
            " for an entry: write a list.",
        ),
        (
            {"database": {"args": {"cp_max": 30}}},
            MISREAD,
            "database in /0.yaml has no name, without which Synapse does not start: write psycopg2 for PostgreSQL, or"
            " sqlite3 for SQLite.",
        ),
        (
            {"listeners": [{"type": "http", "port": 8008}, {"type": "http", "port": "8008"}]},
            REFUSED,
            'listeners.1 in /0.yaml has port as the text "8008", and Synapse does not start with it: write a port as a'
            " whole number, without quotes.",
        ),
        (
            {"form_secret": 123456789},
            SECRET,
            "form_secret in /0.yaml is a number for YAML, not text, so Synapse does not start with it. Put it in quotes"
            " there, exactly as it is meant, and restart Synapse.",
        ),
        (
            {"media_store_providers": []},
            UNKNOWN,
            "media_store_providers in /0.yaml is not a setting of Synapse 1.163, which ignores it: is"
            " media_storage_providers meant?",
        ),
        (
            {"of_a_module": {}},
            UNKNOWN,
            "of_a_module in /0.yaml is not a setting of Synapse 1.163, which ignores it: check it, unless a module or"
            " another program reads it.",
        ),
        (
            # Many blocks have such a key.
            {"policy": {}},
            UNKNOWN,
            "policy in /0.yaml is not a setting of Synapse 1.163, which ignores it: check it, unless a module or"
            " another program reads it.",
        ),
        (
            {"acme": {}},
            UNKNOWN,
            "acme in /0.yaml is a setting of earlier versions of Synapse, which ignores it now: get certificates with"
            " another program, and set tls_certificate_path.",
        ),
        (
            {"caches": {"global_facter": 2}},
            UNKNOWN,
            "caches.global_facter in /0.yaml is not a setting of Synapse 1.163, which ignores it: is global_factor"
            " meant?",
        ),
        (
            {"caches": {"global_factor": "1e1"}},
            REFUSED,
            'caches.global_factor in /0.yaml is the text "1e1", and Synapse does not start with it: write 10.',
        ),
        (
            {"rc_message": {"per_second": "1e-3"}},
            MISREAD,
            'rc_message.per_second in /0.yaml is the text "1e-3", and Synapse starts with it, but fails when it uses'
            " it: write 0.001 or remove it.",
        ),
        (
            {"max_upload_size": "5e7"},
            REFUSED,
            'max_upload_size in /0.yaml is the text "5e7", and Synapse does not start with it: write 50000000.',
        ),
        (
            {"max_upload_size": "1.5e0"},
            REFUSED,
            'max_upload_size in /0.yaml is the text "1.5e0", and Synapse does not start with it: write a number of'
            " bytes, or a number with K, M, G or T directly behind it, such as 50M.",
        ),
        (
            {"caches": {"per_cache_factors": {1: 2}}},
            REFUSED,
            "caches.per_cache_factors in /0.yaml has the key 1, which is not text for YAML, and Synapse does not start"
            " with it: put the key in quotes.",
        ),
        (
            {"rc_federation": {"per_second": 1}},
            REFUSED,
            "rc_federation.per_second in /0.yaml is not one of window_size, sleep_limit, sleep_delay, reject_limit,"
            " concurrent, and Synapse does not start with it: use these instead, or remove it.",
        ),
        (
            {"max_upload_size ": "50M"},
            UNKNOWN,
            '"max_upload_size " in /0.yaml is not a setting of Synapse 1.163, which ignores it: is max_upload_size'
            " meant?",
        ),
        (
            {"caches.global_factor": 2},
            UNKNOWN,
            "caches.global_factor in /0.yaml is not a setting of Synapse 1.163, which ignores it: is caches:"
            " {global_factor: ...} meant?",
        ),
        (
            {"expire_caches": False},
            UNKNOWN,
            "expire_caches in /0.yaml is not a setting of Synapse 1.163, which ignores it: is caches:"
            " {expire_caches: ...} meant?",
        ),
        (
            {"rc_login": {"per_second": 1}},
            UNKNOWN,
            "rc_login.per_second in /0.yaml is not a setting of Synapse 1.163, which ignores it: is rc_login:"
            " {account: {per_second: ...}} meant?",
        ),
        (
            {"caches": {"max_upload_size": "50M"}},
            UNKNOWN,
            "caches.max_upload_size in /0.yaml is not a setting of Synapse 1.163, which ignores it: is the top-level"
            " key max_upload_size meant?",
        ),
        (
            {"database": {"name": "psycopg2", "user": "synapse", "args": {"cp_max": 10}}},
            UNKNOWN,
            "database.user in /0.yaml is not a setting of Synapse 1.163, which ignores it: is database: {args:"
            " {user: ...}} meant?",
        ),
        (
            {"databases": {"main": {"name": "psycopg2", "arg": {}}}},
            UNKNOWN,
            "databases.main.arg in /0.yaml is not a setting of Synapse 1.163, which ignores it: is args meant?",
        ),
        (
            {"listeners": [{"type": "http", "path": "/a.sock", "mode": "660"}]},
            MISREAD,
            'listeners.0 in /0.yaml has mode as the text "660", and Synapse ends when it starts: write its octal digits'
            " with a 0 before them and without quotes, such as 0660.",
        ),
        (
            {"listeners": [{"type": "http", "path": "/a.sock", "mode": 660}]},
            MISREAD,
            "listeners.0 in /0.yaml has mode as the number 660, which is 1224 in octal digits: write its octal digits"
            " with a 0 before them and without quotes, such as 0660.",
        ),
        (
            {"worker_listeners": [{"type": "http", "port": True}]},
            MISREAD,
            "worker_listeners.0 in /0.yaml has port as true, which Synapse takes for the port 1: write a port as a"
            " whole number.",
        ),
        (
            {"listeners": [{"type": "http", "port": 70000}]},
            MISREAD,
            "listeners.0 in /0.yaml has port as the number 70000, and Synapse ends when it starts: write a port from 1"
            " to 65535.",
        ),
        (
            {"metrics_port": -1},
            MISREAD,
            "metrics_port in /0.yaml is the number -1, and Synapse ends when it starts: write a port from 1 to 65535.",
        ),
        (
            {"listeners": [{"type": "http", "port": 8448, "tls": "false"}]},
            REFUSED,
            'listeners.0 in /0.yaml has tls as the text "false", which Synapse takes for true: write false without'
            " quotes.",
        ),
        (
            {
                "listeners": [{"type": "http", "port": 8448, "tls": "false"}],
                "tls_certificate_path": "/a",
                "tls_private_key_path": "/b",
            },
            MISREAD,
            'listeners.0 in /0.yaml has tls as the text "false", which Synapse takes for true: write false without'
            " quotes.",
        ),
        (
            {"listeners": [{"type": "http", "port": 8448, "tls": True}], "tls_certificate_path": "/a"},
            REFUSED,
            "listeners.0 in /0.yaml has tls, but tls_private_key_path is not set, and Synapse does not start with it:"
            " set it, or set tls to false.",
        ),
        (
            {"listeners": [{"type": "http", "port": 8448, "tls": True}]},
            REFUSED,
            "listeners.0 in /0.yaml has tls, but tls_certificate_path and tls_private_key_path are not set, and Synapse"
            " does not start with it: set them, or set tls to false.",
        ),
        (
            {"listeners": [{"type": "http", "port": 8008, "resources": [{"name": ["client"]}]}]},
            REFUSED,
            "listeners.0 in /0.yaml has resources with name, and Synapse does not start with it: a resource only has"
            " names and compress.",
        ),
        (
            {"listeners": [{"type": "http", "port": 8008, "resources": [{"names": [["client"], {"keys": 1}]}]}]},
            REFUSED,
            "listeners.0 in /0.yaml has the unknown resources ['client'], {'keys': 1}, and Synapse does not start with"
            " it: use client, consent, federation, health, keys, media, metrics, openid, replication, static.",
        ),
    ],
    ids=str,
)
def test_one_fault(settings: dict[str, t.Any], kind: str, message: str) -> None:
    assert [(fault.kind, fault.message) for fault in faults(settings)] == [(kind, message)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"server_name": "a.test", "x-anchors": 1, ".base": 1, "_base": 1, "x_base": {}},
        {"caches": {"of_a_fork": 1, "per_cache_factors": {"global_facter": 1}}},
        {"presence": {"enabled": "untracked"}, "password_config": {"enabled": "only_for_reauth"}},
        {"presence": None},
        {"enable_media_repo": False, "max_upload_size": "lots", "url_preview_enabled": True},
        {"enable_metrics": None, "redis": {"enabled": None}},
        {"rc_message": {"per_second": 0.2, "burst_count": "10"}},
        {"rc_login": {"account": {"per_second": 1, "burst_count": 2}}, "rc_presence": {"per_user": {"burst_count": 2}}},
        {"caches": {"per_cache_factors": {"1": 2, "max_upload_size": 1, "a.b": 2}}, "rc_federation": {"concurrent": 3}},
        {"experimental_features": {"msc1.2": True, 1: 2}, "caches": {1: 2}, "modules": [{"config": {"a.b": 1}}]},
        {"listeners": [{"type": "http", "path": "/a.sock", "mode": 0o660, "port": None, "tls": "false"}]},
        {"listeners": [{"type": "http", "path": "/a.sock"}, {"type": "metrics", "port": 0, "mode": "660"}]},
        {"listeners": [{"type": "http", "port": 65535, "bind_addresses": ["::"]}], "metrics_port": 0, "manhole": None},
        {"listeners": [{"type": "http", "port": 8008, "tls": "", "resources": [{"names": [], "compress": None}]}]},
        {"database": {"name": "psycopg2", "txn_limit": 0, "allow_unsafe_locale": True, "args": {"sslmode": "prefer"}}},
        {"database": {"name": "sqlite3", "args": {"database": "/a.db"}}},
        {"databases": {"user": {"name": "psycopg2", "data_stores": ["main"], "args": {"cp_max": 1, "cp_min": 5}}}},
    ],
    ids=str,
)
def test_no_false_alarm(settings: dict[str, t.Any]) -> None:
    assert faults(settings) == []


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("cachess", "caches"),
        ("Presence", "presence"),
        ("public-baseurl", "public_baseurl"),
        ("public_base_url", "public_baseurl"),
        ("registration_share_secret", "registration_shared_secret"),
        ("enable_registrations", "enable_registration"),
        ("listener", "listeners"),
        ("max_upload", "max_upload_size"),
        ("bridges", None),
        ("s3", None),
        ("a" * 10000, None),
    ],
)
def test_the_nearest_key(key: str, near: str | None) -> None:
    assert nearest_key(key) == near


def test_only_values_in_force() -> None:
    assert faults({"max_upload_size": "lots", "presence": {"enabled": "no"}}, {"max_upload_size": 1, "presence": {}})[
        :1
    ] == [
        Fault(
            ("presence",),
            "/1.yaml",
            REPLACED,
            "/1.yaml replaces the whole presence block of /0.yaml, so that presence.enabled of it has no effect. Write"
            " the complete block in /1.yaml, or remove presence there.",
        )
    ]


def test_the_file_in_force_is_named() -> None:
    found = faults({"max_upload_size": 1}, {"max_upload_size": "lots"})
    assert [(fault.key, fault.file, fault.kind) for fault in found] == [(("max_upload_size",), "/1.yaml", REFUSED)]


def test_a_database_whose_name_is_lost() -> None:
    whole = {"name": "psycopg2", "args": {"dbname": "synapse", "password": "hush"}}
    misread, replaced = faults({"database": whole}, {"database": {"args": {"cp_max": 30}}})
    assert (misread.kind, replaced.kind) == (MISREAD, REPLACED)
    assert misread.message == (
        "database in /1.yaml has no name, without which Synapse does not start: write psycopg2 for PostgreSQL, or"
        f" sqlite3 for SQLite. {replaced.message}"
    )
    assert without_repetition([misread, replaced]) == [misread]
    refused, replaced = faults({"database": whole}, {"database": None})
    assert (refused.kind, replaced.kind) == (REFUSED, REPLACED)
    assert "database in /1.yaml is empty" in refused.message
    assert "/1.yaml sets database to nothing" in refused.message


def test_a_database_and_databases() -> None:
    found = faults({"database": {"name": "psycopg2"}}, {"databases": {"main": {"name": "psycopg2"}}})
    assert [fault.kind for fault in found] == [REFUSED]
    assert found[0].message.startswith("databases in /1.yaml and database in /0.yaml are both set")


def test_lists_that_are_collected() -> None:
    found = faults(
        {"app_service_config_files": ["/a.yaml"], "trusted_key_servers": [{"server_name": "matrix.org"}]},
        {"app_service_config_files": ["/b.yaml"], "trusted_key_servers": []},
    )
    assert [(fault.kind, fault.key) for fault in found] == [(REPLACED, ("app_service_config_files",))]
    assert "so that /a.yaml of it has no effect" in found[0].message


def test_replacements() -> None:
    [found] = find_replacements(configured({"caches": {"global_factor": 1, "expire_caches": True}}, {"caches": {}}))
    assert (found.key, found.later, found.earlier) == ("caches", "/1.yaml", "/0.yaml")
    assert found.lost == ("caches.global_factor", "caches.expire_caches")


def test_values_are_shown_without_secrets() -> None:
    found = faults({"http_proxy": ["hush"], "public_baseurl": {"a": "hush"}, "password_config": ["hush"]})
    assert len(found) == 3
    assert "hush" not in str(found)
    [url] = faults({"log_config": "a" * 100, "max_upload_size": "x" * 100})
    assert f'"{"x" * 40}..."' in url.message


@pytest.mark.parametrize(
    "settings",
    [
        {"database": {"name": "postgres://u:hush@h/db", "args": {}}},
        {"database": {"name": "psycopg2", "args": {"cp_min": "postgres://u:hush@h/db"}}},
        {"listeners": [{"type": "https://u:hush@h/"}]},
        {"listeners": [{"type": "http", "port": "https://u:hush@h/"}]},
        {"listeners": [{"type": "http", "port": 1, "x_forwarded": "https://u:hush@h/"}]},
        {"listeners": [{"type": "http", "path": "/a", "mode": "https://u:hush@h/"}]},
        {"listeners": [{"type": "http", "port": 1, "resources": [{"names": ["https://u:hush@h/"]}]}]},
        {"max_upload_size": f"{'x' * 50} https://u:hush@h/"},
    ],
    ids=str,
)
def test_a_url_with_a_password_is_not_shown(settings: dict[str, t.Any]) -> None:
    [fault] = faults(settings)
    assert "hush" not in fault.message
    assert "(hidden)" in fault.message


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("auto_join_rooms", [None, "#a:b", True], [[], ["#a:b"], ""]),
        ("thumbnail_sizes", [None, 32], [[], [{"width": 32}]]),
        ("room_invite_state_types", [None, "", "m.room.name"], [[], ["m.room.name"]]),
        ("default_room_version", [None, "", False], ["10", 10, "org.example.a"]),
        ("gc_thresholds", [[], [700, 10], "700"], [None, [700, 10, 10]]),
        ("federation_sender_instances", [True, 1], [None, [], ["a"], "a"]),
        ("cas_config", [True, "a"], [None, False, {}, {"enabled": False}]),
        ("server_notices", ["", [], True], [None]),
        ("form_secret_path", [True, 1], [None, "", "/a"]),
        ("soft_file_limit", ["1024"], [None, False, 0, 1024]),
        ("federation_client_minimum_tls_version", [2, "1.4", None], [1, "1", 1.2, "1.3"]),
        ("web_client_location", ["client.example", 5], [None, "", "https://client.example/", "http://client.example/"]),
    ],
)
def test_settings_of_other_kinds(key: str, wrong: list[t.Any], right: list[t.Any]) -> None:
    for value in wrong:
        assert [fault.key for fault in faults({key: value})] == [(key,)]
    for value in right:
        assert faults({key: value}) == []


def test_keys_that_are_no_text() -> None:
    settings: dict[t.Any, t.Any] = {1: 2, None: 3, "caches": {1: 2}}
    assert [(fault.key, fault.file) for fault in faults(settings)] == [(("1",), "/0.yaml"), (("None",), "/0.yaml")]


def test_a_template_needs_another_fix() -> None:
    settings = {
        "presence": {"enabled": "False"},
        "caches": {"global_factor": "0.5"},
        "form_secret": 123456789,
        "max_upload_size": "lots",
        "listeners": [{"type": "http", "port": "8008"}],
        "enable_search": None,
    }
    own, other = find_faults(configured(settings), lambda file, key: file == "/0.yaml"), faults(settings)
    ends = {".".join(fault.key): fault.message.rpartition("the filter ")[2] for fault in own}
    assert {key: end for key, end in ends.items() if " " not in end} == {
        "presence.enabled": "bool.",
        "caches.global_factor": "float.",
        "listeners.0": "int.",
        "form_secret": "string.",
    }
    assert {".".join(fault.key) for fault in own if fault in other} == {"max_upload_size", "enable_search"}
    assert not any("expression" in fault.message for fault in other)
    assert [(fault.key, fault.kind) for fault in own] == [(fault.key, fault.kind) for fault in other]
    # Only what is declared.
    assert find_faults(configured(settings), lambda file, key: key == ("of_another",)) == other


def read(tmp_path: pathlib.Path, *texts: str) -> list[tuple[str, str, str]]:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    found = find_faults(read_configuration([str(tmp_path)]))
    return [(fault.kind, ".".join(fault.key), fault.message.replace(f"{tmp_path}", "")) for fault in found]


def test_a_key_that_is_repeated(tmp_path: pathlib.Path) -> None:
    first = "caches: {global_factor: 2}\nserver_name: a.test\ncaches: {expire_caches: false}\n"
    message = (
        "caches in /0.yaml is there twice, first in line 1 and last in line 3, and Synapse only reads the last one: put"
        " everything into one of them, and remove the rest."
    )
    assert read(tmp_path, first) == [(REPEATED, "caches", message)]
    # A later file replaces both, and the second block too.
    assert [kind for kind, _key, _message in read(tmp_path, first, "caches: {global_factor: 1}\n")] == [REPLACED]
    inside = "email:\n  notif_from: a\n  smtp_host: a\n  smtp_host: b\n  smtp_host: c\n"
    [(kind, key, message)] = read(tmp_path, inside, "")
    assert (kind, key) == (REPEATED, "email.smtp_host")
    assert message.startswith("email.smtp_host in /0.yaml is there 3 times, first in line 3 and last in line 5")


@pytest.mark.parametrize("text", ["max_upload_size:50M\n", "- a\n", "hello\n", "[]"])
def test_a_file_without_settings(tmp_path: pathlib.Path, text: str) -> None:
    [(kind, key, message)] = read(tmp_path, "server_name: a.test\n", text)
    assert (kind, key) == (IGNORED, "")
    what = "text" if text[0] in "mh" else "a list"
    assert message == (
        f"Synapse ignores the whole content of /1.yaml, because it is {what} for YAML and not a mapping: write each"
        " setting as its name, a colon, a space and its value, or remove the file."
    )


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "{}\n"])
def test_a_file_that_is_empty(tmp_path: pathlib.Path, text: str) -> None:
    assert read(tmp_path, "server_name: a.test\n", text) == []


def test_ignored_files(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yml").write_text("a: 1\n")
    [fault] = find_ignored_files([str(tmp_path)])
    assert (fault.key, fault.file, fault.kind) == ((), f"{tmp_path}/a.yml", IGNORED)
