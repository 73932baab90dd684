# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The top-level keys of the configuration that Synapse 1.163 reads, and the nearest of them to a misspelt one.

They are those in synapse/config, and those of synctl (synapse/_scripts/synctl.py). A contract test compares them with
Synapse's own source.
"""

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import KeyPath

# How alike two names are, from 0 to 1: media_store_providers and media_storage_providers are 0.93.
_NEAR = 0.8

_KEYS = """
    account_threepid_delegates account_validity admin_contact alias_creation_rules
    allow_device_name_lookup_over_federation allow_guest_access allow_per_room_profiles
    allow_profile_lookup_over_federation allow_public_rooms_over_federation allow_public_rooms_without_auth
    allow_underscore_prefixed_localpart allowed_avatar_mimetypes allowed_local_3pids app_service_config_files
    auto_accept_invites auto_join_mxid_localpart auto_join_rooms auto_join_rooms_for_guests
    autocreate_auto_join_room_preset autocreate_auto_join_rooms autocreate_auto_join_rooms_federated
    background_updates backup_media_store_path bcrypt_rounds bind_host bind_port block_non_admin_invites caches
    cas_config cleanup_extremities_with_dummy_events daemonize database database_path databases
    default_identity_server default_power_level_content_override default_room_version delete_stale_devices_after
    disable_msisdn_registration disable_registration dont_notify_new_devices_for dummy_events_threshold
    dynamic_thumbnails email enable_3pid_changes enable_3pid_lookup enable_authenticated_media
    enable_ephemeral_messages enable_local_media_storage enable_media_repo enable_metrics enable_registration
    enable_registration_captcha enable_registration_token_3pid_bypass enable_registration_without_verification
    enable_room_list_search enable_search enable_set_avatar_url enable_set_displayname
    encryption_enabled_by_default_for_room_type event_cache_size exclude_rooms_from_presence
    exclude_rooms_from_sync experimental_features extra_well_known_client_content federation
    federation_certificate_verification_whitelist federation_client_minimum_tls_version
    federation_custom_ca_list federation_domain_whitelist federation_ip_range_blacklist
    federation_metrics_domains federation_rc_concurrent federation_rc_reject_limit federation_rc_sleep_delay
    federation_rc_sleep_limit federation_rc_window_size federation_rr_transactions_per_room_per_second
    federation_sender_instances federation_verify_certificates federation_whitelist_endpoint_enabled
    filter_timeline_limit forget_rooms_on_leave forgotten_room_retention_period form_secret form_secret_path
    gc_min_interval gc_thresholds gzip_responses hs_disabled hs_disabled_message http_proxy https_proxy
    include_profile_data_on_invite include_profile_updates_in_sync inhibit_user_in_use_error instance_map
    invite_3pid_guest ip_range_blacklist ip_range_whitelist jwt_config key_refresh_interval
    key_server_signing_keys_path ldap_config limit_profile_requests_to_users_who_share_rooms limit_remote_rooms
    limit_usage_by_mau listeners log_config log_file login_via_existing_session macaroon_secret_key
    macaroon_secret_key_path manhole manhole_settings matrix_authentication_service matrix_rtc
    mau_appservice_trial_days mau_limit_alerting mau_limit_reserved_threepids mau_stats_only mau_trial_days
    max_avatar_size max_event_delay_duration max_image_pixels max_mau_value max_pending_media_uploads
    max_spider_size max_upload_size media_instance_running_background_jobs media_retention
    media_storage_providers media_store_path media_upload_limits metrics_bind_host metrics_flags metrics_port
    modules next_link_domain_whitelist no_proxy_hosts no_redirect_stdio no_tls
    nonrefreshable_access_token_lifetime notify_appservices notify_appservices_from_worker oembed oidc_config
    oidc_providers old_signing_keys opentracing outbound_federation_restricted_to password_config
    password_providers perspectives pid_file presence prevent_media_downloads_from print_pidfile public_baseurl
    push push_rules pusher_instances rc_3pid_validation rc_admin_redaction rc_delayed_event_mgmt rc_federation
    rc_invites rc_joins rc_joins_per_room rc_key_requests rc_login rc_media_create rc_message
    rc_message_burst_count rc_messages_per_second rc_presence rc_profile rc_registration
    rc_registration_token_validity rc_reports rc_room_creation rc_third_party_invite rc_user_directory
    recaptcha_private_key recaptcha_private_key_path recaptcha_public_key recaptcha_public_key_path
    recaptcha_siteverify_api redaction_allowed_period redaction_retention_period redis refresh_token_lifetime
    refreshable_access_token_lifetime registration_requires_token registration_shared_secret
    registration_shared_secret_path registrations_require_3pid remote_media_download_burst_count
    remote_media_download_per_second replication_torture_level report_stats report_stats_endpoint
    request_token_inhibit_3pid_errors require_auth_for_profile_requests require_membership_for_aliases
    restrict_public_rooms_to_local_users retention room_invite_state_types room_list_publication_rules
    room_prejoin_state run_background_tasks_on saml2_config send_federation sentry serve_server_wellknown
    server_context server_name server_notices session_lifetime signing_key signing_key_path soft_file_limit
    spam_checker sso start_pushers stats stream_writers suppress_key_server_warning
    synchronous_backup_media_store synctl_cache_factor synctl_cache_factors task_scheduler templates
    third_party_event_rules thumbnail_sizes tls_certificate_path tls_private_key_path track_appservice_user_ips
    track_puppeted_user_ips trust_identity_server_for_password_resets trusted_key_servers turn_allow_guests
    turn_password turn_shared_secret turn_shared_secret_path turn_uris turn_user_lifetime turn_username ui_auth
    unsecure_port unused_expiration_time update_user_directory update_user_directory_from_worker
    url_preview_accept_language url_preview_enabled url_preview_ip_range_blacklist
    url_preview_ip_range_whitelist url_preview_url_blacklist use_account_validity_in_account_status
    use_appservice_legacy_authorization use_frozen_dicts use_insecure_ssl_client_just_for_testing_do_not_use
    use_presence user_agent_suffix user_consent user_directory user_ips_max_age user_types web_client_location
    worker_app worker_daemonize worker_listeners worker_log_config worker_main_http_uri worker_manhole
    worker_name worker_pid_file worker_replication_host worker_replication_http_port worker_replication_http_tls
    worker_replication_port worker_replication_secret worker_replication_secret_path
