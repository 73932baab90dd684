# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The name and the version of the server that answers at a URL, from endpoints that need no access token."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client, member
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConnectionFailed,
    MissingLibrary,
    SynapseError,
    UnexpectedAnswer,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown

# Each value, its endpoint, its key in the answer, and the fix if it is missing.
_VALUES = (
    (
        "name",
        "/_matrix/key/v2/server",
        "server_name",
        "Add the resource keys to the listener of Synapse at {option}, or set {option} to a listener that has it.",
    ),
    (
        "version",
        "/_synapse/admin/v1/server_version",
        "server_version",
        "Set {leading_to_main_process}, not of a worker or of a proxy that hides this path.",
    ),
)


def read_server(client: Client) -> tuple[dict[str, str], list[Unknown]]:
    """Return the `name` and the `version` of the server, as far as it answers, and what could not be found out."""
    found: dict[str, str] = {}
    unknown: list[Unknown] = []
    for name, path, key, fix in _VALUES:
        try:
            value = member(client.get(path), key)
            if not isinstance(value, str):
                raise UnexpectedAnswer(f"The answer of {client.address.at(path)} contains a {key} that is not text.")
        except MissingLibrary as error:
            return found, [Unknown("server", error.message, f"Install {error.library} for the Python of the module.")]
        except ConnectionFailed as error:
            # The next request would only wait for the same timeout again.
            fix = f"Start Synapse, or set {client.address.leading_to('its main process')}."
            return found, [*unknown, Unknown("server", error.message, fix)]
        except SynapseError as error:
            fixes = {
                "option": client.address.option,
                "leading_to_main_process": client.address.leading_to("the main process of Synapse"),
            }
            unknown.append(Unknown(f"server.{name}", error.message, fix.format(**fixes)))
        else:
            found[name] = value
    return found, unknown
