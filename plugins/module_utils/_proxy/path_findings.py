# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The findings on paths: one for each cause and site, in words."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    INFO,
    WARNING,
    Finding,
    evidence,
    shown_target,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_change import (
    DECODED,
    ENCODED_TWICE,
    MERGED,
    QUERY_CHANGED,
    QUERY_CUT,
    REWRITTEN,
    SLASH_ADDED,
    SLASH_REMOVED,
    Change,
)

REFUSED, NOT_FORWARDED, LONG_URL_REFUSED = "path_refused", "path_not_forwarded", "long_url_refused"
ERRORS_REPLACED, PROXY_ERROR = "errors_replaced", "proxy_error"
DECODED_PATH, MERGED_PATH = "path_decoded", "path_merged"
REPLACING = "Remove what replaces error pages, such as proxy_intercept_errors or ProxyErrorOverride."
_NAMES = {
    DECODED: DECODED_PATH,
    ENCODED_TWICE: "path_encoded_twice",
    REWRITTEN: "path_rewritten",
    MERGED: MERGED_PATH,
    SLASH_REMOVED: "path_slash_removed",
    SLASH_ADDED: "path_slash_added",
    QUERY_CHANGED: "query_changed",
    QUERY_CUT: "query_cut",
}
_ABOUT_SLASHES = ("path_merged", "path_slash_removed", "path_slash_added")
_SEVERITIES = (INFO, WARNING, ERROR)
# What a client cannot use any more if one of these is touched: aliases and names with / or %.
_NEEDED_BY_CLIENTS = {"%2F", "%25", "%"}
_LONGEST = 200


class Mark(t.NamedTuple):
    """A change in a group.

    `touched`: the characters, or the statuses of errors. `expected`: an answer. `arrived`: a target, "" if it is not
    known. `is_query`: whether the request is about the query. `is_vague`: whether only some of `touched` are meant.
    """

    name: str
    site: str
    group: str
    answer: Answer | NoAnswer
    change: Change
    touched: tuple[str, ...] = ()
    expected: str = ""
    arrived: str = ""
    is_query: bool = False
    is_vague: bool = False

    @property
    def severity(self) -> str:
        """How bad it is in this group."""
        if self.change.is_harmless:
            return INFO
        if self.name in _ABOUT_SLASHES:
            # With one more at the end, Synapse knows almost no path.
            return ERROR if self.name == "path_slash_added" else WARNING
        lost = (REFUSED, NOT_FORWARDED, LONG_URL_REFUSED, ERRORS_REPLACED, PROXY_ERROR, "query_cut")
        if self.group == "federation" or self.name in lost:
            return ERROR
        if self.name == "query_changed":
            return WARNING
        if self.name == "path_rewritten":
            # Another form of the same character means the same for all but signatures.
            return WARNING if _is_of_characters(self.change) else ERROR
        if self.group == "client":
            return ERROR if {_upper(text)[:3] for text in self.touched} & _NEEDED_BY_CLIENTS else WARNING
        return ERROR


def name_of(change: Change) -> str:
    """Return the name of the finding for a change."""
    return _NAMES[change.kind]


def findings_of(marks: t.Iterable[Mark]) -> tuple[Finding, ...]:
    """Join what has one cause at one site."""
    joined: dict[tuple[str, str, bool], list[Mark]] = {}
    for mark in marks:
        joined.setdefault((mark.site, mark.name, mark.change.is_harmless), []).append(mark)
    # What breaks nothing needs no finding of its own beside the same with something that breaks.
    return tuple(
        _finding(same)
        for (site, name, is_harmless), same in joined.items()
        if not is_harmless or (site, name, False) not in joined
    )