"""
KNOWN_KEYS = frozenset(_KEYS.split())

# What earlier versions of Synapse have read, and Synapse 1.163 ignores. Its value: what to do instead.
FORMER_KEYS: t.Mapping[str, str] = {
    "acme": "get certificates with another program, and set tls_certificate_path",
    "enable_group_creation": "remove it",
    "group_creation_prefix": "remove it",
    "limit_large_remote_room_joins": "use limit_remote_rooms",
    "tls_dh_params_path": "remove it",
    "tls_fingerprints": "remove it",
    "uploads_path": "remove it",
    "verbose": "set the level in the file of log_config",
    "web_client": "use web_client_location",
    "worker_replication_url": "use instance_map",
}

_RATE = "burst_count per_second"
_RATES = """
    rc_3pid_validation rc_admin_redaction rc_delayed_event_mgmt rc_invites.per_issuer rc_invites.per_room
    rc_invites.per_user rc_joins.local rc_joins.remote rc_joins_per_room rc_key_requests rc_login.account
    rc_login.address rc_login.failed_attempts rc_media_create rc_message rc_presence.per_user rc_profile
    rc_registration rc_registration_token_validity rc_reports rc_room_creation rc_third_party_invite
    rc_user_directory
"""
# The limits of rates, each of which is a mapping with the keys in _RATE.
RATES = tuple(_RATES.split())
_BLOCK_KEYS = {
    "auto_accept_invites": "enabled only_for_direct_messages only_from_local_users worker_to_run_on",
    "background_updates": """background_update_duration_ms default_batch_size min_batch_size sleep_duration_ms
        sleep_enabled""",
    "caches": """cache_autotuning cache_entry_ttl expire_caches expiry_time global_factor per_cache_factors
        sync_response_cache_duration track_memory_usage""",
    "caches.cache_autotuning": "max_cache_memory_usage min_cache_ttl target_cache_memory_usage",
    "federation": """client_timeout destination_max_retry_interval destination_min_retry_interval
        destination_retry_multiplier max_long_retries max_long_retry_delay max_short_retries max_short_retry_delay""",
    "login_via_existing_session": "enabled require_ui_auth token_timeout",
    "media_retention": "local_media_lifetime remote_media_lifetime",
    "password_config": "enabled localdb_enabled pepper policy",
    "presence": """enabled idle_timeout include_offline_users_on_sync last_active_granularity presence_router
        sync_online_timeout""",
    "push": "enabled group_unread_count_by_room include_content jitter_delay redact_content",
    "retention": "allowed_lifetime_max allowed_lifetime_min default_policy enabled purge_jobs",
    "retention.default_policy": "max_lifetime min_lifetime",
    "user_directory": "enabled exclude_remote_users prefer_local_users search_all_users show_locked_users",
    "user_types": "default_user_type extra_user_types",
    "rc_login": "account address failed_attempts",
    "rc_joins": "local remote",
    "rc_invites": "per_issuer per_room per_user",
    "rc_presence": "per_user",
    **dict.fromkeys(RATES, _RATE),
}
# The keys of blocks that are often written by hand. Another key is only a fault if one of them is near, because forks
# and newer versions add keys.
BLOCK_KEYS: t.Mapping[KeyPath, frozenset[str]] = {
    tuple(block.split(".")): frozenset(keys.split()) for block, keys in _BLOCK_KEYS.items()
}

# The same for a database. Synapse reads some of these after it has read its configuration.
_DATABASE_KEYS = frozenset(("allow_unsafe_locale", "args", "data_stores", "name", "txn_limit"))
DATABASE_KEYS: t.Mapping[KeyPath, frozenset[str]] = {("database",): _DATABASE_KEYS, ("databases", "*"): _DATABASE_KEYS}
# What people write into the block of a database itself. Of these, Synapse only passes on what is in args.
_DATABASE_ARGUMENTS = """
    client_encoding connect_timeout cp_max cp_min cp_reconnect database dbname host keepalives keepalives_count
    keepalives_idle keepalives_interval options passfile password port sslcert sslkey sslmode sslrootcert user
