# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Why Synapse has ended, in its own words, from the journal of its unit.

Relies on what Synapse 1.163 writes to its standard error before it ends: `format_config_error` of
synapse/config/_base.py, `quit_with_error` and `ListenerException` of synapse/app/_base.py, and the tracebacks of
Python, in which PyYAML names the file and the line.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import HIDDEN, SHORTEST_SECRET
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.verdict import hide
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.journal import Attempt

# In characters, and in lines. The first exception must have room beside the last one.
_LONGEST, _LONGEST_OF_TWO = 300, 140
_MOST_LINES = 10
_CONFIGURATION = "Error in configuration"
_TRACEBACK = "Traceback (most recent call last):"
_DIRECT = "The above exception was the direct cause of the following exception:"
_INDIRECT = "During handling of the above exception, another exception occurred:"
# What Synapse prints about its files, which Python writes only after the reason.
_UNRELATED = re.compile(r".*\bIGNORING\.?|Generating [a-z ]*(?:file|config)\b.*")
# What follows the port is the whole configuration of the listener.
_LISTENER = re.compile(r" with the given listener config: .*")
_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?::\s.*)?")
_IMPORTS = ("ModuleNotFoundError:", "ImportError:")
_NO_MODULE = re.compile(r"\S+: (?:No module named|Error while finding module specification).*")
# What `quit_with_error` prints around the reason, and what follows a reason in the text of a traceback.
_END = re.compile(r"\*{3,}|There may be more information in the logs\.|Error during initialisation:|File \"|-{3,}.*")
_YAML_PLACE = re.compile(r'(?:^|\s)(in "[^"]*", line \d+, column \d+)')
_YAML_ERROR = re.compile(r"(?:yaml\.)?(?:\w+\.)*(?:Scanner|Parser|Composer|Constructor|Reader|YAML|Marked\w*)Error\b")
_QUOTED = re.compile(r"""(['"])((?:\\.|(?!\1).)*)\1""")
# What PyYAML calls a token.
_TOKEN = re.compile(r"<[a-z ]+>")


def last_words(attempts: t.Sequence[Attempt], secrets: t.Collection[str] | None) -> str:
    """Return why the last or the last but one start of a unit has failed, as one sentence of Synapse, or "".

    `secrets`: the secrets in the configuration, which are hidden; None if they are unknown: then everything in
    quotation marks that may be one is hidden.
    """
    # The newest start may just have begun.
    for attempt in list(reversed(attempts))[:2]:
        words, first = words_in(attempt.lines)
        if words:
            return shown(words, first, secrets)
    return ""


def words_in(lines: t.Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the lines in which Synapse or Python name the reason, and those of the exception that led to it.

    Both are empty if there are no such lines.
    """
    lines = [line for text in lines for line in text.splitlines() if not _UNRELATED.fullmatch(line.strip())]
    for position in range(len(lines) - 1, -1, -1):
        if lines[position].strip().startswith(_CONFIGURATION):
            return _paragraph(lines[position:]), []
    traces = [position for position, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if traces:
        last = _exception(lines[traces[-1] :])
        first = _exception(lines[_first_of_chain(lines, traces) :])
        return last, first if first != last else []
    return [line.strip() for line in lines if _NO_MODULE.fullmatch(line.strip())][-1:], []


def shown(words: t.Sequence[str], first: t.Sequence[str], secrets: t.Collection[str] | None) -> str:
    """Return the words, and those of the exception that came first, as one sentence without secrets.

    It has at most 300 characters.
    """
    text = _LISTENER.sub("", _without_secrets(words, secrets))
    if first:
        cause = _shortened(_without_secrets(first, secrets).rstrip("."), _LONGEST_OF_TWO)
        text = f"{_shortened(text.rstrip('.'), _LONGEST_OF_TWO)} (the first error was {cause})"
    text = _shortened(text, _LONGEST)
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _without_secrets(words: t.Sequence[str], secrets: t.Collection[str] | None) -> str:
    """Return the words on one line, without secrets."""
    is_yaml = bool(_YAML_ERROR.match(words[0]))
    kept = _without_quotation(words) if is_yaml else words
    text = "".join(letter if letter.isprintable() else " " for letter in " ".join(kept))
    text = " ".join(text.split())
    if is_yaml or (secrets is None and not words[0].startswith(_IMPORTS)):
        # The name of a setting is no secret.
        head = _CONFIGURATION if text.startswith(_CONFIGURATION) else ""
        setting, colon, rest = text.partition(":") if head else ("", "", text)
        text = setting + colon + _hide_quoted(rest)
    return hide(text, secrets or ())


def _hide_quoted(text: str) -> str:
    """Return the text without what is in quotation marks and can be a secret. The place in a file stays as it is."""
    parts = _YAML_PLACE.split(text)
    return "".join(f" {part}" if index % 2 else _QUOTED.sub(_hidden, part) for index, part in enumerate(parts))


def _hidden(found: re.Match[str]) -> str:
    quote, value = found.groups()
    folder = os.path.dirname(value)
    is_path = folder not in ("", "/") and "\0" not in folder and os.path.isabs(folder) and os.path.isdir(folder)
    if len(value) < SHORTEST_SECRET or _TOKEN.fullmatch(value) or is_path:
        return found.group()
    return quote + HIDDEN + quote


def _without_quotation(words: t.Sequence[str]) -> list[str]:
    """Return the words of PyYAML without the line of the file that it quotes below a place, and the mark below that."""
    kept: list[str] = []
    quotes = False
    for word in words:
        place = _YAML_PLACE.search(word)
        if place:
            kept.append(word[: place.end()])
            quotes = word.rstrip().endswith(":")
        elif not quotes:
            kept.append(word)
        elif word.strip() == "^":
            quotes = False
    return kept


def _paragraph(lines: t.Sequence[str]) -> list[str]:
    """Return the lines up to the next one that is empty or belongs to something else."""
    found = [lines[0].strip()]
    for line in lines[1:_MOST_LINES]:
        text = line.strip()
        if not text or _END.match(text) or text in (_TRACEBACK, _DIRECT, _INDIRECT, found[0]):
            break
        found.append(text)
    return found


def _exception(lines: t.Sequence[str]) -> list[str]:
    """Return the message of the exception at the end of a traceback, which begins with the first line."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    for position, line in enumerate(lines[1:], start=1):
        text = line.strip()
        if text and len(line) - len(line.lstrip()) <= indent and _EXCEPTION.fullmatch(text):
            return _paragraph(lines[position:])
    return []


def _first_of_chain(lines: t.Sequence[str], traces: t.Sequence[int]) -> int:
    """Return the position of the first traceback among those that led to the last one."""
    first = traces[-1]
    for position in reversed(traces[:-1]):
        if not any(line.strip() in (_DIRECT, _INDIRECT) for line in lines[position:first]):
            break
        first = position
    return first
