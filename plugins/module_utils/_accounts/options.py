# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The options of accounts, the same for one account and for a list: what is declared, and how it is managed."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.accounts import Accounts, Permissions
from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.declared import DeclaredAccount
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client

if t.TYPE_CHECKING:
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration

# The options that are called like what they declare.
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
            "displayname": {"type": "str"},
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
    """Return what the options declare."""
    limit = parameters["rate_limit"]
    return DeclaredAccount(
        present=parameters["state"] == "present",
        rate_limit=limit and {name: number for name, number in limit.items() if number is not None},
        **{name: parameters[name] for name in _SAME_NAME},
    )


def management_argument_spec() -> ArgumentSpec:
    """Return the options of the connection, of the configuration, and of what a task may do to accounts."""
    own = ArgumentSpec(
        {
            "chdir": {"type": "path"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python", "no_log": False},
            "manage_appservice_users": {"type": "bool", "default": False},
            "steal_threepids": {"type": "bool", "default": False},
        }
    )
    return connection_argument_spec().merge(configuration_argument_spec()).merge(own)


def declared_configuration(parameters: t.Mapping[str, t.Any]) -> Configuration | None:
    """Return Synapse's configuration, or None if config_path is not set. Raises ConfigurationError."""
    if not parameters["config_path"]:
        return None
    # Not above, here and below: a task without it, of a thousand accounts, takes less time than loading them.
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import read_configuration

    return read_configuration(parameters["config_path"])


def declared_accounts(
    client: Client, parameters: t.Mapping[str, t.Any], configuration: Configuration | None
) -> Accounts:
    """Return the accounts behind `client`, guarded as the options say. Raises ConfigurationError."""
    permissions = Permissions(parameters["manage_appservice_users"], parameters["steal_threepids"])
    if configuration is None:
        return Accounts(client, permissions)
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.appservices import owned_user_ids
    from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.password import stored_passwords

    namespaces = owned_user_ids(configuration, parameters["chdir"])
    passwords = stored_passwords(configuration, parameters["synapse_python"], parameters["chdir"])
    return Accounts(client, dataclasses.replace(permissions, namespaces=namespaces), passwords.is_set)
