# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The entries of systemd units in the journal, read with journalctl (systemd 245 and newer), one at a time."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Command, Completed, run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.journal_entry import FIELDS, Entry, EntryReader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.systemctl import show_units

Run = t.Callable[[t.Sequence[str], float], Completed]

# A name that begins with a hyphen is valid, but never that of a service. Other characters would be a pattern.
_UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,246}")
_SUFFIXES = ("service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope")
# In characters. A byte that is not text needs up to four of them.
_LONGEST_LINE = 16 * 1024 * 1024
_ERRORS_AT_MOST = 64 * 1024
# In seconds, for commands that print a few lines.
_TIMEOUT = 60
_NO_PERMISSION = re.compile(r"not seeing messages|insufficient permissions|Permission denied", re.IGNORECASE)
# Files with entries of the system were left out: an incomplete answer, even if there is one.
_INCOMPLETE = re.compile(r"files were not opened due to insufficient permissions", re.IGNORECASE)
# A pattern without a match (the name of a template) is an error for journalctl.
_NO_UNIT = re.compile(r"add filter for units.*No data available", re.IGNORECASE)


class Tools(t.NamedTuple):
    """How the journal is read: the command journalctl, and what runs commands that end soon."""

    journalctl: str = "journalctl"
    run: Run = run_command


def full_unit_name(unit: str) -> str:
    """Return the name of a unit with its type, .service by default as for systemctl.

    Raises InvalidInput if it is not the name of a unit.
    """
    if not _UNIT_NAME.fullmatch(unit):
        raise InvalidInput(
            f"unit contains {unit!r}, which is not the name of a systemd unit such as matrix-synapse.service: correct"
            " it."
        )
    return unit if unit.rpartition(".")[2] in _SUFFIXES and "." in unit[1:] else f"{unit}.service"


def read_journal(
    units: t.Sequence[str],
    since: float | None = None,
    until: float | None = None,
    *,
    warn: t.Callable[[str], None] | None = None,
    tools: Tools | None = None,
) -> t.Iterator[Entry]:
    """Return the entries of units in the order of the journal. Close the iterator if you do not read it to its end.

    `units`: names; one without an instance (worker@.service) stands for all instances. `since` and `until`: in seconds
    since 1970, both included. `warn` gets what journalctl reports without failing, a line each.

    Raises InvalidInput at once for a name that is not valid. The iterator raises SynapseError if journalctl does not
    exist or fails, also after some entries, if this user may not read the journal, or if the journal has no entry of a
    unit at any time.
    """
    if not units:
        raise InvalidInput("unit is empty: set it to the units that run Synapse.")
    names = list(dict.fromkeys(full_unit_name(unit) for unit in units))
    return _entries(names, since, until, warn or (lambda _line: None), tools or Tools())


def _entries(
    names: t.Sequence[str], since: float | None, until: float | None, warn: t.Callable[[str], None], tools: Tools
) -> t.Iterator[Entry]:
    patterns = {name: re.compile(re.escape(name).replace("@\\.", "@.*\\.")) for name in names}
    absent = set(names)

    def is_wanted(unit: str) -> bool:
        return any(pattern.fullmatch(unit) for pattern in patterns.values())

    reader = EntryReader(is_wanted)
    arguments = [*_arguments(tools, names), "--all", f"--output-fields={','.join(FIELDS)}"]
    arguments += [
        f"--{option}=@{max(0.0, moment):.6f}"
        for option, moment in (("since", since), ("until", until))
        if moment is not None
    ]
    with tempfile.TemporaryFile() as errors:
        with contextlib.closing(_lines(arguments, errors)) as lines:
            for line in itertools.chain(lines, [None]):
                for entry in reader.rest() if line is None else reader.read(line):
                    absent = {name for name in absent if not patterns[name].fullmatch(entry.unit)}
                    yield entry
        errors.seek(0)
        reported = errors.read(_ERRORS_AT_MOST).decode("utf-8", "replace")
    if _INCOMPLETE.search(reported):
        raise _not_permitted(names)
    for name in sorted(absent):
        _require_entry(name, tools)
    for line in reported.split("\n"):
        if line.strip() and not _NO_PERMISSION.search(line) and not line.startswith(" "):
            warn(line.strip())


