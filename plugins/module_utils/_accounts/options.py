# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The options of accounts: the declared state and the permissions. They are the same for one account and a list."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts, Permissions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import DeclaredAccount
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.server_rules import ServerRules
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.own_configuration import (
    own_configuration,
    require_own,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._debian_package import DEFAULT_CONFIG_PATH
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ApiError, SynapseError

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import Registration

# The options that have the same name as the attribute.
_SAME_NAME = tuple({field.name for field in dataclasses.fields(DeclaredAccount)} - {"present", "rate_limit"})


def account_argument_spec() -> ArgumentSpec:
    """Return the options that declare one account."""
    return ArgumentSpec(
        {
            "user_id": {"type": "str", "required": True, "aliases": ["name"]},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "create": {"type": "bool", "default": True},
            "admin": {"type": "bool"},
            "password": {"type": "str", "no_log": True},
            "update_password": {
                "type": "str",
                "choices": ["always", "on_create", "if_different"],
                "default": "on_create",
                "no_log": False,
            },
            "logout_devices": {"type": "bool", "default": False},
            "display_name": {"type": "str", "aliases": ["displayname"]},
            "avatar_url": {"type": "str"},
            "user_type": {"type": "str"},
            "threepids": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "medium": {"type": "str", "choices": ["email", "msisdn"], "required": True},
                    "address": {"type": "str", "required": True},
                },
            },
            "external_ids": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "auth_provider": {"type": "str", "required": True},
                    "external_id": {"type": "str", "required": True},
                },
            },
            "rate_limit": {
                "type": "dict",
                "options": {"messages_per_second": {"type": "int"}, "burst_count": {"type": "int"}},
            },
            "locked": {"type": "bool"},
            "suspended": {"type": "bool"},
            "shadow_banned": {"type": "bool"},
            "erase": {"type": "bool", "default": False},
        }
    )


def declared_account(parameters: t.Mapping[str, t.Any]) -> DeclaredAccount:
    """Return the account that the options declare."""
    limit = parameters["rate_limit"]
    return DeclaredAccount(
        present=parameters["state"] == "present",
        rate_limit=limit and {name: number for name, number in limit.items() if number is not None},
        **{name: parameters[name] for name in _SAME_NAME},
    )


def management_argument_spec() -> ArgumentSpec:
    """Return the options of the connection, of the configuration, and of the permissions of a task."""
    own = ArgumentSpec(
        {
            "working_directory": {"type": "path"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python", "no_log": False},
            "allow_appservice_users": {"type": "bool", "default": False},
            "allow_threepid_takeover": {"type": "bool", "default": False},
        }
    )
    return connection_argument_spec().merge(configuration_argument_spec()).merge(own)


def declared_accounts(
    client: Client, parameters: t.Mapping[str, t.Any], configuration: Configuration | None = None
) -> Accounts:
    """Return the accounts behind `client`, protected as the options declare.

    `configuration`: the configuration of Synapse if it has been read already. Otherwise it is read if it exists on this
    host and is that of the server. Raises ConfigurationError if it exists and cannot be used, InvalidInput if the task
    names that of another server, and ConnectionFailed.
    """
    # Imported here and below because most tasks need only a part of it.
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
        read_configuration_if_there,
    )

    paths, working_directory = parameters["config_path"], parameters["working_directory"]
    known = configuration or _own(client, paths, read_configuration_if_there(paths))
    services: tuple[Registration, ...] = ()
    if known is not None:
        from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import (
            read_registrations,
        )

        services, problems = read_registrations(known, working_directory)
        # Without all of them, only what created an account shows that it belongs to an application service. That is not
        # enough where every other account is deactivated, nor for a configuration that the task names itself.
        if problems and (parameters.get("exclusive") or tuple(paths) != DEFAULT_CONFIG_PATH):
            raise problems[0]
    permissions = Permissions(
        parameters["allow_appservice_users"], parameters["allow_threepid_takeover"], services=services
    )

    def password_is_set(user_id: str, password: str) -> bool:
        from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import stored_passwords

        found = known or require_configuration(paths, "update_password=if_different")
        if configuration is None:
            require_own(found, client)
        return stored_passwords(found, parameters["synapse_python"], working_directory).is_set(user_id, password)

    return Accounts(client, permissions, password_is_set, ServerRules(client, known))


def _own(client: Client, paths: t.Sequence[str], found: Configuration | None) -> Configuration | None:
    """Return `found` unless it is the default configuration of this host and that of another server."""
    if found is None:
        return None
    try:
        return own_configuration(found, client, is_default=tuple(paths) == DEFAULT_CONFIG_PATH)
    except ApiError:
        # The plan sends the same request, and knows what to do.
        return found


def require_configuration(paths: t.Sequence[str], purpose: str) -> Configuration:
    """Return the configuration of Synapse, which `purpose` needs. Raises ConfigurationError or MissingLibrary."""
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration

    try:
        return read_configuration(paths)
    except SynapseError as error:
        error.explain(f"{purpose} needs the configuration of Synapse: run the task on the host of Synapse.")
        raise
