# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Samples of real databases, and what a server that has lost or changed an object looks like."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, find_database
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.check import SampleCheck, check_sample
from ansible_collections.matrix_ops.synapse.plugins.module_utils._samples.sample import (
    Sample,
    choose_sample,
    count_sample,
)
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.server import Json, Server

VERSIONS = [str(number) for number in range(1, 13)]
_WORD = "nobody else may read this"


class Content(t.NamedTuple):
    """What a server has: an old message of each room version, and one of each kind of the other objects."""

    server: Server
    person: str
    token: str
    messages: dict[str, str]
    alias: str
    media: str
    invited_to: str


def _sample(server: Server, limit: int = 50) -> Sample:
    with Database(find_database(read_configuration(server.config_path))) as database:
        return choose_sample(database, limit)


def _client(server: Server, token: str | None) -> Client:
    return Client(server.base_url, token)


def _check(server: Server, sample: Sample, **options: t.Any) -> SampleCheck:
    return check_sample(sample, _client(server, server.token), **options)


def _upload(server: Server, token: str, content: bytes) -> str:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
    asked = urllib.request.Request(f"{server.base_url}/_matrix/media/v3/upload?filename=a.txt", content, headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return str(json.loads(answer.read())["content_uri"].rpartition("/")[2])


def _device_keys(user_id: str, device_id: str) -> Json:
    keys = {f"{kind}:{device_id}": os.urandom(24).hex() for kind in ("curve25519", "ed25519")}
    signature = {user_id: {f"ed25519:{device_id}": "c2lnbmF0dXJl"}}
    algorithms = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]
    described = {"user_id": user_id, "device_id": device_id, "algorithms": algorithms, "keys": keys}
    return {**described, "signatures": signature}


def make_content(server: Server) -> Content:
    """Make rooms of all versions with messages, a file, a device with keys, an alias and an invitation."""
    person = server.make_account("person", password="pass word", displayname=f"{_WORD} \u00e9")
    other = server.make_account("other", password="pass word")
    server.make_account("gone", password="pass word")
    server.send("POST", f"/_synapse/admin/v1/deactivate/{server.user_id('gone')}", {"erase": False})
    token = server.log_in(person, "pass word", "PHONE")
    assert token
    messages: dict[str, str] = {}
    for version in VERSIONS:
        room_id = server.make_room(token, room_version=version)
        content = {"msgtype": "m.text", "body": f"{_WORD} {version} \u00fc", "number": 2**53 - 1}
        path = f"/_matrix/client/v3/rooms/{room_id}/send/m.room.message/m{version}"
        messages[version] = server.send("PUT", path, content, token)["event_id"]
    made = {"preset": "public_chat", "room_alias_name": "lobby", "invite": [other]}
    invited_to = server.make_room(token, **made)
    server.send("POST", "/_matrix/client/v3/keys/upload", {"device_keys": _device_keys(person, "PHONE")}, token)
    media = _upload(server, token, _WORD.encode() * 100)
    return Content(server, person, token, messages, f"#lobby:{server.name}", media, invited_to)


@pytest.fixture(
    scope="module",
    params=[pytest.param(engine, marks=pytest.mark.xdist_group(f"sampled {engine}")) for engine in servers.ENGINES],
)
def content(request: pytest.FixtureRequest) -> t.Iterator[Content]:
    """A server of one's own with something of everything."""
    with servers.own_servers(request.param) as [server]:
        yield make_content(server)


def test_sample_holds_something_of_everything(content: Content) -> None:
    sample = _sample(content.server)
    # It can be kept, and nobody learns from it what was said.
    assert json.loads(json.dumps(sample)) == sample
    assert _WORD not in json.dumps(sample)
    versions = {event["room_version"]: event["event_id"] for event in sample["events"] if event["room_version"]}
    assert versions == {**versions, **content.messages}
    assert {"person", "gone"} <= {account["user_id"][1:].partition(":")[0] for account in sample["accounts"]}
    assert [(each["user_id"], each["device_id"]) for each in sample["devices"]] == [(content.person, "PHONE")]
    assert [each["alias"] for each in sample["aliases"]] == [content.alias]
    digest = hashlib.sha256(_WORD.encode() * 100).hexdigest()
    assert sample["media"] == [{"media_id": content.media, "bytes": len(_WORD) * 100, "sha256": digest}]
    invitation = {"room_id": content.invited_to, "user_id": content.server.user_id("other"), "membership": "invite"}
    assert invitation in sample["memberships"]
    assert sample["server_name"] == content.server.name
    assert count_sample(_sample(content.server, 20)) < count_sample(sample)