def _lines(arguments: t.Sequence[str], errors: t.IO[bytes]) -> t.Generator[str, None, None]:
    """Yield the lines that a command prints. It is killed when the iterator is closed. `errors`: its standard error.

    Raises SynapseError if it cannot be run, if it fails, or if a line is too long.
    """
    try:
        process = Command(arguments, stdout=subprocess.PIPE, stderr=errors, cwd="/", env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise _cannot_run(arguments[0], error.strerror or "") from error
    with process:
        try:
            yield from _bounded(t.cast(t.IO[str], process.stdout))
            status = process.wait()
        finally:
            # This has no effect after its end.
            process.kill()
    if status != 0:
        errors.seek(0)
        reported = errors.read(_ERRORS_AT_MOST).decode("utf-8", "replace")
        if not _NO_UNIT.search(reported):
            raise _failed(status, reported)


def _bounded(stream: t.IO[str]) -> t.Iterator[str]:
    while True:
        line = stream.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE and not line.endswith("\n"):
            raise SynapseError(
                f"The journal has an entry of more than {_LONGEST_LINE // 1024 // 1024} MiB: set since and until to a"
                " time without it."
            )
        if not line:
            return
        yield line


def _require_entry(name: str, tools: Tools) -> None:
    """Raise SynapseError if the journal has no entry of a unit at any time."""
    done = tools.run(["env", "LC_ALL=C", *_arguments(tools, [name]), "--lines=1"], _TIMEOUT)
    if done.status != 0 and not _NO_UNIT.search(done.errors):
        raise _failed(done.status, done.errors)
    if any(line.startswith("{") for line in done.output.split("\n")):
        return
    if not _NO_PERMISSION.search(done.errors):
        # With JSON, journalctl does not print the hint that the user sees only some entries.
        done = tools.run(["env", "LC_ALL=C", *_arguments(tools, [name], as_json=False), "--lines=1"], _TIMEOUT)
    if _NO_PERMISSION.search(done.errors):
        raise _not_permitted([name])
    raise SynapseError(f"The journal has no entry of unit {name}: {_reason(name, tools)}.")


def _reason(name: str, tools: Tools) -> str:
    """Return what systemd knows about a unit without entries, and how to correct its name."""
    general = "correct unit, or set path if it logs to a file"
    if "@." in name:
        return f"none of its instances has ever written to it; {general}"
    try:
        shown = show_units([name], tools.run, _TIMEOUT)[0]
    except SynapseError:
        return general
    if shown.text("LoadState") == "not-found":
        return f"there is no such unit on this host; {general}"
    identifier = shown.text("Id")
    if identifier and identifier != name:
        return f"it is another name of {identifier}; set unit to that"
    return f"it may log to a file, to a namespace of its own (LogNamespace=), or not have run yet; {general}"


def _arguments(tools: Tools, names: t.Sequence[str], *, as_json: bool = True) -> list[str]:
    output = ["--output=json"] if as_json else []
    return [tools.journalctl, *(f"--unit={_pattern(name)}" for name in names), *output, "--no-pager"]


def _pattern(name: str) -> str:
    """Return the pattern of journalctl for the units of a name: all instances of a template."""
    return name.replace("\\", "\\\\").replace("@.", "@*.") if "@." in name else name


def _failed(status: int, reported: str) -> SynapseError:
    if _NO_PERMISSION.search(reported):
        return _not_permitted([])
    lines = [line.strip() for line in reported.split("\n") if line.strip()]
    reason = lines[-1].rstrip(".") if lines else "it reported nothing"
    if status in (126, 127):
        return _cannot_run("journalctl", reason)
    if status < 0:
        reason = f"it was ended by signal {-status}"
    return SynapseError(
        f"journalctl failed with status {status} ({reason}), so that the journal was not read to its end: run the same"
        " command on the host (journalctl --unit), and correct what it reports."
    )


def _cannot_run(command: str, reason: str) -> SynapseError:
    return SynapseError(
        f"{command} cannot be run ({reason}): the journal needs a host with systemd. Set path to a log file instead."
    )


def _not_permitted(names: t.Sequence[str]) -> SynapseError:
    of_units = f" of {', '.join(names)}" if names else ""
    return SynapseError(
        f"This user is not allowed to read the journal{of_units}: run the task with become, or add the user to the"
        " group systemd-journal."
    )
