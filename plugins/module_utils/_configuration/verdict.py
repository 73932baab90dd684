# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What Synapse's own parser (1.163) says about a configuration: whether it accepts it, and if not, why."""

from __future__ import annotations

import re
import signal
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser_program import ACCEPTED, REFUSED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import HIDDEN, SHORTEST_SECRET

CONFIGURATION, INSTALLATION = "configuration", "installation"
# In characters. Some messages quote a whole section of the configuration.
_LONGEST_COMPLAINT = 2000
# A warning about key servers, which ends with a line of dashes, may precede the reason.
_WARNING = re.compile(r"^.*\n-{9,}\n", re.DOTALL)
# Only the exception at the end of a traceback is useful to a user. The lines before it are indented, and its message
# can have several lines.
_TRACEBACK = re.compile(r"^.*Traceback [(]most recent call last[)]:\n(?:[ \t][^\n]*\n)+", re.DOTALL)
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
# What pydantic writes before and after a value that it refuses.
_BEFORE_VALUE, _AFTER_VALUE = "input_value=", ", input_type="


class Verdict(t.NamedTuple):
    """The result of Synapse's parser. `cause`: CONFIGURATION or INSTALLATION, which is to blame; "" if it accepts it.

    `complaint`: the words of Synapse as one line that ends like a sentence, or "".
    """

    cause: str = ""
    complaint: str = ""

    @property
    def accepted(self) -> bool:
        """Whether Synapse can start with the configuration."""
        return not self.cause

    def hiding(self, secrets: t.Iterable[str]) -> Verdict:
        """Return the verdict without these secrets, which the words of Synapse may quote (see hide)."""
        return self._replace(complaint=hide(self.complaint, secrets))

    def shown(self) -> dict[str, t.Any]:
        """Return the verdict as the modules return it."""
        return {"accepted": self.accepted, "cause": self.cause, "complaint": self.complaint}


def hide(words: str, secrets: t.Iterable[str]) -> str:
    """Return `words` without these secrets, and not too long.

    If there are secrets, values that Synapse itself has cut are hidden too.
    """
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        words = words.replace(form, HIDDEN)
    if forms:
        words = _without_cut_values(words)
    # Only now, because a part of a secret would not be found.
    return words if len(words) <= _LONGEST_COMPLAINT else words[: _LONGEST_COMPLAINT - 1] + "…"


def verdict_of(completed: Completed) -> Verdict:
    """Return the verdict in the result of the command."""
    if completed.status == ACCEPTED:
        return Verdict()
    reason = _WARNING.sub("", completed.errors)
    # A warning can precede the reason, with an empty line between the two.
    words = _one_line(_TRACEBACK.sub("", reason))
    complaint = _as_sentence(words) if words else ""
    if completed.status == REFUSED:
        return Verdict(CONFIGURATION, complaint or "It ended without a message.")
    if completed.status < 0:
        return Verdict(INSTALLATION, f"It was ended by {_named(-completed.status)}. {complaint}".rstrip())
    return Verdict(INSTALLATION, complaint or f"It ended with status {completed.status} and without a message.")


def _as_sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else f"{words}."


def _named(number: int) -> str:
    """Return the name of a signal. The kernel uses SIGKILL if the memory is not enough."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"the signal {name}" + (", for example because of too little memory" if number == signal.SIGKILL else "")


def _forms(secret: str) -> set[str]:
    """Return the forms in which a secret may be quoted: as it is, as Python shows it, and both as one line."""
    texts = (secret, repr(secret)[1:-1])
    forms = {form for text in texts for form in (text, " ".join(text.split()), _one_line(text))}
    return {form for form in forms if len(form) >= SHORTEST_SECRET}


def _one_line(text: str) -> str:
    """Return `text` as one line, with each of its paragraphs except the last one as a sentence."""
    *first, last = [words for words in (" ".join(each.split()) for each in _EMPTY_LINE.split(text)) if words] or [""]
    return " ".join([*map(_as_sentence, first), last])


def _without_cut_values(complaint: str) -> str:
    """Return the complaint without values that pydantic cuts in the middle (...): they may have a part of a secret."""
    first, *others = complaint.split(_BEFORE_VALUE)
    shown = [first]
    for other in others:
        value, after, rest = other.partition(_AFTER_VALUE)
        shown.append(HIDDEN + after + rest if after and "..." in value else other)
    return _BEFORE_VALUE.join(shown)
