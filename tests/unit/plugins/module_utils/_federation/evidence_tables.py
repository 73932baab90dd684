# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of Synapse 1.163 that contain evidence of federation, with the columns that are read."""

from __future__ import annotations

TABLES = """
CREATE TABLE IF NOT EXISTS destinations (
    destination TEXT PRIMARY KEY, retry_last_ts BIGINT, retry_interval BIGINT, failure_ts BIGINT,
    last_successful_stream_ordering BIGINT
);
CREATE TABLE IF NOT EXISTS destination_rooms (
    destination TEXT NOT NULL, room_id TEXT NOT NULL, stream_ordering BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS current_state_events (type TEXT NOT NULL, state_key TEXT NOT NULL, membership TEXT);
CREATE TABLE IF NOT EXISTS rooms (room_id TEXT NOT NULL, creator TEXT);
CREATE TABLE IF NOT EXISTS room_alias_servers (room_alias TEXT NOT NULL, server TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS received_transactions (origin TEXT, ts BIGINT);
CREATE TABLE IF NOT EXISTS federation_inbound_events_staging (origin TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS server_keys_json (server_name TEXT NOT NULL, from_server TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS server_signature_keys (server_name TEXT, from_server TEXT);
CREATE TABLE IF NOT EXISTS device_lists_remote_cache (user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS device_lists_remote_extremeties (user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS device_lists_remote_resync (user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS device_lists_remote_pending (user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS device_lists_outbound_last_success (destination TEXT NOT NULL, user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS device_lists_outbound_pokes (destination TEXT NOT NULL, user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS device_federation_inbox (origin TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS device_federation_outbox (destination TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS e2e_cross_signing_keys (user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS presence_stream (user_id TEXT);
CREATE TABLE IF NOT EXISTS user_directory (user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS user_directory_stale_remote_users (user_id TEXT NOT NULL, user_server_name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS remote_media_cache (media_origin TEXT);
CREATE TABLE IF NOT EXISTS partial_state_rooms (room_id TEXT NOT NULL, joined_via TEXT);
CREATE TABLE IF NOT EXISTS partial_state_rooms_servers (room_id TEXT NOT NULL, server_name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS room_memberships (user_id TEXT NOT NULL, sender TEXT NOT NULL, membership TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (event_id TEXT NOT NULL, sender TEXT, stream_ordering BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS event_forward_extremities (event_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rejections (event_id TEXT NOT NULL);
"""
