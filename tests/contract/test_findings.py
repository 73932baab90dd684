# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection knows about settings must be what Synapse does: its parser, and what it makes of a value."""

from __future__ import annotations

import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.findings import (
    MISREAD,
    REFUSED,
    SECRET,
    Fault,
    find_faults,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.known_keys import (
    BLOCK_KEYS,
    FORMER_KEYS,
    KNOWN_KEYS,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.setting_kinds import (
    PASSWORDS,
    PRESENCE,
    SWITCH,
    SWITCH_ON,
    USED_NUMBER,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.setting_types import TYPES
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import KeyPath
from ansible_collections.matrix_ops.synapse.tests.contract.synapse_code import Ask, synapse_code

# Of each kind of value that YAML has, those that settings are mistaken for.
_VALUES = """
- null
- ""
- "false"
- "no"
- lots
- "10"
- 10M
- 10 M
- 30m
- 2026-01-01
- 0
- 7
- 1.2
- -5
- true
- false
- []
- [a]
- [1]
- {}
- {a: 1}
"""
# What a value of these also needs: a library that is not installed, a directory, an address, another setting.
_OTHER_REASONS = (
    "alias_creation_rules",
    "auto_join_rooms",
    "cas_config",
    "default_room_version",
    "federation_metrics_domains",
    "form_secret_path",
    "gc_min_interval",
    "gc_thresholds",
    "key_server_signing_keys_path",
    "media_upload_limits",
    "modules",
    "oidc_config",
    "oidc_providers",
    "password_providers",
    "recaptcha_private_key_path",
    "recaptcha_public_key_path",
    "room_list_publication_rules",
    "room_prejoin_state",
    "server_notices",
    "third_party_event_rules",
    "thumbnail_sizes",
    "turn_shared_secret_path",
    "user_consent",
    "worker_listeners",
    "worker_replication_secret_path",
    "caches.track_memory_usage",
    "instance_map",
    "ip_range_blacklist",
    "ip_range_whitelist",
    "federation_ip_range_blacklist",
    "federation_certificate_verification_whitelist",
    "jwt_config",
    "limit_remote_rooms",
    "old_signing_keys",
    "rc_federation",
    "stream_writers",
    "templates.custom_template_directory",
    "url_preview_enabled",
)
# If they are true, Synapse needs a library that the tests do not install.
_NEEDING_LIBRARIES = (("caches", "track_memory_usage"), ("redis", "enabled"), ("url_preview_enabled",))
# Only synctl reads them.
_OF_SYNCTL = {"synctl_cache_factor", "synctl_cache_factors"}


class Judge:
    """Synapse's own code that judges settings, which are added to those of a complete configuration."""

    def __init__(self, ask: Ask, directory: Path) -> None:
        self._ask = ask
        self._directory = directory
        key = directory / "signing.key"
        key.write_text(f"ed25519 a_test {'A' * 43}\n")
        self._base = {
            "server_name": "unstarted.test",
            "report_stats": False,
            "database": {"name": "sqlite3", "args": {"database": str(directory / "homeserver.db")}},
            "media_store_path": str(directory / "media"),
            "signing_key_path": str(key),
            "trusted_key_servers": [],
            # Its default takes long to read.
            "ip_range_blacklist": [],
            "registration_shared_secret": "one",
            "macaroon_secret_key": "two",
        }

    def whole(self, settings: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Return a complete configuration with these settings."""
        return {**self._base, **settings}

    def refuses(self, settings: t.Mapping[str, t.Any]) -> str | None:
        """Return the words of Synapse's parser if it refuses the settings, or None."""
        return t.cast("str | None", self._said(settings)["refused"])

    def makes(self, settings: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Return what Synapse makes of settings that it accepts."""
        said = self._said(settings)
        assert said["refused"] is None, (settings, said)
        return t.cast("dict[str, t.Any]", said["values"])

    def reads(self, settings: t.Mapping[str, t.Any], block: str) -> set[str]:
        """Return the keys that Synapse asks the mapping `block` for, which is in the settings."""
        said = self._said(settings)
        assert said["refused"] is None, (settings, said)
        return set(said["read"][block])

    def uses(self, settings: t.Mapping[str, t.Any]) -> list[str]:
        """Return the paths of the SQLite databases that Synapse uses with these settings."""
        return t.cast("list[str]", self._said(settings)["paths"])

    def _said(self, settings: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return self._ask({"yaml": yaml.safe_dump(self.whole(settings)), "directory": str(self._directory)})


@pytest.fixture(scope="module")
def ask() -> t.Iterator[Ask]:
    with synapse_code("judge_as_synapse.py") as started:
        yield started


@pytest.fixture(scope="module")
def judge(ask: Ask, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return Judge(ask, tmp_path_factory.mktemp("judged"))


def _found(settings: t.Mapping[str, t.Any]) -> list[Fault]:
    return find_faults(Configuration((ConfigurationFile("/homeserver.yaml", dict(settings)),)))


def _kinds(settings: t.Mapping[str, t.Any]) -> set[str]:
    return {fault.kind for fault in _found(settings)}


def _nested(path: KeyPath, value: t.Any) -> dict[str, t.Any]:
    name = "sync_response" if path[0] == "*" else path[0]
    return {name: _nested(path[1:], value) if len(path) > 1 else value}


def test_the_keys_are_those_that_synapse_reads(ask: Ask) -> None:
    read = set(ask({"known": True})["keys"])
    assert read - KNOWN_KEYS == set(), "Add these to KNOWN_KEYS"
    assert KNOWN_KEYS - read - _OF_SYNCTL == set(), "Synapse does not read these: move them to FORMER_KEYS"
    assert not read & set(FORMER_KEYS)


@pytest.mark.parametrize("block", BLOCK_KEYS, ids=".".join)
def test_the_keys_of_a_block_are_those_that_synapse_reads(judge: Judge, block: KeyPath) -> None:
    # Synapse ignores an empty block.
    filled = _TUNED if block[-1] == "cache_autotuning" else {"of_nobody": 1}
    assert judge.reads(_nested(block, filled), ".".join(block)) == BLOCK_KEYS[block]


@pytest.mark.parametrize("path", TYPES, ids=".".join)
def test_a_setting_is_refused_as_synapse_refuses_it(judge: Judge, path: KeyPath) -> None:
    for value in yaml.safe_load(_VALUES):
        settings = _nested(path, value)
        kinds, refused = _kinds(judge.whole(settings)), judge.refuses(settings)
        if REFUSED in kinds:
            assert refused, (path, value, "a false alarm")
        elif refused and SECRET not in kinds:
            assert ".".join(path) in _OTHER_REASONS, (path, value, refused)


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, kind in TYPES.items()
        if kind._replace(is_media=False) in (SWITCH, SWITCH_ON, PRESENCE, PASSWORDS) and path not in _NEEDING_LIBRARIES
    ],
    ids=".".join,
)
def test_a_text_for_a_boolean_counts_as_synapse_takes_it(judge: Judge, path: KeyPath) -> None:
    made = {
        name: {key: bool(value) for key, value in judge.makes(_nested(path, given)).items()}
        for name, given in (("yes", True), ("no", False), ("text", "false"), ("empty", None))
    }
    judged = {key for key in made["yes"] if made["yes"][key] != made["no"].get(key)}
    assert MISREAD in _kinds(judge.whole(_nested(path, "false")))
    assert {key: made["text"][key] for key in judged} == {key: made["yes"][key] for key in judged}
    if TYPES[path]._replace(is_media=False) in (SWITCH_ON, PASSWORDS):
        assert MISREAD in _kinds(judge.whole(_nested(path, None)))
        assert {key: made["empty"][key] for key in judged} == {key: made["no"][key] for key in judged}


@pytest.mark.parametrize("path", [path for path, kind in TYPES.items() if kind is USED_NUMBER], ids=".".join)
def test_a_text_for_a_number_stays_text(judge: Judge, path: KeyPath) -> None:
    assert judge.refuses(_nested(path, "7")) is None
    assert MISREAD in _kinds(judge.whole(_nested(path, "7")))
    assert not _found(judge.whole(_nested(path, 7)))


def test_a_text_for_the_limit_of_files_stays_text(judge: Judge) -> None:
    path: KeyPath = ("soft_file_limit",)
    for value in ("1024", 10.5, [1]):
        assert judge.refuses(_nested(path, value)) is None
        assert _kinds(judge.whole(_nested(path, value))) == {MISREAD}
    for accepted in (0, 1024, None, -1):
        assert not _found(judge.whole(_nested(path, accepted)))


_TUNED = {"max_cache_memory_usage": "1024M", "target_cache_memory_usage": "758M", "min_cache_ttl": "5m"}
_HTTP = {"type": "http", "port": 8008}
_REFUSED: t.Mapping[str, dict[str, t.Any]] = {
    "autotuning with one key": {"caches": {"cache_autotuning": {"max_cache_memory_usage": "1024M"}}},
    "autotuning with two keys": {"caches": {"cache_autotuning": {**_TUNED, "min_cache_ttl": None}}},
    "autotuning with no size": {"caches": {"cache_autotuning": {**_TUNED, "max_cache_memory_usage": 1.5}}},
    "autotuning with no duration": {"caches": {"cache_autotuning": {**_TUNED, "min_cache_ttl": "soon"}}},
    "no lifetime of entries": {"caches": {"cache_entry_ttl": "long"}},
    "no time of expiry": {"caches": {"expiry_time": "long"}},
    "idle before active": {"presence": {"idle_timeout": "30s"}},
    "active after idle": {"presence": {"last_active_granularity": "10m"}},
    "no time of activity": {"presence": {"last_active_granularity": 0}},
    "open registration": {"enable_registration": True},
    "open registration as text": {"enable_registration": "yes"},
    "registration that is not disabled": {"disable_registration": False},
    "an unknown default type": {"user_types": {"default_user_type": "guest"}},
    "a session that ends too early": {"session_lifetime": "1h", "refresh_token_lifetime": "1d"},
    "the shortest after the longest": {"retention": {"default_policy": {"min_lifetime": "2d", "max_lifetime": "1d"}}},
    "limits the wrong way round": {"retention": {"allowed_lifetime_min": "2d", "allowed_lifetime_max": "1d"}},
    "a job without an interval": {"retention": {"purge_jobs": [{"longest_max_lifetime": "3d"}]}},
    "profiles that are public": {"limit_profile_requests_to_users_who_share_rooms": True},
    "public rooms twice": {"restrict_public_rooms_to_local_users": True, "allow_public_rooms_without_auth": False},
    "no URL": {"public_baseurl": "matrix.example.org"},
    "an empty URL": {"public_baseurl": ""},
    "a number for a URL": {"public_baseurl": 8448},
    "a URL with a query": {"public_baseurl": "https://example.org/?a=b"},
    "a client file with the server": {"extra_well_known_client_content": {"m.homeserver": {}}},
    "a client file with the identity server": {"extra_well_known_client_content": {"m.identity_server": {}}},
    "two places of media": {
        "backup_media_store_path": "/nowhere",
        "media_storage_providers": [{"module": "file_system", "config": {"directory": "/nowhere"}}],
    },
    "a provider without a module": {"media_storage_providers": [{"store_local": True}]},
    "no list of providers": {"media_storage_providers": None},
    "mail without a sender": {"email": {"smtp_host": "mail.example.org"}},
    "mail with TLS and without": {"email": {"notif_from": "a@example.org", "force_tls": True, "enable_tls": False}},
    "a key server that is text": {"trusted_key_servers": ["matrix.org"]},
    "a key server without a name": {"trusted_key_servers": [{"verify_keys": {}}]},
    "two secrets for registration": {"registration_shared_secret": "a", "registration_shared_secret_path": "/nowhere"},
    "two secrets of forms": {"form_secret": "a", "form_secret_path": "/nowhere"},
    "an old setting of mail": {"trust_identity_server_for_password_resets": True},
    "an old setting of invitations": {"invite_3pid_guest": True},
    "an old setting of the log": {"log_file": "/nowhere"},
    "an old setting of workers": {"worker_replication_port": 9092},
    "an old setting of addresses": {"account_threepid_delegates": {"email": "https://example.org"}},
    "an old setting of delegation": {"experimental_features": {"msc3861": {"enabled": True}}},
    "two databases": {"databases": {"main": {"name": "psycopg2"}}},
    "an empty database": {"database": None},
    "an empty mapping of databases": {"database": None, "databases": {}},
    "no name of a database": {"database": {"name": "postgresql", "args": {}}},
    "an empty name of a database": {"database": {"name": None, "args": {}}},
    "SQLite without a mapping of arguments": {"database": {"name": "sqlite3", "args": None}},
    "a listener without a type": {"listeners": [{"port": 8008}]},
    "a listener of another type": {"listeners": [{"type": "https", "port": 8448}]},
    "a listener for replication": {"listeners": [{"type": "replication", "port": 9092}]},
    "a listener without an address": {"listeners": [{"type": "http"}]},
    "a listener with two addresses": {"listeners": [{**_HTTP, "path": "/run/synapse.sock"}]},
    "a port as text": {"listeners": [{"type": "http", "port": "8008"}]},
    "a path that is a number": {"listeners": [{"type": "http", "path": 8008}]},
    "addresses as text": {"listeners": [{**_HTTP, "bind_addresses": "127.0.0.1"}]},
    "an unknown resource": {"listeners": [{**_HTTP, "resources": [{"names": ["clients"]}]}]},
    "resources as text": {"listeners": [{**_HTTP, "resources": [{"names": "client"}]}]},
    "resources that are no mappings": {"listeners": [{**_HTTP, "resources": ["client"]}]},
    "compression as text": {"listeners": [{**_HTTP, "resources": [{"names": ["client"], "compress": "yes"}]}]},
    "a listener that is text": {"listeners": ["8008"]},
    "TLS without a certificate": {"listeners": [{**_HTTP, "tls": True}]},
    "TLS as text": {"listeners": [{**_HTTP, "tls": "false"}]},
    "a listener of a worker": {"worker_listeners": [{"type": "http", "port": "8008"}]},
    "an unknown key of a resource": {"listeners": [{**_HTTP, "resources": [{"name": ["client"]}]}]},
    "a key of a resource that is no text": {"listeners": [{**_HTTP, "resources": [{1: ["client"]}]}]},
    "a cache whose name is no text": {"caches": {"per_cache_factors": {True: 2}}},
    "a worker whose name is no text": {"instance_map": {1: {"host": "127.0.0.1", "port": 9093}}},
    "a key whose name is no text": {"old_signing_keys": {1: {"key": "a", "expired_ts": 1}}},
    "rules whose name is no text": {"push_rules": {1: 2}},
    "a stream whose name is no text": {"stream_writers": {1: "main"}},
    "a limit of federation that is no text": {"rc_federation": {1: 2}},
    "an unknown limit of federation": {"rc_federation": {"per_second": 2}},
}
_ACCEPTED: t.Mapping[str, dict[str, t.Any]] = {
    "autotuning": {"caches": {"cache_autotuning": _TUNED, "expire_caches": False, "cache_entry_ttl": "long"}},
    "no autotuning": {"caches": {"cache_autotuning": {}, "per_cache_factors": None}},
    "media that nobody reads": {"enable_media_repo": False, "max_upload_size": "lots", "media_store_path": None},
    "registration with a token": {"enable_registration": True, "registration_requires_token": True},
    "registration for all": {"enable_registration": True, "enable_registration_without_verification": "yes"},
    "a type of its own": {"user_types": {"default_user_type": "guest", "extra_user_types": ["guest"]}},
    "an untracked presence": {"presence": {"enabled": "untracked"}},
    "listeners": {
        "listeners": [
            {**_HTTP, "bind_addresses": ["::1"], "resources": [{"names": ["client", "federation"], "compress": False}]},
            {"type": "metrics", "port": 9000},
            {"type": "http", "path": "/run/synapse.sock", "mode": 0o660, "resources": [{"names": ["client"]}]},
        ]
    },
    "TLS that is turned off": {"no_tls": True, "listeners": [{**_HTTP, "tls": True}]},
    "PostgreSQL": {"database": {"name": "psycopg2", "args": {"dbname": "synapse", "cp_min": 5, "cp_max": 10}}},
    "databases": {"database": None, "databases": {"main": {"name": "psycopg2", "args": {"dbname": "synapse"}}}},
    "an old path of the database": {"database": None, "database_path": "/nowhere/homeserver.db"},
    "sizes": {"max_upload_size": "50M", "max_avatar_size": None, "event_cache_size": "10K", "max_image_pixels": "1_0"},
    "durations": {"session_lifetime": None, "turn_user_lifetime": "1h", "redaction_retention_period": "7d"},
    "a unit of encryption": {"encryption_enabled_by_default_for_room_type": False},
    "a version of TLS": {"federation_client_minimum_tls_version": 1.2},
    "rate limits": {"rc_message": {"per_second": 0.5, "burst_count": 10.0}, "rc_login": {"address": {}}},
    "mail": {"email": {"notif_from": "Your server <a@example.org>", "smtp_host": "mail.example.org"}},
    "keys of others": {"x-anchors": {"a": 1}},
    "keys that need not be text": {"caches": {1: 2}, "experimental_features": {1: 2}, "user_types": {1: 2}},
    "limits of federation": {"rc_federation": {"window_size": 1, "sleep_limit": 1, "sleep_delay": 1, "concurrent": 1}},
    "the names of caches": {"caches": {"per_cache_factors": {"1": 2, "*get_users_in_room*": 2.5}}},
    "any free port": {"listeners": [{"type": "http", "port": 0}], "metrics_port": 0},
    "a secret in a file has priority": {"turn_shared_secret": 0},
}


@pytest.mark.parametrize("name", _REFUSED)
def test_refused_as_synapse_refuses(judge: Judge, name: str) -> None:
    found = _found(judge.whole(_REFUSED[name]))
    assert judge.refuses(_REFUSED[name])
    assert [fault.kind for fault in found] == [REFUSED], found


@pytest.mark.parametrize("name", _ACCEPTED)
def test_accepted_as_synapse_accepts(judge: Judge, name: str) -> None:
    assert judge.refuses(_ACCEPTED[name]) is None
    found = _found(judge.whole(_ACCEPTED[name]))
    assert not found or name == "a secret in a file has priority", found


_SECRETS: t.Mapping[str, tuple[dict[str, t.Any], bool]] = {
    # Whether the parser refuses it. What happens later is in the test of running servers.
    "registration": ({"registration_shared_secret": 123456789}, False),
    "registration and macaroons": ({"registration_shared_secret": 123456789, "macaroon_secret_key": None}, True),
    "macaroons": ({"macaroon_secret_key": 123456789}, True),
    "forms": ({"form_secret": True}, True),
    "forms and zero": ({"form_secret": 0}, True),
    "TURN": ({"turn_shared_secret": 1e5}, False),
    "pepper": ({"password_config": {"pepper": 123456789}}, False),
    "replication": ({"worker_replication_secret": 123456789}, True),
    "captcha": ({"recaptcha_private_key": 123456789}, True),
    "captcha for all": ({"recaptcha_public_key": 123456789}, True),
    "manhole": ({"manhole_settings": {"password": 123456789}}, True),
    "delegation": ({"matrix_authentication_service": {"secret": 123456789}}, True),
    "mail": ({"email": {"notif_from": "a@example.org", "smtp_pass": 123456789}}, False),
    "single sign-on": (
        {"oidc_providers": [{"idp_id": "a", "idp_name": "A", "issuer": "b", "client_id": "c", "client_secret": 1}]},
        True,
    ),
    "PostgreSQL": ({"database": {"name": "psycopg2", "args": {"password": True}}}, False),
}


def test_the_old_path_of_the_database_is_ignored_beside_a_block(judge: Judge) -> None:
    block = {"name": "sqlite3", "args": {"database": "/new.db"}}
    assert judge.uses({"database": None, "database_path": "/old.db"}) == ["/old.db"]
    assert judge.uses({"database": block, "database_path": "/old.db"}) == ["/new.db"]
    assert [fault.kind for fault in _found(judge.whole({"database": block, "database_path": "/old.db"}))] == [MISREAD]


@pytest.mark.parametrize("name", _SECRETS)
def test_a_secret_that_is_no_text(judge: Judge, name: str) -> None:
    settings, is_refused = _SECRETS[name]
    assert bool(judge.refuses(settings)) is is_refused
    faults = [fault for fault in _found(judge.whole(settings)) if fault.kind == SECRET]
    assert len(faults) == 1
    assert "for YAML, not text" in faults[0].message
    assert "123456789" not in faults[0].message


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        (
            {"email": {"notif_from": "a@example.org", "smtp_pass": 123456789}},
            SECRET,
            "AttributeError: 'int' object has no attribute 'encode'",
        ),
        ({"database": {"args": {"cp_max": 30}}}, MISREAD, "KeyError: 'name'"),
        ({"database": {"args": {"database": ":memory:"}}}, MISREAD, "KeyError: 'name'"),
        ({"database": {"name": "psycopg2", "args": None}}, MISREAD, "'NoneType' object"),
        ({"database": {"name": "sqlite3"}}, MISREAD, "missing required argument 'database'"),
    ],
    ids=[
        "a password of mail",
        "a database without a name",
        "SQLite without a name",
        "PostgreSQL without arguments",
        "SQLite without a file",
    ],
)
def test_synapse_ends_when_it_starts(
    judge: Judge, tmp_path: Path, settings: dict[str, t.Any], kind: str, words: str
) -> None:
    assert judge.refuses(settings) is None
    assert [fault.kind for fault in _found(judge.whole(settings))] == [kind]
    path = tmp_path / "homeserver.yaml"
    path.write_text(yaml.safe_dump(judge.whole({"listeners": [], **settings})))
    command = [os.environ["CONTRACT_SYNAPSE_PYTHON"], "-m", "synapse.app.homeserver", "-c", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, check=False
    )
    assert done.returncode == 1
    # It breaks lines where they become long.
    assert words in " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("arguments", "is_refused"),
    [
        ({"cp_max": 30}, False),
        ({"cp_min": 5, "cp_max": 10}, False),
        # The pool corrects these itself.
        ({"cp_max": 1}, False),
        ({"cp_min": 10}, False),
        ({"cp_min": 20, "cp_max": 10}, False),
        ({"cp_min": "5", "cp_max": 10}, True),
        ({"cp_min": 5, "cp_max": "10"}, True),
        ({"cp_min": -1}, True),
    ],
)
def test_the_pool_of_connections(ask: Ask, judge: Judge, arguments: dict[str, t.Any], is_refused: bool) -> None:
    assert bool(ask({"pool": arguments})["refused"]) is is_refused
    found = _found(judge.whole({"database": {"name": "psycopg2", "args": arguments}}))
    assert [fault.kind for fault in found] == ([MISREAD] if is_refused else [])


def test_a_pool_without_connections(ask: Ask, judge: Judge) -> None:
    for most in (0, 1):
        assert ask({"pool": {"cp_max": most}}) == {"refused": None, "most": most}
        found = _found(judge.whole({"database": {"name": "psycopg2", "args": {"cp_max": most}}}))
        assert [fault.kind for fault in found] == ([] if most else [MISREAD])


@pytest.mark.parametrize("port", [True, False, 0, 8008, 65535, -1, 65536, 70000])
@pytest.mark.parametrize("key", ["listeners", "metrics_port"])
def test_the_port_of_a_listener(ask: Ask, judge: Judge, key: str, port: int) -> None:
    settings = {key: [{"type": "http", "port": port}] if key == "listeners" else port}
    assert judge.refuses(settings) is None
    # Text and numbers that count as false are no port for metrics_port.
    is_read = key == "listeners" or bool(port)
    is_wrong = is_read and (isinstance(port, bool) or ask({"listen": {"port": port}})["refused"] is not None)
    assert [fault.kind for fault in _found(judge.whole(settings))] == ([MISREAD] if is_wrong else [])


@pytest.mark.parametrize("mode", [0o660, 0o600, 0o777, 0, 660, 666, 777, "660", "0o660", None, 1.5, True, -1])
def test_the_mode_of_a_socket(ask: Ask, judge: Judge, mode: t.Any) -> None:
    # Linux limits the path of a socket to 107 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = f"{directory}/synapse.sock"
        settings = {"listeners": [{"type": "http", "path": path, "mode": mode}]}
        assert judge.refuses(settings) is None
        said = ask({"listen": {"path": path, "mode": mode}})
    # The decimal number 660 is 1224 in octal digits, with a bit that has no meaning for a socket.
    is_right = said["refused"] is None and not isinstance(mode, bool) and said["mode"] == mode <= 0o777
    assert [fault.kind for fault in _found(judge.whole(settings))] == ([] if is_right else [MISREAD])


def test_tls_as_text_with_certificates(judge: Judge) -> None:
    for given, kinds in (("false", [MISREAD]), (True, []), (False, []), ("", [])):
        certificates = {"tls_certificate_path": "/nowhere/cert.pem", "tls_private_key_path": "/nowhere/key.pem"}
        settings = {"listeners": [{**_HTTP, "tls": given}], **certificates}
        assert judge.refuses(settings) is None
        assert [fault.kind for fault in _found(judge.whole(settings))] == kinds
