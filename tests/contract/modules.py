# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module, run in this process as Ansible would run it in one of its own."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import traceback
import typing as t

from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

# The declared and the found state of a diff, and what Ansible adds itself.
_MAY_HOLD_NULLS = ("diff", "invocation", "warnings")
# Synapse's own data, as it is: settings, state events, the progress of background updates.
_FOREIGN = ("settings", "content", "unsigned", "progress")
_MODULES = "ansible_collections.matrix_ops.synapse.plugins.modules"


class Crashed(Exception):
    """A module has ended with a traceback, or without a result that Ansible could read. The message shows it."""


def run_module(
    name: str, parameters: t.Mapping[str, t.Any], *, check: bool = False, diff: bool = False
) -> dict[str, t.Any]:
    """Run the module `name`, such as synapse_room, and return its result without the invocation. Raises Crashed.

    Nothing of a run is left for the next one: environment, threshold of the garbage collector, arguments.
    """
    given = {**parameters, "_ansible_check_mode": check, "_ansible_diff": diff}
    # Outside of the context: what importing does is no part of the run.
    module = importlib.import_module(f"{_MODULES}.{name}")
    printed = io.StringIO()
    with _nothing_kept(), patch_module_args(given), contextlib.redirect_stdout(printed):
        status = _ended(module.main)
    try:
        result = json.loads(printed.getvalue())
    except ValueError as error:
        raise Crashed(f"{name} printed what is no JSON: {printed.getvalue()[:500]!r}") from error
    if bool(status) != bool(result.get("failed")):
        raise Crashed(f"{name} ended with status {status}, but says failed: {result.get('failed')}")
    if "which was not expected" in str(result):
        raise Crashed(f"{name} met what was not expected: {result}")
    if deprecated := result.get("deprecations"):
        raise Crashed(f"{name} uses what Ansible is about to remove: {deprecated}")
    if nulls := list(_nulls({key: value for key, value in result.items() if key not in _MAY_HOLD_NULLS})):
        raise Crashed(f"{name} returned null for {', '.join(nulls)}: {result}")
    result.pop("invocation", None)
    return t.cast("dict[str, t.Any]", result)


def _nulls(value: t.Any, path: str = "") -> t.Iterator[str]:
    """Yield where a returned value is null: no value of this collection ever is."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _nulls(each, f"{path}.{key}".lstrip(".")) if key not in _FOREIGN else ()
    elif isinstance(value, list):
        for each in value:
            yield from _nulls(each, f"{path}[]")


def _ended(main: t.Callable[[], None]) -> int:
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException as error:
        raise Crashed(traceback.format_exc()) from error
    raise Crashed("main() came back without a result.")


@contextlib.contextmanager
def _nothing_kept() -> t.Iterator[None]:
    threshold, environment, mask = gc.get_threshold(), dict(os.environ), os.umask(0o022)
    # Options fall back to these.
    for name in [name for name in os.environ if name.startswith("SYNAPSE_")]:
        del os.environ[name]
    # In a process of its own, a module has no others before it.
    warnings._global_warnings.clear()
    warnings._global_deprecations.clear()
    try:
        yield
    finally:
        os.umask(mask)
        gc.set_threshold(*threshold)
        os.environ.clear()
        os.environ.update(environment)
