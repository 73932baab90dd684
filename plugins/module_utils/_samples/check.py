# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether a server still has the objects of a sample, as its API shows them."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, JsonObject, filled
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    AuthenticationFailed,
    EndpointMissing,
    NotFound,
    PermissionDenied,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sample import (
    KINDS,
    Sample,
    content_hash,
    count_sample,
    device_keys_hash,
)

_LOGIN = "login"
_USERS = "/_synapse/admin/v2/users/{user_id}"
_MEMBERSHIPS = "/_synapse/admin/v1/users/{user_id}/memberships"
_JOINED = "/_synapse/admin/v1/users/{user_id}/joined_rooms"
_EVENT = "/_synapse/admin/v1/fetch_event/{event_id}"
_ALIAS = "/_matrix/client/v3/directory/room/{alias}"
_MEDIA = "/_matrix/client/v1/media/download/{server_name}/{media_id}"
_KEYS = "/_matrix/client/v3/keys/query"
_LOG_IN = "/_synapse/admin/v1/users/{user_id}/login"
_LOG_OUT = "/_matrix/client/v3/logout"
# In milliseconds. A token that could not be removed is soon without effect.
_VALID_FOR = 60_000
_PART = 1 << 18
_NEEDS_TOKEN = "Set access_token or access_token_path to the token of a server admin."


class SampleCheck(t.NamedTuple):
    """What a comparison has found.

    `differences`: a sentence for each object that is missing or different. `unknown`: what could not be compared, each
    with `name`, `reason` and `fix`. `proven`: how many objects of each kind are the same; `login` is 1 if an account
    could be logged in.
    """

    differences: list[str]
    unknown: list[dict[str, str]]
    proven: dict[str, int]


def check_sample(sample: Sample, client: Client | None, *, login: bool = True) -> SampleCheck:
    """Compare the objects of a sample with a running server.

    `client`: with the token of a server admin; without a token or a client, what cannot be compared is `unknown`.
    `login`: whether to log in an account, which writes a token into the database and removes it.

    The same differences have the same sentences each time. Raises SynapseError if the server cannot be reached.
    """
    check = _Check(sample, client)
    for kind in KINDS:
        check.compare(kind)
    if login:
        check.log_in()
    return SampleCheck(check.differences, list(check.unknown.values()), check.proven)


class _Impossible(Exception):
    """A kind of objects cannot be compared. `error`: why."""

    def __init__(self, error: SynapseError) -> None:
        super().__init__(error.message)
        self.error = error