"""

# Such names are for anchors of YAML and for other programs that share the file.
_FOREIGN_PREFIXES = ("x-", "x_", ".", "_")


def is_known(key: str) -> bool:
    """Return whether Synapse reads a top-level key, or whether it can be there for another reason."""
    return key in KNOWN_KEYS or key.startswith(_FOREIGN_PREFIXES)


def nearest_key(key: str, known: t.Collection[str] = KNOWN_KEYS) -> str | None:
    """Return the one of `known` that is most like `key`, or None if none is near."""
    wanted = key.strip().lower().replace("-", "_").replace(" ", "_")
    near = difflib.get_close_matches(wanted, sorted(known), n=1, cutoff=_NEAR)
    return near[0] if near else None


def right_place(where: KeyPath, key: str) -> KeyPath | None:
    """Return the path at which Synapse reads a `key` that it does not read in the block `where`, or None.

    `where` is () for the top level. The key is at a wrong level, such as rc_login.per_second, or is written with dots,
    such as "caches.global_factor". Of several places inside `where`, this is the first.
    """
    dotted = tuple(key.split("."))
    if len(dotted) > 1:
        return (*where, *dotted) if dotted[-1] in BLOCK_KEYS.get((*where, *dotted[:-1]), ()) else None
    if where[:1] in (("database",), ("databases",)):
        return (*where, "args", key) if key in _DATABASE_ARGUMENTS.split() else None
    inside = [block for block, keys in BLOCK_KEYS.items() if key in keys and block != where]
    below = [block for block in inside if block[: len(where)] == where]
    if where and below:
        return (*below[0], key)
    if where and key in KNOWN_KEYS:
        return (key,)
    # A short name can be a key of anything.
    return (*inside[0], key) if not where and len(inside) == 1 and "_" in key else None