def _finding(marks: list[Mark]) -> Finding:
    # What arrived is the best evidence, and the worst group the most interesting one.
    best = max(marks, key=lambda mark: (_SEVERITIES.index(mark.severity), bool(mark.arrived)))
    groups = tuple(dict.fromkeys(mark.group for mark in marks))
    places = {mark.is_query for mark in marks}
    touched = tuple(dict.fromkeys(_upper(text) for mark in marks for text in mark.touched if text))
    more = (
        {"expected": shown_target(best.answer.request), "arrived": best.arrived}
        if best.arrived
        else {"expected": best.expected}
    )
    shown = {key: text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..." for key, text in more.items()}
    parts = listed([name for name, is_query in (("paths", False), ("queries", True)) if is_query in places])
    best = best._replace(is_vague=any(mark.is_vague for mark in marks))
    what = _what(best, groups, touched, parts)
    values = {"characters": list(touched)} if best.name in ("path_decoded", "path_encoded_twice", REFUSED) else {}
    return Finding(best.name, what, best.severity, best.site, evidence(best.answer, **shown), groups, values)


def _what(mark: Mark, groups: tuple[str, ...], touched: tuple[str, ...], parts: str) -> str:
    where = _where(groups)
    characters = ("some of " if mark.is_vague else "") + (listed(touched) or "encoded characters")
    status = mark.answer.status if isinstance(mark.answer, Answer) else "nothing"
    texts = {
        DECODED_PATH: _of_characters(DECODED_PATH, characters, where),
        "path_encoded_twice": _of_characters("path_encoded_twice", characters, where),
        "path_rewritten": f"The proxy changes paths {where} ({mark.change.text})",
        "path_merged": f"The proxy merges // into / in paths {where}",
        "path_slash_removed": f"The proxy removes the slash at the end of paths {where}",
        "path_slash_added": f"The proxy adds a slash at the end of paths {where}",
        "query_changed": f"The proxy changes queries {where} ({mark.change.text})",
        "query_cut": f"The proxy cuts queries {where} ({mark.change.text})",
        REFUSED: f"The proxy itself answers {status} to {parts} {where} that contain {characters}",
        NOT_FORWARDED: f"The proxy does not forward paths {where} to Synapse but answers {status} itself",
        LONG_URL_REFUSED: f"The proxy answers {status} to URLs {where} with a query of 4000 characters",
        PROXY_ERROR: f"The proxy does not reach Synapse for requests {where} and answers with status {status}",
        ERRORS_REPLACED: f"The proxy replaces errors with the status {listed(sorted(touched))} in answers {where}",
    }
    return f"{texts[mark.name]}{_consequence(mark, groups)}."


def decoded_text(name: str, characters: t.Sequence[str], groups: t.Sequence[str]) -> str:
    """Return the sentence of path_decoded or path_encoded_twice, if it affects what other servers sign."""
    return f"{_of_characters(name, listed(characters), _where(groups))}, so that signatures of other servers fail."


def _of_characters(name: str, characters: str, where: str) -> str:
    if name == DECODED_PATH:
        return f"The proxy decodes {characters} in paths {where}"
    return f"The proxy encodes {characters} a second time in paths {where}"


def _where(groups: t.Sequence[str]) -> str:
    return f"of the group{'s' if len(groups) > 1 else ''} {listed(groups)}"


def _consequence(mark: Mark, groups: tuple[str, ...]) -> str:
    if mark.name == PROXY_ERROR:
        return ": check that the process to which it sends them runs, and that its address in the proxy is right"
    if mark.name == ERRORS_REPLACED:
        return " by pages of its own instead of Synapse's texts, so that clients show wrong errors and cannot log in"
    if mark.change.is_harmless:
        return ", which breaks nothing because servers do not encode these characters"
    is_lost = mark.name in (NOT_FORWARDED, REFUSED, LONG_URL_REFUSED, "query_cut", "path_slash_added")
    if is_lost or (mark.name == "path_rewritten" and not _is_of_characters(mark.change)):
        return ", so that these requests fail"
    if mark.name in _ABOUT_SLASHES:
        return ", which shows that it rewrites paths"
    if "federation" in groups:
        return ", so that signatures of other servers fail"
    return ", so that Synapse gets something else than what was sent"


def listed(texts: t.Sequence[str]) -> str:
    """Return texts as a list in words: a, b and c."""
    return " and ".join(part for part in (", ".join(texts[:-1]), *texts[-1:]) if part)


def _upper(text: str) -> str:
    return text.upper() if text.startswith("%") else text


def _is_of_characters(change: Change) -> bool:
    """Whether only single characters have another form."""
    return all(len(step.before) == 1 or (len(step.before) == 3 and step.before[0] == "%") for step in change.steps)
