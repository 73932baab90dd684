# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether each process has loaded jemalloc, and what keeps it from that: a file of the unit, or the library itself."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.declared import (
    Declared,
    Mapping,
    identified,
    names_of,
    unknown_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.elf import wrong_library
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_environment import (
    VARIABLE,
    Preload,
    libraries,
    missing_files,
    read_preload,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.unit_files import Line, UnitNow
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.units import Units
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Verdict

_NAME = re.compile(r"(^|/)libjemalloc[^/]*\Z")


def judge_jemalloc(declared: Declared, processes: t.Sequence[Mapping], units: Units, verdict: Verdict) -> None:
    """Compare the library of each process with `jemalloc` and `jemalloc_library`, and warn of the next start."""
    if not declared.needs_jemalloc:
        return
    option = "jemalloc_library" if declared.jemalloc_library else "jemalloc"
    for process in processes:
        found = process.get("jemalloc")
        if found is None:
            doubt = unknown_of(process["unknown"], ("jemalloc",))
            reason = f"Whether {identified(process)} has loaded jemalloc is unknown. {doubt}"
            verdict.fail(option, reason.strip(), process)
            continue
        search = _Search(declared, process, units)
        if not found["loaded"] or not search.is_wanted(found.get("library", "")):
            cause, culprit = search.culprit()
            verdict.fail(option, f"{_runs(process)}{search.instead}. {culprit}", process, cause)
        for cause, text in search.later():
            verdict.warn(cause, text)
    if not verdict.failed(option):
        loaded = dict.fromkeys(process["jemalloc"]["library"] for process in processes)
        library = declared.jemalloc_library or " or ".join(loaded)
        verdict.proofs["jemalloc"] = f"Memory: {names_of(processes)} has loaded {library}."


def judge_autotuning(declared: Declared, processes: t.Sequence[Mapping], verdict: Verdict) -> None:
    """Check that jemalloc is loaded, without which Synapse ignores the autotuning of its caches."""
    if not declared.cache_autotuning:
        return
    option = declared.called("cache_autotuning")
    for process in processes:
        found = process.get("jemalloc")
        if found is None:
            doubt = unknown_of(process["unknown"], ("jemalloc",))
            reason = f"Whether {identified(process)} has loaded jemalloc for {option} is unknown. {doubt}"
            verdict.fail("cache_autotuning", reason.strip(), process)
        elif not found["loaded"]:
            verdict.fail(
                "cache_autotuning",
                f"{_runs(process)}, so Synapse ignores {option}. Apply the role matrix_ops.synapse.synapse_jemalloc"
                f" too, or remove {option}.",
                process,
            )


def _runs(process: Mapping) -> str:
    found = process["jemalloc"]
    return f"{identified(process)} runs {'with ' + found['library'] if found['loaded'] else 'without jemalloc'}"


class _Search:
    """Searches for what keeps one process from the library."""

    def __init__(self, declared: Declared, process: Mapping, units: Units) -> None:
        self._library = declared.jemalloc_library
        self._process = process
        self._restart = declared.restart(process)
        self._units = units
        self.instead = f" instead of {self._library}" if self._library else ""

    def is_wanted(self, library: str) -> bool:
        """Return whether a library is the declared one."""
        if self._library is None:
            return bool(_NAME.search(library))
        return library == self._library or os.path.realpath(library) == os.path.realpath(self._library)

    def culprit(self) -> tuple[str, str]:
        """Return what identifies the cause, and the reason as sentences."""
        try:
            unit = self._units.of(self._process)
        except SynapseError as error:
            return "systemd", f"Why is unknown, because its unit cannot be read. {error.message}"
        preload = read_preload(unit) if unit else Preload()
        if preload.hidden:
            owner = self._process.get("unit")
            reason = f"{preload.hidden[0]} of {owner} cannot be read by this user, so why is unknown. Run the task"
            return "hidden", f"{reason} with become, as root."
        if unit and not self._is_in(preload.value):
            return self._of_unit(unit, preload)
        environment = self._process.get("environment")
        if environment is None:
            doubt = unknown_of(self._process["unknown"], ("environment",))
            return "environment", f"Its {VARIABLE} is unknown. {doubt}".strip()
        value = environment.get(VARIABLE, "")
        if self._is_in(value):
            return self._of_library(value, preload.line if unit and preload.value == value else None)
        own = f"Its {VARIABLE} is '{value}'" if value else f"It was started without {VARIABLE}"
        if unit is None:
            where = self._library or "the path of jemalloc"
            return "start", f"{own}. Set {VARIABLE} to {where} where it is started, and restart {self._restart}."
        if not unit.is_read:
            reason = f"although {preload.line.place if preload.line else unit.name} sets it, but systemd has not read"
            return "restart", f"{own}, {reason} all files of the unit: {unit.apply} ({unit.hint})."
        reason = f"{own}, although {preload.line.place if preload.line else unit.name} sets it"
        return "restart", (
            f"{reason}: it was not restarted since. Restart {self._restart}. If that does not help, the command in"
            f" ExecStart removes it ({unit.hint})."
        )

    def later(self) -> t.Iterator[tuple[str, str]]:
        """Yield what keeps the unit from loading the library at its next start."""
        try:
            unit = self._units.of(self._process)
        except SynapseError:
            return
        if unit:
            for line, path in missing_files(unit):
                reason = f"{unit.name} does not start again, because {path} does not exist. {line.place} sets"
                how = f"EnvironmentFile={line.value}: create that file, or write a hyphen before its path."
                yield f"EnvironmentFile {line.place} {unit.name}", f"{reason} {how}"
            preload = read_preload(unit)
            # A script in ExecStart can set the variable, too.
            certain = not preload.hidden and (preload.line is not None or _starts_python(unit))
            if certain and not self._is_in(preload.value):
                cause, reason = self._of_unit(unit, preload)
                with_what = self._library or "jemalloc"
                yield cause, f"After its next start, {unit.name} runs without {with_what}. {reason}"

    def _is_in(self, value: str) -> bool:
        return any(self._is_meant(library) for library in libraries(value))

    def _is_meant(self, library: str) -> bool:
        # The loader searches for a library without a directory, so only its name can be compared.
        if self._library and "/" not in library:
            return os.path.basename(self._library) == library
        return self.is_wanted(library)

    def _of_library(self, value: str, line: Line | None) -> tuple[str, str]:
        """Return why a library in a value of the variable was not loaded. `line`: the assignment, if a file has it."""
        meant = [path for path in libraries(value) if self._is_meant(path)]
        setter = f"{line.place} sets its {VARIABLE} to" if line else f"Its {VARIABLE} is"
        cause = f"{VARIABLE} {line.place}" if line else "library"
        for path in meant:
            problem = self._problem(path)
            if problem:
                how = "correct the path" if os.path.exists(path) else "install it or correct the path"
                return cause, f"{setter} {path}, {problem}: {how}, and restart {self._restart}."
        return "library", (
            f"{setter} '{value}', but the library was not loaded when it was started: it did not exist then, or the"
            f" user of the process cannot read it, or it has another architecture. Correct that, and restart"
            f" {self._restart}."
        )

    def _problem(self, path: str) -> str:
        """Return why the loader ignores a library, or ""."""
        # Without a directory, the loader searches for it.
        if "/" not in path:
            return ""
        if not os.path.exists(path):
            return "which does not exist"
        return wrong_library(path, self._units.program(self._process))

    def _of_unit(self, unit: UnitNow, preload: Preload) -> tuple[str, str]:
        if preload.line is None:
            reason = f"No file of {unit.name} sets {VARIABLE}. Set it in a drop-in, and {unit.apply} ({unit.hint})."
            return f"unset {unit.name}", reason
        what = f"sets {VARIABLE} to '{preload.value}'"
        if preload.removed:
            what = f"removes {VARIABLE} ({preload.line.key})"
        problems = [(path, self._problem(path)) for path in libraries(preload.value)]
        why = next((f" ({path}, {problem})" for path, problem in problems if problem), "")
        reason = f"{preload.line.place} {what}{why}: remove that there, and {unit.apply} ({unit.hint})."
        return f"{VARIABLE} {preload.line.place} {unit.name}", reason


def _starts_python(unit: UnitNow) -> bool:
    commands = [line.value for line in unit.lines() if line.key == "ExecStart" and line.value]
    return bool(commands) and os.path.basename(commands[-1].split()[0]).startswith("python")