class _Check:
    def __init__(self, sample: Sample, client: Client | None) -> None:
        self._sample = sample
        self._client = client
        self.differences: list[str] = []
        self.unknown: dict[str, dict[str, str]] = {}
        self.proven: dict[str, int] = {}

    def compare(self, kind: str) -> None:
        """Compare all objects of a kind."""
        objects = self._sample.get(kind, [])
        self.proven[kind] = 0
        if not objects:
            return
        # The directory of rooms is public.
        client = self._client if kind == "aliases" or self._has_token else None
        if client is None:
            self._unknown(kind, "The server was not asked, because there is no access token.", _NEEDS_TOKEN)
            return
        compare = getattr(self, f"_{kind}")
        for one in objects:
            progress.report(Work.SAMPLE, sum(self.proven.values()), count_sample(self._sample))
            try:
                difference = compare(client, one)
            except _Impossible as impossible:
                self._unknown(kind, impossible.error.message, _fix(impossible.error))
                return
            if difference:
                self.differences.append(difference)
            else:
                self.proven[kind] += 1

    def log_in(self) -> None:
        """Log in one of the accounts for a moment, and ask the server who it is."""
        self.proven[_LOGIN] = 0
        client = self._client
        if client is None or not self._has_token:
            self._unknown(_LOGIN, "No account was logged in, because there is no access token.", _NEEDS_TOKEN)
            return
        try:
            caller = _asked(lambda: client.caller)
            candidates = [user_id for user_id in self._sample.get("logins", []) if user_id != caller]
            if not candidates:
                fix = "Create an account that is not a server admin."
                self._unknown(_LOGIN, "There is no account that may be logged in for a test.", fix)
                return
            difference = self._log_in(client, candidates[0])
        except _Impossible as impossible:
            self._unknown(_LOGIN, impossible.error.message, _fix(impossible.error))
            return
        if difference:
            self.differences.append(difference)
        else:
            self.proven[_LOGIN] = 1

    def _log_in(self, client: Client, user_id: str) -> str:
        body = {"valid_until_ms": client.now_ms() + _VALID_FOR}
        try:
            token = _asked(lambda: client.post(_LOG_IN, body, user_id=user_id)).get("access_token")
        except ApiError as error:
            return f"The account {user_id} cannot be logged in: {error.message}"
        if not isinstance(token, str):
            return f"The account {user_id} cannot be logged in: the answer contains no access token."
        person = client.speaking_as(token)
        try:
            found = person.caller
        except ApiError as error:
            return f"The account {user_id} was logged in, but its access token is not accepted: {error.message}"
        finally:
            with contextlib.suppress(SynapseError):
                person.post(_LOG_OUT, {})
        return "" if found == user_id else f"The account {user_id} was logged in, but the server calls it {found}."

    @property
    def _has_token(self) -> bool:
        return self._client is not None and self._client.has_token

    def _unknown(self, name: str, reason: str, fix: str) -> None:
        self.unknown[name] = {"name": name, "reason": reason, "fix": fix}

    def _accounts(self, client: Client, account: JsonObject) -> str:
        user_id = account["user_id"]
        try:
            found = _asked(lambda: client.get(_USERS, user_id=user_id))
        except NotFound:
            return f"The account {user_id} does not exist."
        wrong = [
            name
            for name in ("admin", "deactivated", "creation_ts", "is_guest", "user_type", "appservice_id")
            if (found.get(name) or type(account[name])()) != account[name]
        ]
        wrong += [
            name for name in ("displayname", "avatar_url") if content_hash(found.get(name)) != account[f"{name}_sha256"]
        ]
        return f"The account {user_id} has another {', '.join(wrong)} than before." if wrong else ""

    def _events(self, client: Client, event: JsonObject) -> str:
        name = f"The event {event['event_id']} in {event['room_id'] or 'a room'}"
        try:
            found = _asked(lambda: client.get(_EVENT, event_id=event["event_id"])).get("event")
        except NotFound:
            return f"{name} does not exist."
        shown = found if isinstance(found, dict) else {}
        wrong = [key for key in ("type", "sender", "origin_server_ts") if shown.get(key) != event[key]]
        wrong += ["content"] if content_hash(shown.get("content")) != event["sha256"] else []
        return f"{name} has another {', '.join(wrong)} than before." if wrong else ""

    def _devices(self, client: Client, device: JsonObject) -> str:
        user_id, device_id = device["user_id"], device["device_id"]
        answer = _asked(lambda: client.post(_KEYS, {"device_keys": {user_id: [device_id]}}))
        found: t.Any = answer
        for key in ("device_keys", user_id, device_id):
            found = found.get(key) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            return f"The device {device_id} of {user_id} has no keys."
        same = device_keys_hash(found) == device["sha256"]
        return "" if same else f"The device {device_id} of {user_id} has other keys than before."

    def _aliases(self, client: Client, alias: JsonObject) -> str:
        try:
            found = _asked(lambda: client.get(_ALIAS, alias=alias["alias"])).get("room_id")
        except NotFound:
            return f"The alias {alias['alias']} does not exist."
        room_id = alias["room_id"]
        return "" if found == room_id else f"The alias {alias['alias']} leads to {found} instead of {room_id}."

    def _media(self, client: Client, media: JsonObject) -> str:
        server_name = self._sample.get("server_name", "")
        where = filled(_MEDIA, {"server_name": server_name, "media_id": media["media_id"]})
        name = f"The file mxc://{server_name}/{media['media_id']}"
        digest, size = hashlib.sha256(), 0
        try:
            with client.streamed(where, params={"allow_redirect": "false"}, headers={}) as response:
                if response.status_code != 200:
                    _asked(lambda: client.answer_of("GET", where, response))
                    return f"{name} cannot be downloaded: status {response.status_code}."
                for part in response.iter_content(_PART):
                    digest.update(part)
                    size += len(part)
        except NotFound:
            return f"{name} does not exist."
        except ApiError as error:
            return f"{name} cannot be downloaded: {error.message}"
        except UnexpectedAnswer as error:
            # Such as a redirection to a place outside of Synapse.
            raise _Impossible(error) from error
        if size != media["bytes"]:
            return f"{name} has {size} instead of {media['bytes']} bytes."
        known = media["sha256"]
        return f"{name} has another content than before." if known and digest.hexdigest() != known else ""

    def _memberships(self, client: Client, membership: JsonObject) -> str:
        user_id, room_id = membership["user_id"], membership["room_id"]
        try:
            found = _asked(lambda: client.get(_MEMBERSHIPS, user_id=user_id)).get("memberships")
            now = found.get(room_id) if isinstance(found, dict) else None
        except _Impossible as impossible:
            # An older Synapse only shows the rooms that an account is in.
            if not isinstance(impossible.error, EndpointMissing) or membership["membership"] != "join":
                raise
            rooms = _asked(lambda: client.get(_JOINED, user_id=user_id)).get("joined_rooms")
            now = "join" if isinstance(rooms, list) and room_id in rooms else None
        if now == membership["membership"]:
            return ""
        state = f"has the membership {now}" if now else "has no membership"
        return f"The account {user_id} {state} in {room_id} instead of {membership['membership']}."


Answer = t.TypeVar("Answer")


def _asked(ask: t.Callable[[], Answer]) -> Answer:
    """Return an answer. Raises _Impossible if the server does not give it to this token, or does not have it at all."""
    try:
        return ask()
    except (AuthenticationFailed, PermissionDenied, EndpointMissing) as error:
        raise _Impossible(error) from error


def _fix(error: SynapseError) -> str:
    if isinstance(error, EndpointMissing):
        return "Compare it by hand, or set base_url to the URL of a process of Synapse that serves this path."
    return _NEEDS_TOKEN
