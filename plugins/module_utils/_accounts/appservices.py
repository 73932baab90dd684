# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The user IDs that application services own, from the registration files in the configuration of Synapse.

Relies on app_service_config_files and on namespaces.users of a registration, as Synapse 1.163 reads them
(synapse/config/appservice.py, synapse/appservice/__init__.py).
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError


def owned_user_ids(configuration: Configuration, working_directory: str | None = None) -> tuple[re.Pattern[str], ...]:
    """Return patterns of the user IDs that application services own. A pattern matches from the start of a user ID.

    These are the exclusive namespaces and the senders. Other namespaces only define which events a service receives,
    often those of all users. Relative paths start from `working_directory`. Raises ConfigurationError for a
    registration that cannot be read.
    """
    paths = configuration.settings.get("app_service_config_files") or []
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        source = configuration.source_of("app_service_config_files")
        raise ConfigurationError(f"app_service_config_files in {source} is not a list of paths. Correct it there.")
    owned: list[re.Pattern[str]] = []
    for path in paths:
        owned += _patterns(os.path.join(working_directory or "", path), configuration.server_name)
    return tuple(owned)


def _patterns(path: str, server_name: str) -> t.Iterator[re.Pattern[str]]:
    try:
        registration = read_configuration([path]).settings
    except ConfigurationError as error:
        error.explain(
            "It is in app_service_config_files, as the registration of an application service. A relative path starts"
            " from working_directory."
        )
        raise
    try:
        namespaces = (registration.get("namespaces") or {}).get("users") or []
        for namespace in namespaces:
            if namespace["exclusive"]:
                yield re.compile(namespace["regex"])
        sender = registration["sender_localpart"]
    except (AttributeError, KeyError, TypeError, re.error) as error:
        raise ConfigurationError(
            f"{path} is not a valid registration of an application service. It must contain sender_localpart, and each"
            " entry in namespaces.users must contain exclusive and a valid regex."
        ) from error
    yield re.compile(re.escape(f"@{sender}:{server_name}") + r"\Z")
