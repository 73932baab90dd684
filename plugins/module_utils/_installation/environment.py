# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The state of the virtual environment: its origin, whether it works, and what an interrupted run left next to it."""

from __future__ import annotations

import dataclasses
import glob
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import (
    Directory,
    open_directory,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.distribution import (
    Packages,
    read_packages,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import (
    QUICKLY,
    Interpreter,
    run_python,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import hidden_name, is_ours

# Temporary entries next to an environment: the new one until it is complete, the old one until the new one has replaced
# it, and one that is being deleted. Only the old one is always complete, so it is never deleted under its own name.
NEXT = "next"
BEFORE = "before"
DISCARDED = "discarded"
CONFIGURATION = "pyvenv.cfg"
PIP_CONFIGURATION = "pip.conf"
# A pip that loads all of itself takes ten times as long.
_FIND_PIP = """
import importlib.util, sys
parts = ["pip.__main__", "pip._internal.cli.main", "pip._vendor.requests"]
sys.exit(None in map(importlib.util.find_spec, parts))
"""


@dataclasses.dataclass(frozen=True)
class Standing:
    """The entries of an environment in its parent directory. All names except `name` are hidden ones.

    `current`: the entry that counts as the environment: `name`, or the hidden one that is moved back to it; None if
    there is none. `leavings`: entries that an interrupted run left, to be deleted. `foreign`: `name` is something else.
    """

    name: str
    current: str | None
    leavings: tuple[str, ...] = ()
    foreign: bool = False

    @property
    def is_displaced(self) -> bool:
        """Whether the environment has a hidden name instead of its own."""
        return self.current not in (None, self.name)


def hidden_names(path: str) -> tuple[str, str, str]:
    """Return the names of the temporary entries of the environment `path`: the new, the old and the deleted one."""
    return hidden_name(path, NEXT), hidden_name(path, BEFORE), hidden_name(path, DISCARDED)


def look(parent: Directory, path: str) -> Standing:
    """Return the entries of the environment `path`, in its open parent directory.

    Raises InvalidInput if an entry with a hidden name was not created by this collection.
    """
    name = os.path.basename(path)
    following, before, discarded = hidden_names(path)
    there = {hidden for hidden in (following, before, discarded) if _is_left(parent, hidden, hidden == discarded)}
    leavings = [discarded]
    foreign = False
    if parent.status(name) is not None:
        current: str | None = name
        foreign = not is_environment(parent, name)
        leavings += [before, following]
    elif before in there and following in there:
        # The new one was complete before the old one was moved away.
        current = following
        leavings += [before]
    elif before in there:
        current = before
    else:
        current = None
        leavings += [following]
    return Standing(name, current, tuple(each for each in leavings if each in there), foreign)


def is_environment(parent: Directory, name: str) -> bool:
    """Return whether the entry `name` is a virtual environment that this collection has created."""
    status = parent.status(name)
    if status is None or not stat.S_ISDIR(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
        return False
    with parent.child(name) as found:
        configuration = found.status(CONFIGURATION)
        return configuration is not None and stat.S_ISREG(configuration.st_mode) and is_ours(found)


def require_unexchanged(parent: Directory, name: str) -> None:
    """Raise InvalidInput if another user could have replaced the Python or the pip in the environment `name`.

    Call this before root runs anything in it. For other users, nothing is checked.
    """
    if os.geteuid() != 0:
        return
    place = parent.place(name)
    packages = glob.glob(os.path.join(glob.escape(place), "lib*", "python*", "site-packages"))
    pips = [pip for pip in (os.path.join(each, "pip") for each in packages) if os.path.isdir(pip)]
    programs = os.path.join(place, "bin")
    fix = f"Check that no other user has changed it, then run chmod -R go-w {place}, or remove it."
    for directory in (place, *([programs] if os.path.isdir(programs) else []), *packages, *pips):
        try:
            with open_directory(directory, option=f"virtualenv {place}"):
                pass
        except InvalidInput as error:
            error.explain(fix)
            raise
    with parent.child(name) as found:
        for file in (CONFIGURATION, PIP_CONFIGURATION):
            _require_of_root(found, file, fix)
        if os.path.isdir(programs):
            with found.child("bin") as within:
                for python in within.names():
                    if python.startswith("python"):
                        _require_of_root(within, python, fix)


def _require_of_root(directory: Directory, name: str, fix: str) -> None:
    status = directory.status(name)
    # A link can only be replaced by users who may write to its directory.
    if status is None or not stat.S_ISREG(status.st_mode):
        return
    if status.st_uid != 0 or status.st_mode & 0o002 or (status.st_mode & 0o020 and status.st_gid != 0):
        raise InvalidInput(
            f"{directory.place(name)} cannot be used, because another user may write to it and could replace programs"
            f" that root runs. {fix}"
        )


def _is_left(parent: Directory, hidden: str, unmarked: bool) -> bool:
    status = parent.status(hidden)
    if status is None:
        return False
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
        with parent.child(hidden) as found:
            # The marker file is deleted last.
            if is_ours(found) or (unmarked and not found.names()):
                return True
    raise InvalidInput(
        f"{parent.place(hidden)} is in the way and was not created by this collection: check what it is, and remove it."
    )


@dataclasses.dataclass(frozen=True)
class Condition:
    """The condition of an environment.

    `version`: the Python that it was created for; `broken`: the reason why it must be created again, or None.
    """

    version: str
    packages: Packages
    broken: str | None


def examine(
    place: str, interpreter: Interpreter, installs: t.Callable[[Packages], bool] = lambda _packages: True
) -> Condition:
    """Return the condition of the environment at `place`, which `interpreter` would create today.

    `installs`: whether its pip will have something to do, given its packages. Otherwise pip must only be there.
    """
    configuration = _read_configuration(os.path.join(place, CONFIGURATION))
    version = ".".join((configuration.get("version") or configuration.get("version_info") or "").split(".")[:2])
    packages = read_packages(place, version)
    use_pip = ["-m", "pip", "--version"] if installs(packages) else ["-c", _FIND_PIP]
    return Condition(version, packages, _broken(place, configuration, version, packages, interpreter, use_pip))


def _broken(
    place: str,
    configuration: t.Mapping[str, str],
    version: str,
    packages: Packages,
    interpreter: Interpreter,
    use_pip: t.Sequence[str],
) -> str | None:
    name = interpreter.name
    python = os.path.join(place, "bin", "python")
    if version != interpreter.version:
        return f"it was created for Python {version or '(unknown)'}, and {name} is Python {interpreter.version}"
    executable = os.path.realpath(python)
    if os.path.dirname(executable) == os.path.join(place, "bin"):
        # The file is a copy, because the file system does not support links.
        executable = os.path.join(os.path.realpath(configuration.get("home", "")), os.path.basename(executable))
    if not os.path.exists(executable):
        return "the Python that created it does not exist any more"
    if executable != interpreter.executable:
        return f"it was created with {executable}, and {name} is {interpreter.executable}"
    if packages.interrupted:
        return f"an installation in it was interrupted ({', '.join(packages.interrupted)})"
    try:
        if run_python([python, "-I", "-B", *use_pip], QUICKLY).status == 0:
            return None
        runs = run_python([python, "-I", "-B", "-c", ""], QUICKLY).status == 0
    except SynapseError:
        runs = False
    return "pip is missing in it" if runs else "its Python does not run"


def _read_configuration(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("=") for line in file]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _sign, value in lines}
