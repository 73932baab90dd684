# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The kinds of the settings of Synapse 1.163 that matter. A path ends in "*" for each key of a mapping.

A contract test compares each of them with Synapse's own parser.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.known_keys import RATES
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.setting_kinds import (
    BLOCK,
    BLOCK_OR_FALSE,
    BLOCK_OR_NONE,
    BOOLEAN,
    BURST,
    COUNT_SIZE,
    DURATION,
    DURATION_OR_FALSE,
    DURATION_OR_NONE,
    ENTRIES,
    ENTRIES_OR_NONE,
    FILE_LIMIT,
    IP_RANGES,
    LIST,
    LIST_OR_FALSE,
    LIST_OR_NONE,
    NAMES,
    NAMES_OR_NONE,
    NUMBER,
    PASSWORDS,
    PATH,
    PATH_OR_FALSE,
    PEPPER,
    PORT_OR_FALSE,
    PRESENCE,
    ROOM_VERSION,
    SIZE,
    SIZE_OR_NONE,
    SWITCH,
    SWITCH_ON,
    TEXT,
    TEXT_OR_NONE,
    TEXTS,
    TEXTS_OR_NONE,
    THREE_OR_NONE,
    TRUTH,
    URL_OR_FALSE,
    USED_NUMBER,
    WORKERS,
    Kind,
    in_media,
    is_false,
    one_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import KeyPath

_TYPES: tuple[tuple[Kind, str], ...] = (
    (in_media(SIZE), "max_upload_size max_image_pixels max_spider_size"),
    (SIZE, "remote_media_download_per_second remote_media_download_burst_count"),
    (SIZE_OR_NONE, "max_avatar_size"),
    (COUNT_SIZE, "event_cache_size"),
    (
        DURATION,
        """key_refresh_interval turn_user_lifetime caches.sync_response_cache_duration ui_auth.session_timeout
        presence.last_active_granularity presence.sync_online_timeout presence.idle_timeout
        login_via_existing_session.token_timeout federation.client_timeout federation.max_long_retry_delay
        federation.max_short_retry_delay federation.destination_min_retry_interval
        federation.destination_max_retry_interval""",
    ),
    (in_media(DURATION), "unused_expiration_time"),
    (
        DURATION_OR_NONE,
        """session_lifetime refreshable_access_token_lifetime nonrefreshable_access_token_lifetime
        refresh_token_lifetime redaction_retention_period redaction_allowed_period forgotten_room_retention_period
        user_ips_max_age retention.default_policy.min_lifetime retention.default_policy.max_lifetime
        retention.allowed_lifetime_min retention.allowed_lifetime_max""",
    ),
    (in_media(DURATION_OR_NONE), "media_retention.local_media_lifetime media_retention.remote_media_lifetime"),
    (DURATION_OR_FALSE, "delete_stale_devices_after push.jitter_delay"),
    (NUMBER, "caches.global_factor caches.per_cache_factors.*"),
    (BURST, " ".join(f"{block}.burst_count" for block in RATES)),
    (USED_NUMBER, " ".join(f"{block}.per_second" for block in RATES)),
    (
        USED_NUMBER,
        """rc_federation.window_size rc_federation.sleep_limit rc_federation.sleep_delay rc_federation.reject_limit
        rc_federation.concurrent bcrypt_rounds filter_timeline_limit""",
    ),
    (FILE_LIMIT, "soft_file_limit"),
    (
        SWITCH,
        """allow_device_name_lookup_over_federation allow_guest_access allow_public_rooms_over_federation
        allow_public_rooms_without_auth allow_underscore_prefixed_localpart block_non_admin_invites daemonize
        disable_msisdn_registration enable_ephemeral_messages enable_metrics enable_registration_captcha
        enable_registration_token_3pid_bypass federation_whitelist_endpoint_enabled forget_rooms_on_leave hs_disabled
        include_profile_updates_in_sync inhibit_user_in_use_error limit_usage_by_mau mau_stats_only no_tls
        registration_requires_token report_stats request_token_inhibit_3pid_errors require_auth_for_profile_requests
        restrict_public_rooms_to_local_users serve_server_wellknown suppress_key_server_warning
        track_appservice_user_ips use_appservice_legacy_authorization use_frozen_dicts url_preview_enabled
        presence.include_offline_users_on_sync redis.enabled retention.enabled caches.track_memory_usage
        login_via_existing_session.enabled password_config.policy.enabled user_directory.search_all_users
        user_directory.exclude_remote_users user_directory.prefer_local_users user_directory.show_locked_users
        auto_accept_invites.enabled auto_accept_invites.only_for_direct_messages
        auto_accept_invites.only_from_local_users""",
    ),
    (in_media(SWITCH), "dynamic_thumbnails"),
    (
        SWITCH_ON,
        """allow_per_room_profiles allow_profile_lookup_over_federation auto_join_rooms_for_guests
        autocreate_auto_join_rooms autocreate_auto_join_rooms_federated cleanup_extremities_with_dummy_events
        enable_3pid_changes enable_3pid_lookup enable_room_list_search enable_search enable_set_avatar_url
        enable_set_displayname federation_verify_certificates include_profile_data_on_invite mau_limit_alerting
        require_membership_for_aliases turn_allow_guests caches.expire_caches password_config.localdb_enabled
        push.enabled push.include_content push.group_unread_count_by_room stats.enabled user_directory.enabled
        background_updates.sleep_enabled login_via_existing_session.require_ui_auth""",
    ),
    (in_media(SWITCH_ON), "enable_authenticated_media enable_local_media_storage"),
    # Synapse compares it with false itself, so that an empty value is no false.
    (SWITCH, "enable_media_repo"),
    (PRESENCE, "presence.enabled use_presence"),
    (PASSWORDS, "password_config.enabled"),
    (TRUTH, "enable_registration enable_registration_without_verification disable_registration"),
    (BOOLEAN, "limit_remote_rooms.enabled limit_remote_rooms.admins_can_join track_puppeted_user_ips"),
    (PORT_OR_FALSE, "manhole metrics_port worker_manhole"),
    (TEXT, "limit_remote_rooms.complexity_error manhole_settings.username"),
    (TEXT_OR_NONE, "http_proxy https_proxy worker_log_config templates.custom_template_directory"),
    (
        PATH_OR_FALSE,
        """log_config pid_file tls_certificate_path tls_private_key_path form_secret_path key_server_signing_keys_path
        recaptcha_private_key_path recaptcha_public_key_path turn_shared_secret_path worker_replication_secret_path""",
    ),
    (in_media(PATH), "media_store_path"),
    (URL_OR_FALSE, "web_client_location"),
    (ROOM_VERSION, "default_room_version"),
    (TEXTS, "app_service_config_files room_invite_state_types"),
    (TEXTS_OR_NONE, "no_proxy_hosts"),
    (LIST, "listeners trusted_key_servers"),
    (LIST_OR_NONE, "next_link_domain_whitelist oidc_providers"),
    (LIST_OR_FALSE, "allowed_avatar_mimetypes federation_metrics_domains modules password_providers"),
    (ENTRIES, "auto_join_rooms worker_listeners"),
    (in_media(ENTRIES), "media_upload_limits thumbnail_sizes"),
    (ENTRIES_OR_NONE, "alias_creation_rules room_list_publication_rules"),
    (THREE_OR_NONE, "gc_min_interval gc_thresholds"),
    (WORKERS, "federation_sender_instances pusher_instances"),
    (NAMES, "dont_notify_new_devices_for user_types.extra_user_types"),
    (NAMES_OR_NONE, "federation_domain_whitelist federation_certificate_verification_whitelist"),
    (IP_RANGES, "ip_range_blacklist ip_range_whitelist federation_ip_range_blacklist"),
    (PEPPER, "password_config.pepper"),
    (BLOCK, " ".join(RATES)),
    (
        BLOCK,
        """federation ldap_config login_via_existing_session perspectives rc_federation rc_invites rc_joins rc_login
        rc_presence user_types push_rules instance_map extra_well_known_client_content""",
    ),
    (
        BLOCK_OR_NONE,
        """email matrix_authentication_service matrix_rtc oidc_config old_signing_keys opentracing password_config
        retention retention.default_policy room_prejoin_state server_notices third_party_event_rules user_consent""",
    ),
    (
        BLOCK_OR_FALSE,
        """account_validity auto_accept_invites background_updates caches cas_config experimental_features jwt_config
        manhole_settings oembed presence push redis saml2_config sso stats task_scheduler templates ui_auth
        user_directory limit_remote_rooms stream_writers account_threepid_delegates caches.per_cache_factors
        caches.cache_autotuning password_config.policy database""",
    ),
    (in_media(BLOCK_OR_FALSE), "media_retention"),
    (
        one_of("private_chat", "public_chat", "trusted_private_chat", skips=is_false),
        "autocreate_auto_join_room_preset",
    ),
    (one_of("all", "invite", "off", "False"), "encryption_enabled_by_default_for_room_type"),
    (one_of(1, 1.1, 1.2, 1.3), "federation_client_minimum_tls_version"),
)

TYPES: t.Mapping[KeyPath, Kind] = {tuple(name.split(".")): kind for kind, names in _TYPES for name in names.split()}
