# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Argument specs that can be put together: each group of options is one, and knows its own constraints."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.common.parameters import env_fallback

from ansible_collections.matrix_ops.synapse.plugins.module_utils._debian_package import DEFAULT_CONFIG_PATH
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

# It is only used if the task sets no access token and no file that contains one.
ACCESS_TOKEN_VARIABLE = "SYNAPSE_ACCESS_TOKEN"
_BASE_URL, _BASE_URL_VARIABLE = "http://127.0.0.1:8008", "SYNAPSE_BASE_URL"
_UNIX_SOCKET_VARIABLE = "SYNAPSE_UNIX_SOCKET"


class ArgumentSpec:
    """The options of a module, with the constraints between them. `merge` puts two together."""

    def __init__(
        self,
        argument_spec: dict[str, dict[str, t.Any]],
        *,
        mutually_exclusive: t.Sequence[t.Sequence[str]] = (),
        required_together: t.Sequence[t.Sequence[str]] = (),
        required_one_of: t.Sequence[t.Sequence[str]] = (),
        required_if: t.Sequence[t.Sequence[t.Any]] = (),
        required_by: dict[str, t.Sequence[str]] | None = None,
    ) -> None:
        self.argument_spec = argument_spec
        self.mutually_exclusive = list(mutually_exclusive)
        self.required_together = list(required_together)
        self.required_one_of = list(required_one_of)
        self.required_if = list(required_if)
        self.required_by = dict(required_by or {})

    def merge(self, other: ArgumentSpec) -> ArgumentSpec:
        """Return the options of both. Raises ValueError if both have an option of the same name."""
        twice = set(self.argument_spec) & set(other.argument_spec)
        if twice:
            raise ValueError(f"options defined twice: {sorted(twice)}")
        return ArgumentSpec(
            {**self.argument_spec, **other.argument_spec},
            mutually_exclusive=self.mutually_exclusive + other.mutually_exclusive,
            required_together=self.required_together + other.required_together,
            required_one_of=self.required_one_of + other.required_one_of,
            required_if=self.required_if + other.required_if,
            required_by={**self.required_by, **other.required_by},
        )

    def to_kwargs(self) -> dict[str, t.Any]:
        """Return the keyword arguments for AnsibleModule."""
        return {
            "argument_spec": self.argument_spec,
            "mutually_exclusive": self.mutually_exclusive,
            "required_together": self.required_together,
            "required_one_of": self.required_one_of,
            "required_if": self.required_if,
            "required_by": self.required_by,
        }

    def with_plain_paths(self, parameters: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the parameters with all paths in these options in their shortest form, without a slash at the end.

        An option that is empty is not set, if it does not need a value. Raises InvalidInput for a path that is not
        absolute, and for one with .. or control characters, which would be another path than it seems to be.
        """
        changed = dict(parameters)
        for name, option in self.argument_spec.items():
            value = parameters[name]
            if option.get("elements") == "path" and value is not None:
                changed[name] = [_plain(path, f"{name} contains") for path in value]
            elif option["type"] == "path" and value is not None:
                is_needed = option.get("required") or "default" in option
                changed[name] = _plain(value, f"{name} is") if value or is_needed else None
        return changed


def _plain(path: str, beginning: str) -> str:
    if not path.startswith("/") or not path.isprintable() or ".." in path.split("/"):
        shown = repr(path) if path else "empty" if beginning.endswith(" is") else "an empty path"
        raise InvalidInput(f"{beginning} {shown}. Set an absolute path without .. and control characters.")
    return "/" + "/".join(name for name in path.split("/") if name not in ("", "."))


def connection_argument_spec() -> ArgumentSpec:
    """Return the options of the doc fragment `_connection`: where Synapse answers and as whom to speak with it."""
    return ArgumentSpec(
        {
            "base_url": {
                "type": "str",
                "default": _BASE_URL,
                "fallback": (env_fallback, [_BASE_URL_VARIABLE]),
            },
            # Its variable depends on base_url: see use_socket_of_environment.
            "unix_socket": {"type": "path"},
            "access_token": {"type": "str", "no_log": True, "fallback": (env_fallback, [ACCESS_TOKEN_VARIABLE])},
            # A path is no secret; said explicitly because the name looks like one.
            "access_token_path": {"type": "path", "no_log": False},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
            "timeout": {"type": "int", "default": 30},
            "rate_limit_retry_timeout": {"type": "int", "default": 60},
        }
    )


def use_socket_of_environment(parameters: dict[str, t.Any]) -> None:
    """Set `unix_socket` to that of the environment, unless the task says itself which server it is about.

    It does with `unix_socket`, also with an empty one, and with a `base_url` that is neither the default nor that of
    the environment.
    """
    found = os.environ.get(_UNIX_SOCKET_VARIABLE)
    if not found or "unix_socket" not in parameters or parameters["unix_socket"] is not None:
        return
    if parameters["base_url"] in (_BASE_URL, os.environ.get(_BASE_URL_VARIABLE)):
        parameters["unix_socket"] = os.path.expanduser(os.path.expandvars(found))


def configuration_argument_spec() -> ArgumentSpec:
    """Return the option of the doc fragment `_configuration`: the files that Synapse itself is started with."""
    return ArgumentSpec({"config_path": {"type": "list", "elements": "path", "default": list(DEFAULT_CONFIG_PATH)}})


def progress_argument_spec() -> ArgumentSpec:
    """Return the option of the doc fragment `_progress`. Only the action plugin of the module uses it."""
    return ArgumentSpec({"progress": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"}})


def service_control_argument_spec() -> ArgumentSpec:
    """Return the options of the doc fragment `_service_control`: what stops and starts Synapse on its host."""
    return ArgumentSpec(
        {
            "manager": {"type": "str", "choices": ["systemd", "daemon"], "default": "systemd"},
            "unit": {"type": "str", "default": "matrix-synapse.service"},
            "worker_unit": {"type": "str", "default": "matrix-synapse-worker@.service"},
            "synapse_python": {"type": "path", "default": "/opt/venvs/matrix-synapse/bin/python"},
            "working_directory": {"type": "path"},
            "start_timeout": {"type": "int", "default": 120},
        }
    )
