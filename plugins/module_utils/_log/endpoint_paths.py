# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The paths that Synapse 1.163 serves, as patterns: what follows the version in a path, with identifiers in braces.

Taken from the patterns that its servlets register (synapse/rest and synapse/federation/transport/server).
"""

from __future__ import annotations

PATHS: dict[str, str] = {
    "/_matrix/client": """
        account/3pid account/3pid/add account/3pid/bind account/3pid/delete account/3pid/email/requestToken
        account/3pid/msisdn/requestToken account/3pid/unbind account/deactivate account/password
        account/password/email/requestToken account/whoami account_validity/renew account_validity/send_mail
        add_threepid/email/submit_token add_threepid/msisdn/submit_token admin/whois/{user_id}
        appservice/{appservice_id}/ping auth/{stage}/fallback/web auth_metadata capabilities createRoom
        createRoom/{txn_id} delete_devices devices devices/{device_id} directory/list/appservice/{network_id}/{room_id}
        directory/list/room/{room_id} directory/room/{room_alias} events events/{event_id}
        im.nheko.summary/rooms/{room_id}/summary initialSync
        io.element.msc4306/rooms/{room_id}/thread/{thread_root_id}/subscription io.element.msc4308/thread_subscriptions
        io.element.msc4388/rendezvous io.element.msc4388/rendezvous/{rendezvous_id}
        io.element.msc4502/rooms/{room_id}/is_joined io.element.msc4512/appservice/fed_proxy join/{room_id}
        join/{room_id}/{txn_id} joined_rooms keys/changes keys/claim keys/device_signing/upload keys/query
        keys/signatures/upload keys/upload knock/{room_id} knock/{room_id}/{txn_id} login login/cas/redirect
        login/cas/ticket login/get_token login/sso/redirect login/sso/redirect/{idp_id} logout logout/all media/config
        media/download/{server_name}/{media_id} media/download/{server_name}/{media_id}/{file_name} media/preview_url
        media/thumbnail/{server_name}/{media_id} mutual_rooms notifications org.matrix.msc1763/retention/configuration
        org.matrix.msc2432/rooms/{room_id}/aliases org.matrix.msc2965/auth_metadata
        org.matrix.msc3391/user/{user_id}/account_data/{type}
        org.matrix.msc3391/user/{user_id}/rooms/{room_id}/account_data/{type} org.matrix.msc3720/account_status
        org.matrix.msc3814.v1/dehydrated_device org.matrix.msc3814.v1/dehydrated_device/{device_id}/events
        org.matrix.msc3882/login/token org.matrix.msc3983/keys/claim org.matrix.msc4108/rendezvous
        org.matrix.msc4140/delayed_events org.matrix.msc4140/delayed_events/{delay_id}
        org.matrix.msc4140/delayed_events/{delay_id}/cancel org.matrix.msc4140/delayed_events/{delay_id}/restart
        org.matrix.msc4140/delayed_events/{delay_id}/send org.matrix.msc4143/rtc/transports
        org.matrix.simplified_msc3575/sync password_policy presence/{user_id}/status profile/{user_id}
        profile/{user_id}/avatar_url profile/{user_id}/displayname profile/{user_id}/{field_name} publicRooms pushers
        pushers/remove pushers/set pushrules pushrules/global pushrules/{scope}/{kind}/{rule_id}
        pushrules/{scope}/{kind}/{rule_id}/actions pushrules/{scope}/{kind}/{rule_id}/enabled refresh register
        register/available register/email/requestToken register/m.login.registration_token/validity
        register/msisdn/requestToken registration/{medium}/submit_token room_keys/keys
        room_keys/keys/{room_id}/{session_id} room_keys/version room_keys/version/{version} room_summary/{room_id}
        rooms/{room_id}/aliases rooms/{room_id}/ban rooms/{room_id}/ban/{txn_id} rooms/{room_id}/context/{event_id}
        rooms/{room_id}/event/{event_id} rooms/{room_id}/forget rooms/{room_id}/forget/{txn_id}
        rooms/{room_id}/hierarchy rooms/{room_id}/initialSync rooms/{room_id}/invite rooms/{room_id}/invite/{txn_id}
        rooms/{room_id}/join rooms/{room_id}/join/{txn_id} rooms/{room_id}/joined_members rooms/{room_id}/kick
        rooms/{room_id}/kick/{txn_id} rooms/{room_id}/leave rooms/{room_id}/leave/{txn_id} rooms/{room_id}/members
        rooms/{room_id}/messages rooms/{room_id}/read_markers rooms/{room_id}/receipt/{receipt_type}/{event_id}
        rooms/{room_id}/redact/{event_id} rooms/{room_id}/redact/{event_id}/{txn_id}
        rooms/{room_id}/relations/{event_id} rooms/{room_id}/relations/{event_id}/{relation_type}
        rooms/{room_id}/relations/{event_id}/{relation_type}/{event_type} rooms/{room_id}/report
        rooms/{room_id}/report/{event_id} rooms/{room_id}/send/{event_type} rooms/{room_id}/send/{event_type}/{txn_id}
        rooms/{room_id}/state rooms/{room_id}/state/{event_type} rooms/{room_id}/state/{event_type}/{state_key}
        rooms/{room_id}/threads rooms/{room_id}/timestamp_to_event rooms/{room_id}/typing/{user_id}
        rooms/{room_id}/unban rooms/{room_id}/unban/{txn_id} rooms/{room_id}/upgrade search
        sendToDevice/{event_type}/{txn_id} sync thirdparty/location thirdparty/location/{protocol}
        thirdparty/protocol/{protocol} thirdparty/protocols thirdparty/user thirdparty/user/{protocol} tokenrefresh
        user/{user_id}/account_data/{type} user/{user_id}/filter user/{user_id}/filter/{filter_id}
        user/{user_id}/openid/request_token user/{user_id}/rooms/{room_id}/account_data/{type}
        user/{user_id}/rooms/{room_id}/tags user/{user_id}/rooms/{room_id}/tags/{tag} user_directory/search
        users/{user_id}/report versions voip/turnServer
    """,
    "/_matrix/federation": """
        3pid/onbind _synapse/client/v1/config/federation_whitelist backfill/{room_id} event/{event_id}
        event_auth/{room_id}/{event_id} exchange_third_party_invite/{room_id} get_missing_events/{room_id}
        hierarchy/{room_id} invite/{room_id}/{event_id} make_join/{room_id}/{user_id} make_knock/{room_id}/{user_id}
        make_leave/{room_id}/{user_id} media/download/{media_id} media/thumbnail/{media_id}
        org.matrix.msc3720/query/account_status org.matrix.msc4370/extremities/{room_id} query/{query_type}
        rooms/{room_id}/complexity send/{txn_id} send_join/{room_id}/{event_id} send_knock/{room_id}/{event_id}
        send_leave/{room_id}/{event_id} state/{room_id} state_ids/{room_id} timestamp_to_event/{room_id}
        user/devices/{user_id} user/keys/claim user/keys/query version
    """,
    "/_matrix/media": """
        config create download/{server_name}/{media_id} download/{server_name}/{media_id}/{file_name} preview_url
        thumbnail/{server_name}/{media_id} upload upload/{server_name}/{media_id}
    """,
    "/_synapse/admin": """
        account_validity/validity auth_providers/{provider}/users/{external_id} background_updates/enabled
        background_updates/start_job background_updates/status deactivate/{user_id} event_reports
        event_reports/{report_id} experimental_features/{user_id} federation/destinations
        federation/destinations/{destination} federation/destinations/{destination}/reset_connection
        federation/destinations/{destination}/rooms fetch_event/{event_id} join/{room_id} media/delete
        media/protect/{media_id} media/quarantine/{server_name}/{media_id} media/quarantine_changes
        media/unprotect/{media_id} media/unquarantine/{server_name}/{media_id} media/{server_name}/delete
        media/{server_name}/{media_id} purge_history/{room_id} purge_history/{room_id}/{event_id}
        purge_history_status/{purge_id} purge_media_cache quarantine_media/{room_id} register registration_tokens
        registration_tokens/new registration_tokens/{token} reset_password/{user_id} room/{room_id}/media
        room/{room_id}/media/quarantine rooms rooms/delete_status/{delete_id} rooms/{room_id} rooms/{room_id}/block
        rooms/{room_id}/context/{event_id} rooms/{room_id}/delete_status rooms/{room_id}/forward_extremities
        rooms/{room_id}/hierarchy rooms/{room_id}/make_room_admin rooms/{room_id}/members rooms/{room_id}/messages
        rooms/{room_id}/state rooms/{room_id}/timestamp_to_event scheduled_tasks search_users/{user_id} server_version
        statistics/database/rooms statistics/users/media suspend/{user_id} threepid/{medium}/users/{address}
        user/redact_status/{redact_id} user/{user_id}/media/quarantine user/{user_id}/redact user_reports
        user_reports/{report_id} username_available users users/{user_id}
        users/{user_id}/_allow_cross_signing_replacement_without_uia users/{user_id}/accountdata users/{user_id}/admin
        users/{user_id}/cumulative_joined_room_count users/{user_id}/delete_devices users/{user_id}/devices
        users/{user_id}/devices/{device_id} users/{user_id}/joined_rooms users/{user_id}/login users/{user_id}/media
        users/{user_id}/memberships users/{user_id}/override_ratelimit users/{user_id}/pushers
        users/{user_id}/sent_invite_count users/{user_id}/shadow_ban whois/{user_id}
    """,
}
