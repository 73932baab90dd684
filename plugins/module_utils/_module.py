# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The runner: the only place that knows AnsibleModule, and the only one that turns errors into a failed task."""

from __future__ import annotations

import gc
import os
import stat
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ACCESS_TOKEN_VARIABLE,
    ArgumentSpec,
    use_socket_of_environment,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    MissingLibrary,
    SynapseError,
    told,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Resource

Parameters = dict[str, t.Any]

_OBJECTS_BETWEEN_COLLECTIONS = 100_000
# In characters. Tokens have some hundred.
_LARGEST_TOKEN_FILE = 64 * 1024


def run_resource(spec: ArgumentSpec, declare: t.Callable[[Parameters], Resource]) -> t.NoReturn:
    """Run a module that brings one object into its declared state.

    `declare` makes the resource out of the module's parameters. Check mode reports the plan, a real run executes it and
    reads the object again; both return `changed`, `diff` (in diff mode) and what the resource says of the outcome.
    """
    module = _started(spec)
    try:
        resource = declare(module.params)
        plan = resource.plan()
        if plan.forecast and module.check_mode:
            plan = plan.forecast()
        steps = [step.description for step in plan.steps]
        if plan.changed and not module.check_mode:
            steps, result = carry_out(resource, plan)
        else:
            if plan.proof and not module.check_mode:
                plan.proof()
            result = resource.result(plan, False)
    except Exception as error:
        _fail(module, told(error))
    _exit(module, {"changed": bool(steps), "steps": steps, **_diff(module, plan), **result})


def run_info(
    spec: ArgumentSpec,
    read: t.Callable[[Parameters], dict[str, t.Any]],
    keep: t.Callable[[Parameters, dict[str, t.Any]], None] | None = None,
) -> t.NoReturn:
    """Run a module that only reads: `read` returns what it found.

    `keep` writes a part of it into a file of the module itself, for its next run. It is not called in check mode.
    """
    module = _started(spec)
    try:
        result = read(module.params)
        if keep and not module.check_mode:
            keep(module.params, result)
    except Exception as error:
        _fail(module, told(error))
    _exit(module, {"changed": False, **result})


def _started(spec: ArgumentSpec) -> AnsibleModule:
    # Nearly everything lives as long as a module runs: looking for garbage often takes a tenth of its time.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    module = AnsibleModule(supports_check_mode=True, **spec.to_kwargs())
    use_socket_of_environment(module.params)
    return module


def connect(parameters: Parameters, *, connections: int = 1) -> Client:
    """Return a client for the connection options, for that many requests at the same time.

    Raises InvalidInput for a file that cannot be read.
    """
    return Client(
        parameters["base_url"],
        read_access_token(parameters),
        verify=(parameters["ca_path"] or True) if parameters["validate_certs"] else False,
        timeout=parameters["timeout"],
        rate_limit_retry_timeout=parameters["rate_limit_retry_timeout"],
        connections=connections,
        unix_socket=parameters["unix_socket"],
    )


def read_access_token(parameters: Parameters) -> str | None:
    """Return the token in the file `access_token_path`, or `access_token`.

    Raises InvalidInput if both are set, or if the file cannot be read or is empty.
    """
    require_one_access_token(parameters)
    path = parameters["access_token_path"]
    if not path:
        return t.cast("str | None", parameters["access_token"])
    try:
        with open(path, encoding="utf-8", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidInput(f"access_token_path {path} is not a regular file. Set it to a file with the token.")
            text = file.read(_LARGEST_TOKEN_FILE + 1)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"access_token_path {path} cannot be read: it is not text.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not a path"
        raise InvalidInput(f"access_token_path {path} cannot be read: {reason}.") from error
    if len(text) > _LARGEST_TOKEN_FILE:
        raise InvalidInput(f"access_token_path {path} is too large to be a file with a token. Set it to such a file.")
    token = text.strip()
    if not token:
        raise InvalidInput(f"access_token_path {path} is empty.")
    return token


def _open_at_once(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a pipe waits until a process writes to it.
    return os.open(path, flags | os.O_NONBLOCK)


def require_one_access_token(parameters: Parameters) -> None:
    """Raise InvalidInput if both `access_token` and `access_token_path` are set. The environment does not count."""
    token, path = parameters["access_token"], parameters["access_token_path"]
    if token and path and token != os.environ.get(ACCESS_TOKEN_VARIABLE):
        raise InvalidInput(
            "Both access_token and access_token_path are set. Set the one that must not be used to an empty string,"
            " also if module_defaults sets it."
        )


def _diff(module: AnsibleModule, plan: Plan) -> dict[str, t.Any]:
    return {"diff": {"before": plan.before or {}, "after": plan.after or {}}} if module._diff else {}


def _fail(module: AnsibleModule, error: SynapseError) -> t.NoReturn:
    message = error.message
    if isinstance(error, MissingLibrary):
        message = f"{message} {missing_required_lib(error.library)}"
    # `exception` stays empty: a traceback tells a user nothing, and may show a secret.
    module.fail_json(**_warned(module, {"changed": False, **error.details, "msg": message}))


def _exit(module: AnsibleModule, result: dict[str, t.Any]) -> t.NoReturn:
    module.exit_json(**_warned(module, result))


def _warned(module: AnsibleModule, result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Hand the warnings of a result to Ansible, which shows them, and return the rest as it can be printed."""
    for warning in result.pop("warnings", ()):
        module.warn(_printable(warning))
    return t.cast("dict[str, t.Any]", _printable(result))


def _printable(found: t.Any) -> t.Any:
    """Write out what is no Unicode, such as odd bytes in names of files: Ansible refuses a whole answer with it."""
    if isinstance(found, str):
        return found if found.isascii() else found.encode("utf-8", "backslashreplace").decode()
    if isinstance(found, dict):
        return {_printable(key): _printable(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_printable(each) for each in found]
    return found
