# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Settings of Synapse 1.163 that do not fit together, or that lack a part.

Each rule is proven by a contract test, with Synapse's own parser or with what happens afterwards.
"""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.block_faults import Conflict
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.setting_kinds import (
    NO,
    YES,
    is_duration,
    is_size,
    milliseconds,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings

_DIES = "and Synapse does not start"
_AUTOTUNING = {
    "max_cache_memory_usage": (is_size, "a size such as 1024M"),
    "target_cache_memory_usage": (is_size, "a size such as 758M"),
    "min_cache_ttl": (is_duration, "a duration such as 5m"),
}
# The secrets that can be in a file of their own.
_SECRET_FILES = (
    "registration_shared_secret",
    "macaroon_secret_key",
    "form_secret",
    "turn_shared_secret",
    "worker_replication_secret",
    "recaptcha_private_key",
    "recaptcha_public_key",
)
_LIFETIMES = (
    "refreshable_access_token_lifetime",
    "nonrefreshable_access_token_lifetime",
    "refresh_token_lifetime",
)
_FEDERATION = ("window_size", "sleep_limit", "sleep_delay", "reject_limit", "concurrent")
_LATEST_ACTIVITY, _IDLE = 60_000, 300_000
# The blocks whose keys are names, and must be text.
_NAMED = (
    ("caches", "per_cache_factors"),
    ("instance_map",),
    ("old_signing_keys",),
    ("push_rules",),
    ("rc_federation",),
    ("stream_writers",),
)


def find_conflicts(settings: Settings) -> t.Iterator[Conflict]:
    """Yield what Synapse's parser refuses in `settings`, apart from wrong types of single settings."""
    yield from _removed(settings)
    yield from _keys(settings)
    yield from _secrets(settings)
    yield from _caches(_block(settings, "caches"))
    yield from _presence(_block(settings, "presence"))
    yield from _registration(settings)
    yield from _lifetimes(settings)
    yield from _retention(_block(settings, "retention"))
    yield from _public_rooms(settings)
    yield from _addresses(settings)
    yield from _media(settings)
    yield from _mail(settings)
    yield from _key_servers(settings.get("trusted_key_servers"))


def _removed(settings: Settings) -> t.Iterator[Conflict]:
    for key in ("trust_identity_server_for_password_resets", "invite_3pid_guest", "log_file"):
        if settings.get(key):
            yield Conflict((key,), f"is no longer supported, {_DIES} with it: remove it.")
    if "worker_replication_port" in settings:
        yield Conflict(("worker_replication_port",), f"is no longer supported, {_DIES} with it: use redis instead.")
    if "email" in _block(settings, "account_threepid_delegates"):
        yield Conflict(
            ("account_threepid_delegates", "email"),
            f"is no longer supported, {_DIES} with it: remove it, and set email.",
        )
    if _block(settings, "experimental_features").get("msc3861"):
        yield Conflict(
            ("experimental_features", "msc3861"),
            f"is no longer supported, {_DIES} with it: use matrix_authentication_service.",
        )


def _keys(settings: Settings) -> t.Iterator[Conflict]:
    for path in _NAMED:
        block = settings
        for name in path:
            block = _block(block, name)
        wrong = [key for key in block if not isinstance(key, str)]
        if wrong:
            yield Conflict(
                path, f"has the key {wrong[0]}, which is not text for YAML, {_DIES} with it: put the key in quotes."
            )
    unknown = [key for key in _block(settings, "rc_federation") if isinstance(key, str) and key not in _FEDERATION]
    if unknown:
        yield Conflict(
            ("rc_federation", unknown[0]),
            f"is not one of {', '.join(_FEDERATION)}, {_DIES} with it: use these instead, or remove it.",
        )


def _secrets(settings: Settings) -> t.Iterator[Conflict]:
    for key in _SECRET_FILES:
        if settings.get(key) and settings.get(f"{key}_path"):
            yield Conflict((key,), f"are both set, {_DIES} with both: remove one of them.", other=f"{key}_path")
    redis = _block(settings, "redis")
    if redis.get("enabled"):
        if redis.get("password") and redis.get("password_path"):
            yield Conflict(
                ("redis", "password"), f"and redis.password_path are both set, {_DIES} with both: remove one of them."
            )
        elif redis.get("username") and redis.get("password") is None and not redis.get("password_path"):
            yield Conflict(
                ("redis", "username"), f"needs redis.password, {_DIES} without it: set redis.password or remove it."
            )


