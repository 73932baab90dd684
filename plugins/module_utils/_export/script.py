# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The program that Synapse's Python runs: its own export-data, patched so that no account can make it fail."""

from __future__ import annotations

# json.dump overflows for deeply nested data that the server accepted. Reading the data again may overflow too, because
# the stack is deeper than when it was accepted; in a new thread it is not.
_DEPTH = """
import concurrent.futures, hashlib, json, runpy, sys
sys.setrecursionlimit(5000)

class Raw(str):
    pass

def encode_deep(value):
    parts, waiting = [], [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Raw):
            parts.append(value)
        elif isinstance(value, dict):
            waiting.append(Raw("}"))
            for number, (key, content) in enumerate(reversed(value.items())):
                last = number + 1 == len(value)
                waiting += [content, Raw(("" if last else ", ") + json.dumps(key) + ": ")]
            waiting.append(Raw("{"))
        elif isinstance(value, (list, tuple)):
            waiting.append(Raw("]"))
            for number, content in enumerate(reversed(value)):
                waiting += [content] if number + 1 == len(value) else [content, Raw(", ")]
            waiting.append(Raw("["))
        else:
            parts.append(json.dumps(value))
    return "".join(parts)

plain_dump, plain_decode = json.dump, json.JSONDecoder.decode

def dump(value, fp, **options):
    if options:
        return plain_dump(value, fp, **options)
    try:
        text = json.dumps(value)
    except RecursionError:
        text = encode_deep(value)
    fp.write(text)

def decode(self, text, *more):
    try:
        return plain_decode(self, text, *more)
    except RecursionError:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(plain_decode, self, text, *more).result()

json.dump, json.JSONDecoder.decode = dump, decode
"""
# The state in an invite or a knock is a list, but Synapse expects a mapping. Ids become parts of paths: they are
# replaced by digests, and written to a file for the code that renames the files (see _export.written).
_EXPORT = """
from synapse.handlers.admin import AdminHandler
from synapse.storage.databases.main.roommember import RoomMemberWorkerStore

class Listed(list):
    def values(self):
        return self

def listed(state):
    return state if hasattr(state, "values") else Listed(state)

known = set()
written = open(IDS, "x", buffering=1)

def name_of(id):
    name = hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()
    if name not in known:
        known.add(name)
        print(json.dumps(id), file=written)
    return name

class Writer:
    def __init__(self, writer):
        self._writer = writer

    def __getattr__(self, name):
        return getattr(self._writer, name)

    def write_events(self, room_id, events):
        self._writer.write_events(name_of(room_id), events)

    def write_state(self, room_id, event_id, state):
        self._writer.write_state(name_of(room_id), name_of(event_id), state)

    def write_invite(self, room_id, event, state):
        self._writer.write_invite(name_of(room_id), event, listed(state))

    def write_knock(self, room_id, event, state):
        self._writer.write_knock(name_of(room_id), event, listed(state))

    def write_account_data(self, name, data):
        self._writer.write_account_data(name if name == "global" else name_of(name), data)

    def write_media_id(self, media_id, description):
        self._writer.write_media_id(name_of(media_id), description)

export = AdminHandler.export_user_data

async def export_user_data(self, user_id, writer):
    return await export(self, user_id, Writer(writer))

AdminHandler.export_user_data = export_user_data
"""
# As if no room had ever been forgotten.
_WITH_FORGOTTEN = """
async def did_forget(self, user_id, room_id):
    return False

async def get_forgotten_rooms_for_user(self, user_id):
    return frozenset()

RoomMemberWorkerStore.did_forget = did_forget
RoomMemberWorkerStore.get_forgotten_rooms_for_user = get_forgotten_rooms_for_user
"""
_RUN = """
runpy.run_module("synapse.app.admin_cmd", run_name="__main__", alter_sys=True)
"""


def export_script(ids_path: str, *, include_forgotten: bool) -> str:
    """Return the program for Synapse's Python, to be followed by the arguments of synapse.app.admin_cmd.

    Instead of every id it uses the SHA-256 of the id in hexadecimal as a name. It writes the ids into a new file at
    `ids_path`, each as a JSON string on its own line. `include_forgotten`: see _export.command.run_export.
    """
    return f"IDS = {ids_path!r}{_DEPTH}{_EXPORT}{_WITH_FORGOTTEN if include_forgotten else ''}{_RUN}"
