# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a container or a journal puts before each line of a log."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.time_text import (
    ISO,
    DirectiveTime,
    EpochTime,
    IsoTime,
    TimeText,
)


class Prefix(t.NamedTuple):
    """One kind of prefix: regular expressions for what stands before its time and after it, and the time itself."""

    before: bytes = b""
    time: TimeText | None = None
    after: bytes = b""

    @property
    def expression(self) -> bytes:
        """The regular expression for the whole prefix, without groups."""
        return self.before + (b"" if self.time is None else self.time.expression) + self.after

    @property
    def is_divided(self) -> bool:
        """Whether long lines are divided into several lines with this prefix, which tells it (see `pieces`)."""
        return self.after == _PIECE


NO_PREFIX = Prefix()

# As the container runtimes of Kubernetes (CRI) write it: F for the last piece of a line, P for one before it.
_PIECE = rb" std[a-z]+ [FP] "
_HOST_AND_PROGRAM = rb" [^ \n]+ [^ \n]+: "
# The name of a service, which is not the level of a record.
_COMPOSE = rb"(?!(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) )[a-zA-Z0-9][a-zA-Z0-9_.-]* +\| "
# As grep prints it for several files, with --line-number or without it. No format begins with a path.
_GREP = rb"/[^ \n:]+:(?:[0-9]+:)?"
# As Docker and Kubernetes write it.
_ISO_WITH_ZONE = IsoTime(rb"[0-9-]{10}T[0-9:.Z+-]+")


def prefixes(written: float | None = None) -> tuple[Prefix, ...]:
    """Return the known kinds of prefix, the most specific first; the last one is none.

    `written`: in seconds since 1970, when the log was written last (for times without a year).
    """
    syslog = DirectiveTime("%b %e %H:%M:%S", written)
    precise = DirectiveTime("%b %e %H:%M:%S", written, fraction=True)
    full = DirectiveTime("%a %Y-%m-%d %H:%M:%S %Z", written)
    return (
        Prefix(b"", _ISO_WITH_ZONE, _PIECE),
        Prefix(rb"(?:<[0-9]+>)?", syslog, _HOST_AND_PROGRAM),
        Prefix(b"", precise, _HOST_AND_PROGRAM),
        Prefix(b"", full, _HOST_AND_PROGRAM),
        Prefix(rb"(?:<[0-9]+>)?", ISO, rb" [^ \n]+ [^ \n]+\[[0-9]+\]: "),
        Prefix(b"", EpochTime(rb"[0-9]+\.[0-9]+"), rb" [^ \n]+ [^ \n]+\[[0-9]+\]: "),
        Prefix(_COMPOSE, _ISO_WITH_ZONE, b" "),
        Prefix(_COMPOSE),
        Prefix(b"", _ISO_WITH_ZONE, b" "),
        Prefix(rb"<[0-9]+>"),
        Prefix(_GREP),
        NO_PREFIX,
    )