def test_the_same_server_has_the_sample(content: Content) -> None:
    sample = _sample(content.server)
    tokens = "SELECT count(*) FROM access_tokens"
    before = content.server.rows(tokens)
    found = _check(content.server, sample)
    assert found.differences == []
    assert found.unknown == []
    assert found.proven["login"] == 1
    assert sum(found.proven.values()) == count_sample(sample) + 1
    # The account was logged out again.
    assert content.server.rows(tokens) == before
    assert _check(content.server, sample, login=False).proven == {
        kind: number for kind, number in found.proven.items() if kind != "login"
    }


def test_what_is_lost_or_changed(content: Content) -> None:
    """Nothing that is different in a sample stays unnoticed, each in a sentence of its own."""
    sample = _sample(content.server)
    wrong: Sample = json.loads(json.dumps(sample))
    message = next(each for each in wrong["events"] if each["room_version"] == "1")
    message["sha256"] = "0"
    wrong["events"].append({**message, "event_id": "$nothing"})
    person = next(each for each in wrong["accounts"] if each["user_id"] == content.person)
    person.update(admin=True, displayname_sha256="0")
    wrong["accounts"].append({**person, "user_id": content.server.user_id("nobody")})
    wrong["devices"][0]["sha256"] = "0"
    wrong["devices"].append({**wrong["devices"][0], "device_id": "LOST"})
    wrong["aliases"][0]["room_id"] = "!other"
    wrong["aliases"].append({"alias": f"#lost:{content.server.name}", "room_id": "!other"})
    file = wrong["media"][0]
    wrong["media"] = [{**file, "sha256": "0"}, {**file, "bytes": 1}, {**file, "media_id": "lost"}, file]
    wrong["memberships"].append({"room_id": "!lost", "user_id": content.person, "membership": "join"})
    found = _check(content.server, wrong)
    assert found.unknown == []
    assert found.proven["media"] == 1
    url = f"mxc://{content.server.name}"
    assert sorted(found.differences) == sorted(
        [
            f"The event {message['event_id']} in {message['room_id']} has another content than before.",
            f"The event $nothing in {message['room_id']} does not exist.",
            f"The account {content.person} has another admin, displayname than before.",
            f"The account {content.server.user_id('nobody')} does not exist.",
            f"The device PHONE of {content.person} has other keys than before.",
            f"The device LOST of {content.person} has no keys.",
            f"The alias {content.alias} leads to {content.invited_to} instead of !other.",
            f"The alias #lost:{content.server.name} does not exist.",
            f"The file {url}/{content.media} has another content than before.",
            f"The file {url}/{content.media} has {len(_WORD) * 100} instead of 1 bytes.",
            f"The file {url}/lost does not exist.",
            f"The account {content.person} has no membership in !lost instead of join.",
        ]
    )
    assert _check(content.server, wrong).differences == found.differences


def test_file_that_is_gone_from_the_disk(content: Content) -> None:
    sample = _sample(content.server)
    lost = _upload(content.server, content.token, b"lost")
    sample["media"] = [{"media_id": lost, "bytes": 4, "sha256": hashlib.sha256(b"lost").hexdigest()}]
    assert _check(content.server, sample).proven["media"] == 1
    store = Path(content.server.directory, "media_store", "local_content", lost[:2], lost[2:4], lost[4:])
    store.unlink()
    [difference] = _check(content.server, sample).differences
    assert difference.startswith(f"The file mxc://{content.server.name}/{lost} ")
    content.server.send("DELETE", f"/_synapse/admin/v1/media/{content.server.name}/{lost}")


@pytest.mark.parametrize("kind", ["without a client", "without a token", "of a user", "that is not valid"])
def test_token(content: Content, kind: str) -> None:
    """What a token does not show is unknown, never taken for right."""
    sample = _sample(content.server)
    tokens = {"without a token": None, "of a user": content.token, "that is not valid": "syt_none"}
    client = None if kind == "without a client" else _client(content.server, tokens[kind])
    found = check_sample(sample, client)
    assert found.differences == []
    proven = {name for name, number in found.proven.items() if number}
    assert (
        proven
        == {
            "without a client": set(),
            "without a token": {"aliases"},
            "of a user": {"aliases", "media", "devices"},
            "that is not valid": {"aliases"},
        }[kind]
    )
    unknown = {each["name"] for each in found.unknown}
    assert unknown == {"accounts", "events", "devices", "aliases", "media", "memberships", "login"} - proven
    assert all(each["reason"] and each["fix"] for each in found.unknown)


def test_database_without_anything() -> None:
    with servers.own_servers("sqlite") as [server]:
        for table in ("users", "events", "local_media_repository"):
            server.write(f"DELETE FROM {table}")
        sample = _sample(server)
        assert count_sample(sample) == 0
        assert check_sample(sample, None).differences == []
