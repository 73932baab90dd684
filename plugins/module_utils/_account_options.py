# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The options that declare an account: the same for one account and for each of a list."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import ArgumentSpec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._users import DeclaredAccount


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
    names = (
        "create admin password update_password logout_devices displayname avatar_url user_type"
        " threepids external_ids locked suspended shadow_banned erase"
    ).split()
    limit = parameters["rate_limit"]
    return DeclaredAccount(
        present=parameters["state"] == "present",
        rate_limit=limit and {name: number for name, number in limit.items() if number is not None},
        **{name: parameters[name] for name in names},
    )
