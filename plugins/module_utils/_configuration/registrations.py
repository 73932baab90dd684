# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The registrations of application services, from the files in the configuration of Synapse.

Relies on app_service_config_files and on the form of a registration, as Synapse 1.163 reads both
(synapse/config/appservice.py, synapse/appservice/__init__.py).
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError

_KEY = "app_service_config_files"


class Namespace(t.NamedTuple):
    """Names that belong to an application service: those that match `regex` from their start."""

    exclusive: bool
    regex: re.Pattern[str]


@dataclasses.dataclass(frozen=True)
class Registration:
    """An application service: its registration file, its id, its user, its token, and its namespaces."""

    path: str
    service_id: str
    sender: str
    token: str = dataclasses.field(repr=False)
    aliases: tuple[Namespace, ...] = ()
    users: tuple[Namespace, ...] = ()

    def namespace_of(self, name: str) -> Namespace | None:
        """Return the first namespace that contains the alias or user ID, None if none does. Others do not count."""
        listed = self.aliases if name.startswith("#") else self.users
        return next((namespace for namespace in listed if namespace.regex.match(name)), None)

    def owns(self, name: str) -> bool:
        """Whether no one else may create the alias or user ID: the service's user, or a name that is exclusive."""
        namespace = self.namespace_of(name)
        return name == self.sender or (namespace is not None and namespace.exclusive)


def registration_paths(configuration: Configuration, working_directory: str | None = None) -> list[str]:
    """Return the paths of the registration files. Relative ones start from `working_directory`.

    Raises ConfigurationError if the setting is not a list of paths.
    """
    paths = configuration.settings.get(_KEY) or []
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        source = configuration.source_of(_KEY)
        raise ConfigurationError(f"{_KEY} in {source} is not a list of paths. Correct it there.")
    return [os.path.join(working_directory or "", path) for path in paths]


def read_registrations(
    configuration: Configuration, working_directory: str | None = None
) -> tuple[tuple[Registration, ...], list[ConfigurationError]]:
    """Return the application services in the order in which Synapse asks them, and why others cannot be read.

    Relative paths start from `working_directory`.
    """
    found: list[Registration] = []
    problems: list[ConfigurationError] = []
    try:
        paths = registration_paths(configuration, working_directory)
    except ConfigurationError as error:
        return (), [error]
    for path in paths:
        try:
            found.append(read_registration(path, configuration.server_name))
        except ConfigurationError as error:
            problems.append(error)
    return tuple(found), problems


def read_registration(path: str, server_name: str) -> Registration:
    """Return the application service that the file `path` registers at the server `server_name`.

    Raises ConfigurationError, which names the file, if it cannot be read or if Synapse would not start with it.
    """
    try:
        found = read_configuration([path]).settings
    except ConfigurationError as error:
        error.explain(
            f"It is in {_KEY}, as the registration of an application service. A relative path starts from"
            " working_directory."
        )
        raise
    for key in ("id", "as_token", "sender_localpart"):
        if not isinstance(found.get(key), str):
            raise _broken(path, f"{key} must be text")
    spaces = found.get("namespaces")
    if not isinstance(spaces, dict):
        raise _broken(path, "namespaces must be a mapping")
    aliases, users = (_namespaces(path, kind, spaces.get(kind, [])) for kind in ("aliases", "users"))
    sender = f"@{found['sender_localpart']}:{server_name}"
    return Registration(path, found["id"], sender, found["as_token"], aliases, users)


def _namespaces(path: str, kind: str, entries: t.Any) -> tuple[Namespace, ...]:
    if not isinstance(entries, list):
        raise _broken(path, f"namespaces.{kind} must be a list")
    return tuple(_namespace(path, kind, entry) for entry in entries)


def _namespace(path: str, kind: str, entry: t.Any) -> Namespace:
    exclusive, regex = (entry.get("exclusive"), entry.get("regex")) if isinstance(entry, dict) else (None, None)
    if not isinstance(exclusive, bool) or not isinstance(regex, str):
        raise _broken(path, f"each entry in namespaces.{kind} must contain regex, a text, and exclusive, a boolean")
    try:
        return Namespace(exclusive, re.compile(regex))
    except re.error as error:
        raise _broken(path, f"the regex {regex!r} in namespaces.{kind} is not valid ({error.msg})") from error


def _broken(path: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not a valid registration of an application service: {reason}. Synapse does not start with it."
        f" Correct it, or remove it from {_KEY}."
    )