def _caches(caches: Settings) -> t.Iterator[Conflict]:
    autotuning = caches.get("cache_autotuning")
    if isinstance(autotuning, dict) and autotuning:
        missing = [name for name in _AUTOTUNING if autotuning.get(name) is None]
        if missing:
            yield Conflict(
                ("caches", "cache_autotuning"),
                f"lacks {' and '.join(missing)}, {_DIES} unless all three are set: {', '.join(_AUTOTUNING)}.",
            )
        for name, (is_right, what) in _AUTOTUNING.items():
            if autotuning.get(name) is not None and not is_right(autotuning[name]):
                yield Conflict(
                    ("caches", "cache_autotuning", name), f"is not {what}, {_DIES} with it: write {what} there."
                )
    for name in ("cache_entry_ttl", "expiry_time"):
        is_read = caches.get("expire_caches", True) if name == "cache_entry_ttl" else caches.get(name)
        if name in caches and is_read and not is_duration(caches[name]):
            yield Conflict(
                ("caches", name), f"is not a duration, {_DIES} with it: write one such as 30m, or remove the setting."
            )


def _presence(presence: Settings) -> t.Iterator[Conflict]:
    for name in ("last_active_granularity", "sync_online_timeout"):
        if is_duration(presence.get(name)) and milliseconds(presence[name]) <= 0:
            yield Conflict(("presence", name), f"is not longer than 0, {_DIES} with it: write a duration such as 60s.")
    latest, idle = presence.get("last_active_granularity", _LATEST_ACTIVITY), presence.get("idle_timeout", _IDLE)
    if is_duration(latest) and is_duration(idle) and 0 < milliseconds(latest) >= milliseconds(idle):
        given = "idle_timeout" if "idle_timeout" in presence else "last_active_granularity"
        yield Conflict(
            ("presence", given),
            f"does not fit: presence.idle_timeout (by default 5m) must be longer than presence.last_active_granularity"
            f" (by default 1m), {_DIES} otherwise.",
        )


def _registration(settings: Settings) -> t.Iterator[Conflict]:
    is_open = str(settings.get("enable_registration", False)).lower() in YES
    if "disable_registration" in settings:
        is_open = str(settings["disable_registration"]).lower() in NO
    unverified = str(settings.get("enable_registration_without_verification", False)).lower() in YES
    verified = ("enable_registration_captcha", "registrations_require_3pid", "registration_requires_token")
    if is_open and not unverified and not any(settings.get(key) for key in verified):
        key = "enable_registration" if "enable_registration" in settings else "disable_registration"
        yield Conflict(
            (key,),
            f"lets everyone register without any verification, {_DIES} with that: set {', '.join(verified[:-1])} or"
            f" {verified[-1]}, or set enable_registration_without_verification to true.",
        )
    types = _block(settings, "user_types")
    default, extra = types.get("default_user_type"), types.get("extra_user_types", [])
    if default is not None and isinstance(extra, list) and default not in ("bot", "support", *extra):
        yield Conflict(
            ("user_types", "default_user_type"),
            f"is not one of the types of users, {_DIES} with it: add it to user_types.extra_user_types.",
        )


def _lifetimes(settings: Settings) -> t.Iterator[Conflict]:
    longest = settings.get("session_lifetime")
    if not is_duration(longest):
        return
    for key in _LIFETIMES:
        value = settings.get(key)
        if is_duration(value) and milliseconds(value) > milliseconds(longest):
            yield Conflict(
                (key,), f"is longer than session_lifetime, {_DIES} with both: write a shorter one, or remove it."
            )


