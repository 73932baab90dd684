# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""People who know each other, and the rooms in which they meet: one of each version, all made through Synapse's API.

Nobody outside knows any of them, so that a copy of all of them under other names is as complete as they are.
"""

from __future__ import annotations

import concurrent.futures
import typing as t

from neighbour import MARK, Person, Reached, give_keys, quoted
from neighbour_room import Room, give_events_of_members, give_settings

from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

PEOPLE = 80
ROOMS = 12
# At least so many events are there in the end.
EVENTS = 8000
MEDIA = 20
_MEMBERS = 20
# As many as Synapse can make use of.
_AT_A_TIME = 4


def make(described: Json) -> None:
    """Make all people, rooms, events and media on a server that has none of them, which is described."""
    reached = Reached(described)
    people = [Person(reached, number) for number in range(PEOPLE)]
    for number, person in enumerate(people):
        give_keys(person, signs=number % 4 == 0)
        if number % 4 == 1:
            person.log_in("SECOND")
        if number % 4:
            # Else most of the work, and of the rows, would be notifications.
            person.ask("PUT", "/pushrules/global/override/.m.rule.master/enabled", {"enabled": True})
    rooms = [
        Room(number, [people[(number * 6 + place) % PEOPLE] for place in range(_MEMBERS)]) for number in range(ROOMS)
    ]
    for number, room in enumerate(rooms):
        give_events_of_members(room, people, number)
    media = [people[number].upload(number) for number in range(MEDIA)]
    for number, uri in enumerate(media):
        room = rooms[number % ROOMS]
        room.members[number % 5].send(room.room_id, "m.room.message", {"msgtype": "m.image", "body": "p", "url": uri})
        people[number].ask("PUT", f"/profile/{quoted(people[number].user_id)}/avatar_url", {"avatar_url": uri})
    for room in rooms:
        give_settings(room)
    with concurrent.futures.ThreadPoolExecutor(_AT_A_TIME) as threads:
        list(threads.map(lambda room: room.talk(EVENTS // ROOMS + 1 - room.events()), rooms))
    _give_more(people, rooms)
    _end_some(reached.server, people)


def _give_more(people: t.Sequence[Person], rooms: t.Sequence[Room]) -> None:
    """Set what people have apart from rooms: account data, filters, pushers, presence, messages to devices, reports."""
    for number, person in enumerate(people):
        own, other = f"/user/{quoted(person.user_id)}", people[(number + 1) % PEOPLE]
        person.ask("PUT", f"{own}/account_data/m.direct", {other.user_id: [rooms[number % ROOMS].room_id]})
        if number % 4 == 0:
            person.ask("POST", f"{own}/filter", {"room": {"timeline": {"limit": 10}}})
            words = {"body": f"from {MARK}"}
            to = {"messages": {other.user_id: {other.device_id: words}}}
            person.ask("PUT", f"/sendToDevice/org.test/{number}", to)
        if number % 10 == 2:
            person.ask("PUT", f"{own}/account_data/m.ignored_user_list", {"ignored_users": {other.user_id: {}}})
            person.ask("POST", f"{own}/openid/request_token")
            person.ask("PUT", f"/presence/{quoted(person.user_id)}/status", {"presence": "online", "status_msg": MARK})
        if number % 20 == 7:
            room = rooms[number % ROOMS]
            speaker = room.members[2]
            sent = speaker.send(room.room_id, *room.message(number))
            path = f"{room.path}/report/{quoted(sent)}"
            room.members[3].ask("POST", path, {"reason": "odd"})
    for person in people[:2]:
        person.slide()
    # Last, so that nothing is waiting to be pushed to a place that does not exist.
    for person in people[:10]:
        pusher = {
            "kind": "http",
            "app_id": "org.test",
            "app_display_name": "Test",
            "device_display_name": "Test",
            "pushkey": f"key of {person.name}",
            "lang": "en",
            "data": {"url": "http://127.0.0.1:9/_matrix/push/v1/notify"},
        }
        person.ask("POST", "/pushers/set", pusher)


def _end_some(server: Server, people: t.Sequence[Person]) -> None:
    """Deactivate an account, erase one, lock one, shadow-ban one."""
    gone, erased, locked, banned = (quoted(person.user_id) for person in people[-4:])
    server.send("POST", f"/_synapse/admin/v1/deactivate/{gone}", {"erase": False})
    server.send("POST", f"/_synapse/admin/v1/deactivate/{erased}", {"erase": True})
    server.send("PUT", f"/_synapse/admin/v2/users/{locked}", {"locked": True})
    server.send("POST", f"/_synapse/admin/v1/users/{banned}/shadow_ban")
