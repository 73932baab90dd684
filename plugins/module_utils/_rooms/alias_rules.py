# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Who may create, move and remove an alias: the namespaces of application services, and alias_creation_rules.

Relies on what Synapse 1.163 checks before it changes an alias (handlers/directory.py, config/room_directory.py). Only
the attempt shows what a spam checker module refuses.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import Registration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    ConfigurationError,
    InvalidInput,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._globs import glob_pattern
from ansible_collections.matrix_ops.synapse.plugins.module_utils._rooms.configured_rules import ConfiguredRules

_RULES = "alias_creation_rules"


def require_allowed(client: Client, rules: ConfiguredRules, alias: str, room_id: str | None) -> None:
    """Raise InvalidInput if Synapse would refuse to change the alias.

    `room_id`: the room that it should point to, None if it should be removed. Raises ConfigurationError if the
    configuration contains something that Synapse does not start with.
    """
    caller = client.caller
    own = [service for service in rules.registrations if client.sends(service.token)]
    if own:
        _require_own_namespace(own[0], alias)
        return
    # In this order, as Synapse.
    if room_id is not None:
        _require_creation_allowed(rules, caller, alias, room_id)
    owner = _owner(rules.registrations, caller, alias)
    if owner is not None:
        raise InvalidInput(
            f"The alias {alias} is reserved by the application service {owner.service_id}, whose registration file"
            f" {owner.path} contains an exclusive namespace for it, so that only this service may create, move or"
            " remove it. Nothing was changed. Either remove the namespace from that file, or set exclusive: false"
            " there, and restart Synapse; or let the service itself do it (PUT or DELETE"
            " /_matrix/client/v3/directory/room/<alias> with its as_token, which needs no server admin)."
        )


def explain_refusal(error: ApiError, alias: str) -> None:
    """Add to the error of a request that should change the alias what Synapse's own words leave out."""
    if error.errcode == "M_EXCLUSIVE":
        error.explain(
            f"The files in app_service_config_files contain the namespace of {alias}. If the task can read config_path,"
            " it names the file before the change, in check mode as well."
        )
    elif error.status == 403 and "Not allowed to create alias" in error.error:
        error.explain(
            f"{_RULES} in the configuration of Synapse does not allow it. Add a rule that does, and restart Synapse."
            " If the task can read config_path, it names the rule before the change, in check mode as well."
        )
    elif error.status == 403 and "not permitted to create this alias" in error.error:
        error.explain("A spam checker module of this server refuses it. Look for it in modules of the configuration.")


def _require_own_namespace(service: Registration, alias: str) -> None:
    if service.namespace_of(alias) is None:
        raise InvalidInput(
            f"The access token is that of the application service {service.service_id}, which may only change aliases"
            f" of its namespaces in {service.path}, and {alias} is in none of them. Nothing was changed. Use the access"
            " token of a server admin, or add a namespace there and restart Synapse."
        )


def _owner(services: t.Iterable[Registration], caller: str, alias: str) -> Registration | None:
    """Return the application service that keeps the caller from changing the alias, None if there is none."""
    for service in services:
        if caller == service.sender and service.namespace_of(alias) is not None:
            return None
        if service.owns(alias):
            return service
    return None


def _require_creation_allowed(rules: ConfiguredRules, caller: str, alias: str, room_id: str) -> None:
    configuration = rules.configuration
    listed = configuration.settings.get(_RULES) if configuration else None
    if configuration is None or listed is None:
        return
    source = configuration.source_of(_RULES)
    if not isinstance(listed, list):
        raise ConfigurationError(f"{_RULES} in {source} is not a list of rules. Correct it there.")
    for number, rule in enumerate(listed, 1):
        if _matches(
            rule, f"Rule {number} of {_RULES} in {source}", {"user_id": caller, "room_id": room_id, "alias": alias}
        ):
            if rule["action"] == "allow":
                return
            reason = f"rule {number} of {_RULES} in {source} denies it"
            break
    else:
        reason = f"no rule of {_RULES} in {source} allows it"
    raise InvalidInput(
        f"The alias {alias} cannot be pointed to {room_id} by {caller}, because {reason}. Nothing was changed. Add a"
        " rule that allows it before the others, and restart Synapse."
    )


def _matches(rule: t.Any, where: str, found: t.Mapping[str, str]) -> bool:
    patterns = {name: rule.get(name, "*") for name in found} if isinstance(rule, dict) else {}
    if not patterns or rule.get("action") not in ("allow", "deny"):
        raise ConfigurationError(f"{where} has no action, which must be allow or deny. Correct it there.")
    if not all(isinstance(pattern, str) for pattern in patterns.values()):
        raise ConfigurationError(f"{where} contains a pattern that is not text. Put it in quotes.")
    return all(glob_pattern(patterns[name]).match(value) for name, value in found.items())
