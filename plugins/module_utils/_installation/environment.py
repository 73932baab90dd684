# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The virtual environment as it is found: whose it is, whether it works, and what an interrupted run left beside it."""

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

# What lies beside an environment for a moment: the next one until it is whole, the one before until the next one is in
# its place, and what is being deleted. Only the one before is whole for sure, so it is never deleted under that name.
NEXT = "next"
BEFORE = "before"
DISCARDED = "discarded"
CONFIGURATION = "pyvenv.cfg"
PIP_CONFIGURATION = "pip.conf"


@dataclasses.dataclass(frozen=True)
class Standing:
    """Which entries of its parent an environment has. All names but `name` are hidden ones.

    `current`: the entry that counts as the environment: itself, or the one that takes its place again; None if there is
    none. `leavings`: entries that an interrupted run left, to be deleted. `foreign`: something else has the place.
    """

    name: str
    current: str | None
    leavings: tuple[str, ...] = ()
    foreign: bool = False

    @property
    def is_displaced(self) -> bool:
        """Whether the environment lies beside its place."""
        return self.current not in (None, self.name)


def hidden_names(path: str) -> tuple[str, str, str]:
    """Return what lies beside the environment `path` for a moment: the next, the one before, and what is deleted."""
    return hidden_name(path, NEXT), hidden_name(path, BEFORE), hidden_name(path, DISCARDED)


def look(parent: Directory, path: str) -> Standing:
    """Return what is in the place `path` of an environment and beside it.

    Raises InvalidInput if a hidden name is taken by something that this collection has not made.
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
        # The next one was whole before the one before was moved away.
        current = following
        leavings += [before]
    elif before in there:
        current = before
    else:
        current = None
        leavings += [following]
    return Standing(name, current, tuple(each for each in leavings if each in there), foreign)


def is_environment(parent: Directory, name: str) -> bool:
    """Return whether the entry `name` is a virtual environment, and one that this collection has made."""
    status = parent.status(name)
    if status is None or not stat.S_ISDIR(status.st_mode) or status.st_uid not in {0, os.geteuid()}:
        return False
    with parent.child(name) as found:
        configuration = found.status(CONFIGURATION)
        return configuration is not None and stat.S_ISREG(configuration.st_mode) and is_ours(found)


def require_unexchanged(parent: Directory, name: str) -> None:
    """Raise InvalidInput if somebody else could have exchanged what root is about to run in the environment `name`.

    That is its Python and its pip. To be asked before anything in it is run. Nobody but root is asked for that.
    """
    if os.geteuid() != 0:
        return
    place = parent.place(name)
    packages = glob.glob(os.path.join(glob.escape(place), "lib*", "python*", "site-packages"))
    pips = [pip for pip in (os.path.join(each, "pip") for each in packages) if os.path.isdir(pip)]
    programs = os.path.join(place, "bin")
    mend = f"See that nobody has changed it, then run chmod -R go-w {place}, or remove it."
    for directory in (place, *([programs] if os.path.isdir(programs) else []), *packages, *pips):
        try:
            with open_directory(directory, option=f"environment {place}"):
                pass
        except InvalidInput as error:
            error.explain(mend)
            raise
    with parent.child(name) as found:
        for file in (CONFIGURATION, PIP_CONFIGURATION):
            _require_of_root(found, file, mend)
        if os.path.isdir(programs):
            with found.child("bin") as within:
                for python in within.names():
                    if python.startswith("python"):
                        _require_of_root(within, python, mend)


def _require_of_root(directory: Directory, name: str, mend: str) -> None:
    status = directory.status(name)
    # A link is as good as the directory that it is in.
    if status is None or not stat.S_ISREG(status.st_mode):
        return
    if status.st_uid != 0 or status.st_mode & 0o002 or (status.st_mode & 0o020 and status.st_gid != 0):
        raise InvalidInput(
            f"{directory.place(name)} cannot be used: another user may write to it, and could exchange what root runs."
            f" {mend}"
        )


def _is_left(parent: Directory, hidden: str, unmarked: bool) -> bool:
    status = parent.status(hidden)
    if status is None:
        return False
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
        with parent.child(hidden) as found:
            # The mark is the last that is deleted.
            if is_ours(found) or (unmarked and not found.names()):
                return True
    raise InvalidInput(
        f"{parent.place(hidden)} is in the way, and was not made by this collection: see what it is, and remove it."
    )


@dataclasses.dataclass(frozen=True)
class Condition:
    """How an environment is. `version`: the Python that it was made for; `broken`: why it has to be made anew."""

    version: str
    packages: Packages
    broken: str | None


def examine(place: str, interpreter: Interpreter) -> Condition:
    """Return how the environment at `place` is, for which `interpreter` is what it would be made with today."""
    configuration = _read_configuration(os.path.join(place, CONFIGURATION))
    version = ".".join((configuration.get("version") or configuration.get("version_info") or "").split(".")[:2])
    packages = read_packages(place, version)
    return Condition(version, packages, _broken(place, configuration, version, packages, interpreter))


def _broken(
    place: str, configuration: t.Mapping[str, str], version: str, packages: Packages, interpreter: Interpreter
) -> str | None:
    name = interpreter.name
    python = os.path.join(place, "bin", "python")
    if version != interpreter.version:
        return f"it was made for Python {version or 'of no version'}, and {name} is Python {interpreter.version}"
    executable = os.path.realpath(python)
    if os.path.dirname(executable) == os.path.join(place, "bin"):
        # A copy instead of a link, where a file system has no links.
        executable = os.path.join(os.path.realpath(configuration.get("home", "")), os.path.basename(executable))
    if not os.path.exists(executable):
        return "the Python that it was made with is no longer there"
    if executable != interpreter.executable:
        return f"it was made with {executable}, and {name} is {interpreter.executable}"
    if packages.interrupted:
        return f"an installation in it was interrupted ({', '.join(packages.interrupted)})"
    try:
        if run_python([python, "-I", "-B", "-m", "pip", "--version"], QUICKLY).status == 0:
            return None
        runs = run_python([python, "-I", "-B", "-c", ""], QUICKLY).status == 0
    except SynapseError:
        runs = False
    return "pip is missing from it" if runs else "its Python does not run"


def _read_configuration(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("=") for line in file]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _sign, value in lines}