def _retention(retention: Settings) -> t.Iterator[Conflict]:
    policy = _block(retention, "default_policy")
    for block, where, low, high in (
        (policy, ("retention", "default_policy"), "min_lifetime", "max_lifetime"),
        (retention, ("retention",), "allowed_lifetime_min", "allowed_lifetime_max"),
    ):
        least, most = block.get(low), block.get(high)
        if is_duration(least) and is_duration(most) and milliseconds(least) > milliseconds(most):
            yield Conflict((*where, low), f"is longer than {high}, {_DIES} with both: write a shorter one.")
    jobs = retention.get("purge_jobs", [])
    is_right = isinstance(jobs, list) and all(
        isinstance(job, dict) and is_duration(job.get("interval")) for job in jobs
    )
    # Synapse takes an empty text or mapping for no jobs.
    if not is_right and jobs not in ("", {}):
        yield Conflict(
            ("retention", "purge_jobs"),
            f"is not a list of mappings, each with an interval such as 1d, {_DIES} with it: correct it.",
        )


def _public_rooms(settings: Settings) -> t.Iterator[Conflict]:
    if settings.get("limit_profile_requests_to_users_who_share_rooms") and not settings.get(
        "require_auth_for_profile_requests"
    ):
        yield Conflict(
            ("limit_profile_requests_to_users_who_share_rooms",),
            f"needs require_auth_for_profile_requests, {_DIES} without it: set that to true.",
        )
    others = ("allow_public_rooms_without_auth", "allow_public_rooms_over_federation")
    for other in others:
        if "restrict_public_rooms_to_local_users" in settings and other in settings:
            yield Conflict(
                ("restrict_public_rooms_to_local_users",),
                f"are both set, {_DIES} with both: remove one of them.",
                other=other,
            )


def _addresses(settings: Settings) -> t.Iterator[Conflict]:
    url = settings.get("public_baseurl")
    if url is not None and not _is_url(url):
        yield Conflict(
            ("public_baseurl",),
            f"is not a URL with https or http, without a query, {_DIES} with it: write one such as"
            " https://matrix.example.org/, or remove it.",
        )
    extra = settings.get("extra_well_known_client_content")
    for key, other in (("m.homeserver", "public_baseurl"), ("m.identity_server", "default_identity_server")):
        if isinstance(extra, dict) and key in extra:
            yield Conflict(
                ("extra_well_known_client_content", key), f"is not allowed, {_DIES} with it: set {other} instead."
            )


def _is_url(value: t.Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        parts = urllib.parse.urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and not parts.query and not parts.fragment


def _media(settings: Settings) -> t.Iterator[Conflict]:
    if settings.get("enable_media_repo", True) is False:
        return
    if settings.get("url_preview_enabled") and "url_preview_ip_range_blacklist" not in settings:
        yield Conflict(
            ("url_preview_enabled",),
            f"needs url_preview_ip_range_blacklist, {_DIES} without it: set the list of addresses that previews must"
            " not read, or set url_preview_enabled to false.",
        )
    providers = settings.get("media_storage_providers", [])
    if settings.get("backup_media_store_path") and providers:
        yield Conflict(
            ("backup_media_store_path",),
            f"are both set, {_DIES} with both: remove backup_media_store_path.",
            other="media_storage_providers",
        )
    if providers not in ("", {}) and not (
        isinstance(providers, list) and all(isinstance(each, dict) and "module" in each for each in providers)
    ):
        yield Conflict(
            ("media_storage_providers",),
            f"is not a list of mappings, each with a module, {_DIES} with it: correct it, or remove it.",
        )


def _mail(settings: Settings) -> t.Iterator[Conflict]:
    email = _block(settings, "email")
    if email and not email.get("notif_from"):
        yield Conflict(
            ("email",), f"lacks notif_from, {_DIES} without it: set notif_from, or remove the whole block email."
        )
    for key in ("force_tls", "require_transport_security"):
        if email.get(key) and not email.get("enable_tls", True):
            yield Conflict(
                ("email", key), f"needs email.enable_tls, {_DIES} without it: set enable_tls to true, or remove it."
            )


def _key_servers(servers: t.Any) -> t.Iterator[Conflict]:
    if isinstance(servers, list) and not all(
        isinstance(server, dict) and isinstance(server.get("server_name"), str) for server in servers
    ):
        yield Conflict(
            ("trusted_key_servers",),
            f"is not a list of mappings, each with a server_name, {_DIES} with it: write - server_name: matrix.org,"
            " for example.",
        )


def _block(settings: Settings, key: str) -> Settings:
    block = settings.get(key)
    return block if isinstance(block, dict) else {}
