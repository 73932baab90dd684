# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a log has in it: kinds of requests and of other lines, each with its share, and the programs that send requests.

In braces stands what is different in each line, see `log_lines`.
"""

from __future__ import annotations

import typing as t


class Kind(t.NamedTuple):
    """One kind of request.

    `share`: how many of about 1300 requests are of this kind. `path`: with names in braces for what is different in
    each of them. `seconds`: the mean of the processing times. `of_server`: whether other servers send it, not users.
    `waits`: whether it ends after half a minute if nothing happens.
    """

    share: int
    method: str
    path: str
    seconds: float
    of_server: bool = False
    waits: bool = False


KINDS = (
    Kind(
        300,
        "GET",
        "/_matrix/client/v3/sync?filter={n}&timeout=30000&set_presence=online&since={since}",
        8.0,
        waits=True,
    ),
    Kind(
        20,
        "POST",
        "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?pos={n}%2F{since}&timeout=30000",
        8.0,
        waits=True,
    ),
    Kind(35, "POST", "/_matrix/client/v3/keys/query", 0.05),
    Kind(12, "POST", "/_matrix/client/v3/keys/upload", 0.03),
    Kind(5, "POST", "/_matrix/client/v3/keys/claim", 0.04),
    Kind(15, "PUT", "/_matrix/client/v3/sendToDevice/m.room.encrypted/{transaction}", 0.03),
    Kind(30, "PUT", "/_matrix/client/v3/rooms/!{room}/send/m.room.encrypted/{transaction}", 0.15),
    Kind(12, "PUT", "/_matrix/client/v3/rooms/!{room}/send/m.room.message/{transaction}", 0.15),
    Kind(6, "PUT", "/_matrix/client/v3/rooms/!{room}/send/m.reaction/{transaction}", 0.12),
    Kind(40, "PUT", "/_matrix/client/v3/rooms/!{room}/typing/{user}", 0.01),
    Kind(35, "POST", "/_matrix/client/v3/rooms/!{room}/receipt/m.read/%24{id}", 0.02),
    Kind(20, "POST", "/_matrix/client/v3/rooms/!{room}/read_markers", 0.03),
    Kind(30, "GET", "/_matrix/client/v3/rooms/!{room}/messages?from={since}&dir=b&limit=20&filter=%7B%7D", 0.2),
    Kind(15, "GET", "/_matrix/client/v3/rooms/!{room}/members?not_membership=leave&at={since}", 0.3),
    Kind(6, "GET", "/_matrix/client/v3/rooms/!{room}/context/%24{id}?limit=0", 0.08),
    Kind(8, "GET", "/_matrix/client/v1/rooms/!{room}/relations/%24{id}/m.thread?dir=b&limit=5", 0.05),
    Kind(5, "GET", "/_matrix/client/v3/rooms/!{room}/event/%24{id}", 0.03),
    Kind(2, "PUT", "/_matrix/client/v3/rooms/!{room}/redact/%24{id}/{transaction}", 0.15),
    Kind(2, "POST", "/_matrix/client/v3/join/!{room}?server_name={server}&via={server}", 2.0),
    Kind(80, "GET", "/_matrix/client/v1/media/thumbnail/{server}/{media}?width=40&height=40&method=crop", 0.06),
    Kind(18, "GET", "/_matrix/client/v1/media/download/{server}/{media}?allow_redirect=true", 0.2),
    Kind(2, "POST", "/_matrix/media/v3/upload?filename={media}.jpg", 0.5),
    Kind(20, "GET", "/_matrix/client/v3/profile/{user}", 0.04),
    Kind(8, "GET", "/_matrix/client/v3/profile/{user}/displayname", 0.02),
    Kind(4, "GET", "/_matrix/client/v3/presence/{user}/status", 0.01),
    Kind(5, "PUT", "/_matrix/client/v3/user/{user}/account_data/im.vector.analytics", 0.05),
    Kind(5, "PUT", "/_matrix/client/v3/user/{user}/rooms/!{room}/account_data/m.fully_read", 0.05),
    Kind(2, "POST", "/_matrix/client/v3/user/{user}/filter", 0.02),
    Kind(6, "GET", "/_matrix/client/v3/pushrules/", 0.01),
    Kind(6, "GET", "/_matrix/client/v3/voip/turnServer", 0.01),
    Kind(6, "GET", "/_matrix/client/v3/capabilities", 0.01),
    Kind(15, "GET", "/_matrix/client/versions", 0.002),
    Kind(6, "GET", "/_matrix/client/v3/room_keys/keys/!{room}/{media}?version=1", 0.02),
    Kind(4, "PUT", "/_matrix/client/v3/room_keys/keys?version=2", 0.05),
    Kind(3, "POST", "/_matrix/client/v3/login", 0.4),
    Kind(3, "GET", "/_matrix/client/v3/account/whoami", 0.01),
    Kind(3, "GET", "/_matrix/client/v3/devices", 0.02),
    Kind(2, "GET", "/_matrix/client/v3/directory/room/%23general{n}%3Aexample.org", 0.1),
    Kind(2, "POST", "/_matrix/client/v3/user_directory/search", 0.1),
    Kind(2, "GET", "/_matrix/client/v1/media/preview_url?url=https%3A%2F%2F{server}%2F{media}", 0.8),
    Kind(3, "OPTIONS", "/_matrix/client/v3/rooms/!{room}/typing/{user}", 0.001),
    Kind(2, "GET", "/{media}.php?id={n}", 0.001),
    Kind(1, "GET", "/_synapse/admin/v2/users?from={n}&limit=100", 0.2),
    Kind(230, "PUT", "/_matrix/federation/v1/send/{transaction}", 0.12, of_server=True),
    Kind(30, "GET", "/_matrix/federation/v1/event/%24{id}", 0.02, of_server=True),
    Kind(12, "GET", "/_matrix/federation/v1/state_ids/%21{room}?event_id=%24{id}", 0.4, of_server=True),
    Kind(4, "GET", "/_matrix/federation/v1/state/%21{room}?event_id=%24{id}", 0.8, of_server=True),
    Kind(10, "GET", "/_matrix/federation/v1/backfill/%21{room}?v=%24{id}&limit=100", 0.3, of_server=True),
    Kind(10, "POST", "/_matrix/federation/v1/get_missing_events/%21{room}", 0.1, of_server=True),
    Kind(15, "GET", "/_matrix/federation/v1/query/profile?user_id={user}&field=displayname", 0.01, of_server=True),
    Kind(10, "GET", "/_matrix/federation/v1/user/devices/{user}", 0.02, of_server=True),
    Kind(10, "POST", "/_matrix/federation/v1/user/keys/query", 0.03, of_server=True),
    Kind(3, "POST", "/_matrix/federation/v1/user/keys/claim", 0.03, of_server=True),
    Kind(2, "GET", "/_matrix/federation/v1/make_join/%21{room}/{user}?ver=10&ver=11&ver=12", 0.2, of_server=True),
    Kind(2, "PUT", "/_matrix/federation/v2/send_join/%21{room}/%24{id}?omit_members=true", 1.5, of_server=True),
    Kind(2, "GET", "/_matrix/federation/v1/hierarchy/%21{room}?suggested_only=false", 0.2, of_server=True),
    Kind(8, "GET", "/_matrix/federation/v1/media/download/{media}?timeout_ms=20000", 0.1, of_server=True),
    Kind(8, "GET", "/_matrix/key/v2/server", 0.005, of_server=True),
)
# Of other loggers: the share, the fields before the message ({tag}: of the request just before), and the message.
OTHERS: tuple[tuple[int, str, str], ...] = (
    (
        30,
        "synapse.http.matrixfederationclient - 768 - INFO - {tag}",
        "{GET-O-{n}} [{server}] Completed request: 200"
        " OK in 0.{n} secs, got {n} bytes - GET matrix-federation://{server}/_matrix/federation/v1/event/%24{id}",
    ),
    (
        25,
        "synapse.federation.sender.transaction_manager - 131 - INFO - federation_transaction_transmission_loop-{n}",
        "TX [{server}] {{transaction}} Sending transaction [{transaction}], (PDUs: 1, EDUs: 0)",
    ),
    (
        20,
        "synapse.http.matrixfederationclient - 768 - INFO - federation_transaction_transmission_loop-{n}",
        "{PUT-O-{n}} [{server}] Completed request: 200 OK in 0.{n} secs, got 11 bytes - PUT"
        " matrix-federation://{server}/_matrix/federation/v1/send/{transaction}",
    ),
    (
        25,
        "synapse.handlers.federation_event - 233 - INFO - {tag}",
        "handling received PDU in room !{room}: <FrozenEventV4 event_id=${id}, type=m.room.message, state_key=None,"
        " outlier=False>",
    ),
    (
        15,
        "synapse.federation.federation_server - 1294 - INFO - {tag}",
        "Received PDU ${id} in room !{room} from {server}, {n} others are waiting",
    ),
    (
        15,
        "synapse.storage.databases.main.events - 387 - INFO - persist_events-{n}",
        "Persisted 1 event in room !{room} at stream position {n}, extremities: ${id}",
    ),
    (10, "synapse.state - 611 - INFO - {tag}", "Resolving state for !{room} with groups [{n}, {n}]"),
    (
        10,
        "synapse.push.httppusher - 408 - INFO - httppush.process-{n}",
        "Push ${id} for user @user{n}:example.org took 0.{n} secs",
    ),
    (10, "synapse.handlers.sync - 430 - INFO - {tag}", "User @user{n}:example.org waits for news since {since}"),
    (
        6,
        "synapse.http.matrixfederationclient - 840 - INFO - federation_transaction_transmission_loop-{n}",
        "{PUT-O-{n}} [{server}] Request failed: PUT matrix-federation://{server}/_matrix/federation/v1/send/{transaction}:"
        " ConnectError(TimeoutError())",
    ),
    (
        4,
        "synapse.util.retryutils - 196 - INFO - federation_transaction_transmission_loop-{n}",
        "Connection to {server} was unsuccessful (<class 'twisted.internet.error.TimeoutError'>); backing off now",
    ),
    (
        2,
        "synapse.crypto.keyring - 881 - WARNING - _process_queue_batch-{n}",
        "Error looking up keys of {server}, which signed ${id}",
    ),
    (
        1,
        "synapse.media.media_repository - 571 - ERROR - {tag}",
        "Failed to fetch {media} of {server}\nTraceback (most recent call last):\n"
        '  File "synapse/media/media_repository.py", line 571, in _get_remote_media_impl\n'
        "    media_info = await self._download_remote_file(\n"
        "synapse.http.client.RequestTimedOutError: {n}: Timeout waiting for {server}",
    ),
)
CLIENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) ElementNightly/1.12.4"
    " Chrome/140.0.7339.133 Electron/38.2.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1"
    " Safari/605.1.15",
    "Element X/25.11.2 (Google Pixel 8; Android 16; BP3A.251105.015; Sdk 25.11.2)",
    "Element X/25.11.2 (samsung SM-S921B; Android 15; AP3A.240905.015.A2; Sdk 25.11.2)",
    "Element X/25.11.1 (iPhone 15; iOS 26.1; Scale/3.00)",
    "Element/1.6.44 (Xiaomi Redmi Note 12; Android 14; UKQ1.231003.002; Flavour GooglePlay; MatrixAndroidSdk2 1.6.44)",
    "Fractal",
    "fluffychat-ios 2.2.0",
    "nheko",
    "mautrix-telegram/0.15.3 mautrix-python/0.20.8",
    "Cinny/4.10 tauri",
)
PROGRAMS = ("Synapse/1.163.1", "Synapse/1.162.0", "Synapse/1.140.0", "Dendrite/0.15.2", "continuwuity/0.5.0-rc.8")
STATUSES = ("200",) * 60 + ("404", "404", "403", "401", "429", "400", "502")
