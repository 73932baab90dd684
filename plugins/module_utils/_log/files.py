# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""From paths and patterns to the files of a log, in the order of what was written first."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.blocks import CUT
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.compression import LONGEST_MAGIC, compression_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile, Vanished
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.patterns import find_files
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.recognition import AnyLayout, recognise, record_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.rotation import in_order, stream_of

# How much is read of a file, in how many places, to recognise its formats. If these are within one long record, more.
_SAMPLE = 256 << 10
_FEW, _MANY = 3, 30
# How far from both ends of a file a record is looked for.
_SEARCH = 64 << 20
_SEARCH_STEP = 1 << 20
# A rotation renames several files, one after the other.
_ATTEMPTS = 3

_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x7f]")


def open_files(
    paths: t.Sequence[str],
    known: Format | None = None,
    *,
    free_tags: bool = False,
    option: str = "path",
) -> list[LogFile]:
    """Return the files at `paths` without the empty ones: each stream together, and both in order of the first record.

    A path may be a pattern such as /var/log/matrix-synapse/*.log*; one that exists as it stands is never a pattern.
    A file with several names counts once. `known`, `free_tags`: see `recognise`. `option`: where the paths come from,
    for messages. Raises InvalidInput or SynapseError for everything that cannot be read as a log of Synapse.
    """
    if not paths or not all(paths):
        raise InvalidInput(f"{option} is empty: name at least one log file.")
    for attempt in range(_ATTEMPTS):
        found = find_files(paths, option)
        try:
            files = _read(
                [LogFile(path, status) for path, status in found.values() if status.st_size], known, free_tags
            )
        except Vanished:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        # A file that a rotation has renamed meanwhile was read under its new name; another one may have its old name.
        if attempt == _ATTEMPTS - 1 or find_files(paths, option).keys() <= found.keys():
            break
    if not files:
        names = _listed([path for path, status in found.values()])
        raise SynapseError(
            f"{names} {'is' if len(found) == 1 else 'are'} empty: see in Synapse's log configuration (log_config) which"
            " file its loggers write to, and at which level."
        )
    return in_order(files)


def _read(files: list[LogFile], known: Format | None, free_tags: bool) -> list[LogFile]:
    """Add to the files what their content tells. Returns those that are not empty."""
    files = [file for file in files if _recognise(file, known, free_tags)]
    for file in files:
        # A file just begun may contain only records of other packages than Synapse.
        file.layouts = file.layouts or _layouts_of_stream(file, files)
        if not file.layouts:
            raise _not_a_log(file.path, _sample(file, _FEW), known)
        file.first = _time(file, (line for offset, line in file.lines(0, _SEARCH)))
        if file.first is not None and not file.compressed:
            file.last = _last_time(file)
    return files


def _recognise(file: LogFile, known: Format | None, free_tags: bool) -> bool:
    """Add compression, stream and layouts. Returns whether there is any text."""
    with file.opened() as descriptor:
        file.compression = compression_of(os.pread(descriptor, LONGEST_MAGIC, 0))
    file.stream = stream_of(file.path)
    for count in (_FEW, _MANY):
        sample = _sample(file, count)
        if not sample:
            return False
        file.layouts = recognise(sample, known, free_tags=free_tags, written=file.modified)
        if file.layouts:
            break
    return True


def _layouts_of_stream(file: LogFile, files: list[LogFile]) -> tuple[AnyLayout, ...]:
    """The layouts of another file of the stream, if they fit."""
    layouts = next((other.layouts for other in files if other.layouts and other.stream == file.stream), ())
    fits = any(record_of(line, layouts) is not None for line in _sample(file, _FEW).split(b"\n"))
    return layouts if fits else ()


def _sample(file: LogFile, count: int) -> bytes:
    """Lines of `count` places, from the beginning to the end; of a compressed file from its beginning.

    What follows a line that is too long is left out, because the end of that line may be far away.
    """
    if file.compressed:
        ranges = [(0, _SAMPLE * count)]
    elif file.size <= _SAMPLE * count:
        ranges = [(0, file.size)]
    else:
        starts = [(file.size - _SAMPLE) * number // (count - 1) for number in range(count)]
        ranges = [(start, start + _SAMPLE) for start in starts]
    result = []
    for start, end in ranges:
        for _offset, block in file.blocks(start, end, _SAMPLE):
            result.append(block[1:])
            if block.endswith(CUT + b"\n"):
                break
    return b"".join(result)


def _not_a_log(path: str, sample: bytes, known: Format | None) -> SynapseError:
    if b"\0" in sample or len(_CONTROLS.findall(sample[:_SAMPLE])) * 50 > len(sample[:_SAMPLE]):
        return InvalidInput(f"{path} is a binary file, not a log of Synapse: leave it out.")
    if known is not None:
        return InvalidInput(
            f"{path} contains no record in the format that log_format sets: copy it from Synapse's log configuration,"
            " or leave it out so that the format is recognised."
        )
    return InvalidInput(
        f"{path} contains no record as Synapse writes them: leave it out if another program has written it, else set"
        " log_format to the format in Synapse's log configuration."
    )


def _time(file: LogFile, lines: t.Iterable[bytes]) -> float | None:
    for line in lines:
        record = record_of(line, file.layouts)
        if record is not None and record.time is not None:
            return record.time
    return None


def _last_time(file: LogFile) -> float | None:
    upper = file.size
    while upper > max(0, file.size - _SEARCH):
        lower = max(0, upper - _SEARCH_STEP)
        found = _time(file, reversed([line for offset, line in file.lines(lower, upper)]))
        if found is not None:
            return found
        upper = lower
    return None


def _listed(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{', '.join(paths[:3])}{' and others' if len(paths) > 3 else ''}"
