# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the answers to the requests of path_probes say of the proxy: one finding for each cause and site."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found, Unknown, quoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import (
    BASELINE,
    CHANGED,
    CHARACTERS,
    FOREIGN,
    INTACT,
    QUERY,
    SLASHES,
    STATUS,
    UNSURE,
    Outcome,
    is_broken_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_backend import AGAIN, unreached, why_busy
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_errors import replaced
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_findings import (
    DECODED_PATH,
    ERRORS_REPLACED,
    LONG_URL_REFUSED,
    MERGED_PATH,
    NOT_FORWARDED,
    PROXY_ERROR,
    REFUSED,
    REPLACING,
    Mark,
    findings_of,
    listed,
    name_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_logged import Arrivals, with_log
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import LONG_QUERY

_FOUND, _LEAST_OF_ERRORS = 200, 400
_SET_LOG = "Set log_path to the log of Synapse."
_UNCHANGED = Outcome(FOREIGN)
_DIRECT = "Set base_url to the address where Synapse itself answers, and compare."


def judge(rows: t.Sequence[Asked], arrivals: Arrivals, is_signed: bool) -> Found:
    """Return the findings of all sites and groups, and what could not be found out."""
    marks: list[Mark] = []
    doubts: list[tuple[str, str, str, str]] = []
    for site, group in dict.fromkeys((row.site, row.probe.group) for row in rows):
        on_site = [row for row in rows if row.site == site]
        judging = _Judging(group, on_site, arrivals)
        judging.judge()
        marks += judging.marks
        doubts += [(name, group, reason, fix) for name, reason, fix in judging.doubts]
    found = Found(findings_of(_causes(marks)), _unknown(doubts))
    return found if is_signed else found + _unseen(rows, arrivals, found)


def _causes(marks: list[Mark]) -> list[Mark]:
    """Return the marks without those that only follow from others: who decodes a path often merges slashes too."""
    kept = []
    for mark in marks:
        decoded = {other.group for other in marks if other.site == mark.site and other.name == DECODED_PATH}
        merged = {other.group for other in marks if other.site == mark.site and other.name == MERGED_PATH}
        if mark.name != MERGED_PATH or not decoded & merged:
            kept.append(mark)
    return kept


class _Judging:
    """Judges the answers of a group at a site."""

    def __init__(self, group: str, on_site: list[Asked], arrivals: Arrivals) -> None:
        self._group = group
        self._site = [(row, with_log(row, arrivals)) for row in on_site]
        self._outcomes = [pair for pair in self._site if pair[0].probe.group == group]
        # Only if the errors of Synapse with a status pass, another one with that status is the proxy's own.
        self._passing = {row.answer.status for row in on_site if isinstance(row.answer, Answer) and row.answer.errcode}
        self._is_unstable = any(row.is_unstable for row in on_site)
        self._replaced = [] if self._is_unstable else replaced(self._site)
        self._unreached = unreached(on_site)
        self._arrivals = arrivals
        self._replacing = {row.answer.status for row in self._replaced if isinstance(row.answer, Answer)}
        self.marks: list[Mark] = []
        self.doubts: list[tuple[str, str, str]] = []

    def judge(self) -> None:
        """Fill `marks` and `doubts`."""
        for row, outcome in self._outcomes:
            if row in self._replaced and isinstance(row.answer, Answer):
                # What arrived as something else has another error than what was sent.
                is_other = outcome.state == CHANGED and row.answer.status >= _LEAST_OF_ERRORS
                status = row.answer.status if is_other else row.probe.status
                self._mark(row, ERRORS_REPLACED, characters=(str(status),))
        for row in self._unreached:
            if row.probe.group == self._group:
                self._mark(row, PROXY_ERROR)
        baseline = next((pair for pair in self._outcomes if pair[0].probe.purpose == BASELINE), None)
        is_failing = baseline is not None and baseline[1].state != INTACT and not baseline[0].is_same
        for row, outcome in [baseline] if is_failing and baseline else self._outcomes:
            if (
                outcome.state != INTACT
                and not row.is_hint
                and row not in self._unreached
                and not self._is_explained(row)
            ):
                self._judge_row(row, outcome)

    def _is_explained(self, row: Asked) -> bool:
        """Whether another request shows that the proxy decodes, so that Twisted refused what it got."""
        decodes = any(pair[1].state == CHANGED and pair[0].probe.purpose == CHARACTERS for pair in self._outcomes)
        return decodes and is_broken_line(row.probe, row.answer)

    def _judge_row(self, row: Asked, outcome: Outcome) -> None:
        purpose = row.probe.purpose
        if row.control is not None and not outcome.is_logged:
            if row.is_same:
                return
            direct = row.probe.read(row.control)
            if direct.state != INTACT:
                reason = direct.reason or "its answer is not the expected one"
                self._doubt(row, f"Synapse itself was asked for comparison, and {reason}", AGAIN)
                return
        if not outcome.is_logged and outcome.state in (FOREIGN, UNSURE) and _has_status(row, self._replacing):
            if purpose != SLASHES:
                # That it forwards the group is certain then.
                name = DECODED_PATH if purpose == BASELINE else ""
                self._doubt(row, "the proxy replaces the errors of Synapse, which show what arrived", REPLACING, name)
        elif outcome.state == UNSURE:
            why = why_busy(row.answer) if row.is_busy else (outcome.reason, _DIRECT)
            self._doubt(row, *why)
        elif outcome.state == CHANGED:
            self._mark(row, name_of(outcome.change), outcome)
        elif purpose == BASELINE:
            self._blame(row, NOT_FORWARDED)
        elif purpose == CHARACTERS:
            self._blame_characters(row)
        elif purpose == QUERY:
            self._judge_query(row)
        # Nobody needs paths with // or a slash more at the end, so the proxy may refuse them.

    def _judge_query(self, row: Asked) -> None:
        path = row.probe.target.partition("?")[0]
        plain = [other for other, _outcome in self._outcomes if other.probe.status == _FOUND and not other.is_hint]
        if len(row.probe.target) > LONG_QUERY:
            self._blame(row, LONG_URL_REFUSED)
        elif row.probe.status == _FOUND:
            self._blame_characters(row)
        elif any(outcome.is_logged for other, outcome in self._outcomes if _is_short_query(other)):
            # The log shows another query of the group.
            return
        elif all(other.outcome.state == INTACT for other in plain if _is_short_query(other)):
            # Neither of these paths is one that clients need: the proxy may have no reason to forward it.
            reason = f"the proxy itself answers to {path}, where the answer of Synapse would show the query"
            self._doubt(row, reason, self._arrivals.fix if self._arrivals.reason else _SET_LOG)

    def _blame_characters(self, row: Asked) -> None:
        characters = self._refused(row)
        refused = [
            {code.upper() for code in other.probe.characters} - self._passed(self._site)
            for other, outcome in self._site
            if outcome.state == FOREIGN
        ]
        is_vague = len(characters) > 1 and not all({code.upper()} in refused for code in characters)
        self._blame(row, REFUSED, characters, is_vague=is_vague)

    @staticmethod
    def _passed(pairs: t.Iterable[tuple[Asked, Outcome]]) -> set[str]:
        """Return the encoded characters that passed."""
        return {
            character.upper()
            for other, outcome in pairs
            if outcome.state == INTACT
            for character in other.probe.characters
        }

    def _refused(self, row: Asked) -> tuple[str, ...]:
        """Return the encoded characters that did not pass in the same place, group, or site, as far as possible."""
        left = row.probe.characters
        in_group, on_site = (
            [pair for pair in pairs if pair[0].probe.purpose == CHARACTERS] for pairs in (self._outcomes, self._site)
        )
        compared = [in_group, on_site]
        if row.probe.purpose == QUERY:
            in_queries = [pair for pair in self._outcomes if pair[0].probe.purpose == QUERY]
            # Only a rule for both shows in paths what it refuses in queries.
            is_both = any(outcome.state == FOREIGN for _row, outcome in in_group)
            compared = [in_queries, *(compared if is_both else [])]
        for outcomes in compared:
            passed = self._passed(outcomes)
            left = tuple(character for character in left if character.upper() not in passed) or left
        return left

    def _blame(self, row: Asked, name: str, characters: tuple[str, ...] = (), is_vague: bool = False) -> None:
        """Note that the proxy itself answered, unless it only replaces the error pages of Synapse."""
        answer = row.answer
        asked = next((other for other, _outcome in self._outcomes if other.probe.purpose == STATUS), None)
        status = answer.status if isinstance(answer, Answer) else 0
        is_expected = status == row.probe.status
        # Some proxies give all errors the same status, or 200, or redirect to a page.
        is_page = is_expected or _FOUND <= status < _LEAST_OF_ERRORS
        is_uncertain = row.probe.status >= _LEAST_OF_ERRORS and (
            not self._passing or (is_page and row.probe.status not in self._passing)
        )
        if self._is_unstable:
            self._doubt(row, "the proxy gave different answers to the same request, one after the other", AGAIN, name)
        elif is_uncertain:
            reason = f"the answer is {status} without the text of Synapse, which the proxy may have replaced"
            self._doubt(row, reason, REPLACING, name)
        elif name == REFUSED and asked is not None and asked.outcome.state == FOREIGN:
            self._blame_plain(asked, is_expected)
        else:
            self._mark(row, name, characters=characters, is_vague=is_vague)

    def _blame_plain(self, row: Asked, is_expected: bool) -> None:
        """Note that a request without encoded characters fails too, though another one of the group passes."""
        if is_expected:
            reason = f"the proxy does not forward {row.probe.target}, or replaces the errors of Synapse"
            self._doubt(row, reason, _DIRECT, NOT_FORWARDED)
        else:
            self._mark(row, NOT_FORWARDED)

    def _mark(
        self,
        row: Asked,
        name: str,
        changed: Outcome = _UNCHANGED,
        characters: tuple[str, ...] = (),
        is_vague: bool = False,
    ) -> None:
        """Note a finding. `changed`: what the answer or the log shows, if that is what is wrong."""
        change, arrived = changed.change, changed.arrived
        touched = characters or change.touched
        if isinstance(row.answer, Answer) and row.answer.header("Location") == arrived != "":
            arrived = ""
        expected = row.probe.expected if row.control is None else quoted(row.control)
        is_query = row.probe.purpose == QUERY
        self.marks.append(
            Mark(name, row.site, row.probe.group, row.answer, change, touched, expected, arrived, is_query, is_vague)
        )

    def _doubt(self, row: Asked, reason: str, fix: str, name: str = "") -> None:
        names = {CHARACTERS: "path_decoded", SLASHES: "path_merged", QUERY: "query_changed"}
        self.doubts.append((name or names.get(row.probe.purpose, NOT_FORWARDED), reason, fix))


def _has_status(row: Asked, statuses: set[int]) -> bool:
    return isinstance(row.answer, Answer) and row.answer.status in statuses and not row.answer.errcode


def _is_short_query(row: Asked) -> bool:
    return row.probe.purpose == QUERY and len(row.probe.target) <= LONG_QUERY


def _unknown(doubts: t.Iterable[tuple[str, str, str, str]]) -> tuple[Unknown, ...]:
    """Join the groups of equal reasons."""
    joined: dict[tuple[str, str, str], list[str]] = {}
    for name, group, reason, fix in doubts:
        joined.setdefault((name, reason, fix), []).append(group)
    return tuple(
        Unknown(name, f"In the paths of {listed(list(dict.fromkeys(groups)))}: {reason.rstrip('.')}.", fix)
        for (name, reason, fix), groups in joined.items()
    )


def _unseen(rows: t.Iterable[Asked], arrivals: Arrivals, found: Found) -> Found:
    """Tell that only signed requests or the log show every byte of the paths of other servers."""
    asked = [row for row in rows if row.probe.group == "federation" and row.probe.purpose == CHARACTERS]
    if not asked or all(arrivals.get(row.answer.tag) for row in asked):
        return Found()
    if any("federation" in finding.groups for finding in found.findings):
        return Found()
    reason = (
        "No answer of Synapse shows whether encoded characters other than %2F arrive unchanged in the paths that other"
        " servers sign."
    )
    fix = "Set config_path and synapse_python for requests with a signature, or log_path, on the host of Synapse."
    if arrivals.reason:
        reason, fix = f"{reason} {arrivals.reason}", arrivals.fix
    return Found(unknown=(Unknown("signature_broken", reason, fix),))
