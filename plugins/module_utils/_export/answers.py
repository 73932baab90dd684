# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
"""Data that Synapse's own export of an account omits: requested from the server if it returns it, otherwise listed.

Relies on GET /_synapse/admin/v1/users/<user_id>/pushers and GET /_matrix/client/v3/profile/<user_id>, which also
returns custom fields (Synapse 1.163).
"""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    NotFound,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.events.objects import read_objects
from ansible_collections.matrix_ops.synapse.plugins.module_utils._export.names import name_of

_DIRECTORY = "from_api"
_ANSWERS = (
    (
        "pushers",
        "pushers (where notifications are sent)",
        "/_synapse/admin/v1/users/{user_id}/pushers",
    ),
    ("profile", "custom fields of the profile", "/_matrix/client/v3/profile/{user_id}"),
)
_MXC = re.compile(r"mxc://([^/]+)/(.+)")

Gap = dict[str, str]


class Caller:
    """The server as a source: `client` sends the requests, and is None without an access token."""

    def __init__(self, client: Client | None) -> None:
        self.client = client
        self.silence = "there is no access token for the server" if client is None else None

    def check(self, server_name: str, *, required: bool) -> None:
        """Check that the server accepts the token and has the name `server_name`.

        Raises AuthenticationFailed if it rejects the token, InvalidInput if it is a different server, and
        ConnectionFailed if it does not answer at all and is `required`.
        """
        if self.client is None:
            return
        try:
            answering = self.client.server_name
        except AuthenticationFailed:
            raise
        except SynapseError as error:
            if required or not isinstance(error, ConnectionFailed):
                raise
            self.silence = "the server did not answer"
            return
        if answering != server_name:
            raise InvalidInput(
                f"At {self.client.address} is the server {answering}, but config_path is the configuration of"
                f" {server_name}. Set {self.client.address.option} and config_path to the same server."
            )


def write_answers(caller: Caller, user_id: str, directory: str) -> list[Gap]:
    """Write the answers of the server about the account into the directory from_api of the export.

    Returns the data that could not be read, as objects with `name` and `reason`. Raises OSError.
    """
    gaps = []
    for file, name, template in _ANSWERS:
        reason = caller.silence
        if caller.client is not None and reason is None:
            try:
                answer = caller.client.get(template, user_id=user_id)
                _write(os.path.join(directory, _DIRECTORY), file, answer)
            except NotFound:
                reason = "the server has none for this account"
            except RecursionError:
                reason = "the answer of the server is nested too deeply to be read"
            except SynapseError as error:
                reason = error.message.rstrip(".")
        if reason is not None:
            gaps.append({"name": name, "reason": reason})
    return gaps


def find_gaps(user_id: str, server_name: str, directory: str, *, with_media: bool) -> list[Gap]:
    """Return the files that the export in `directory` does not contain, as objects with `name` and `reason`.

    Raises SynapseError if the export cannot be read.
    """
    media_ids = os.path.join(directory, "media_ids")
    own = os.listdir(media_ids) if os.path.isdir(media_ids) else []
    gaps = []
    if own and not with_media:
        gaps.append({"name": f"the content of uploaded files ({len(own)})", "reason": "it was not requested"})
    [profile] = read_objects(os.path.join(directory, "user_data", "profile"))
    picture = _MXC.fullmatch(str(profile.get("avatar_url") or ""))
    if picture and (picture.group(1) != server_name or name_of(picture.group(2)) not in own):
        reason = f"it was not uploaded by {user_id}"
        gaps.append({"name": f"the profile picture {picture.group()}", "reason": reason})
    return gaps


def _write(directory: str, name: str, answer: t.Mapping[str, t.Any]) -> None:
    os.makedirs(directory, 0o700, exist_ok=True)
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        json.dump(answer, file)
