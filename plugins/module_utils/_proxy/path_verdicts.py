# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the answers to the requests of path_probes say of the proxy: one finding for each cause and site."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found, Unknown, quoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import (
    BASELINE,
    CHANGED,
    CHARACTERS,
    INTACT,
    QUERY,
    SLASHES,
    UNSURE,
    Outcome,
    Probe,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_change import SAME, Change, describe_change
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_findings import (
    LONG_URL_REFUSED,
    NOT_FORWARDED,
    REFUSED,
    Mark,
    findings_of,
    listed,
    name_of,
)

# Synapse writes no tokens into its log (synapse/http/__init__.py, redact_uri).
_TOKEN = re.compile(r"(\?.*access(?:_|%5[Ff])token=)[^&]*")
_AGAIN = "Run this again."
_DIRECT = "Set base_url to the address where Synapse itself answers, and compare."


class Arrival(t.Protocol):
    """What the access log shows of a request."""

    @property
    def uri(self) -> str:
        """The path and the query as they arrived."""


class Arrivals(t.Protocol):
    """What the access log shows of all requests."""

    def get(self, tag: str) -> Arrival | None:
        """Return what is known of the request with that tag."""


class Asked(t.NamedTuple):
    """A request to a site, its answer, and the answer of Synapse itself, if it was asked.

    `is_hint`: whether it only helps to judge the others.
    """

    site: str
    probe: Probe
    answer: Answer | NoAnswer
    control: Answer | NoAnswer | None = None
    is_hint: bool = False

    @property
    def outcome(self) -> Outcome:
        """What the answer shows."""
        return self.probe.read(self.answer)

    @property
    def is_busy(self) -> bool:
        """Whether there is no answer, or one of an overloaded server. It says nothing of the path."""
        return isinstance(self.answer, NoAnswer) or self.answer.status == 429 or self.answer.status >= 500


def as_logged(target: str) -> str:
    """Return a target as Synapse writes it into its access log."""
    return _TOKEN.sub(r"\1<redacted>", target)


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
    found = Found(findings_of(marks), _unknown(doubts))
    return found if is_signed else found + _unseen(rows, arrivals, found)


class _Judging:
    """Judges the answers of a group at a site."""

    def __init__(self, group: str, on_site: list[Asked], arrivals: Arrivals) -> None:
        self._site = [(row, _with_log(row, arrivals)) for row in on_site]
        self._outcomes = [pair for pair in self._site if pair[0].probe.group == group]
        # Only if the errors of Synapse with a status pass, another one with that status is the proxy's own.
        self._passing = {row.answer.status for row in on_site if isinstance(row.answer, Answer) and row.answer.errcode}
        self.marks: list[Mark] = []
        self.doubts: list[tuple[str, str, str]] = []

    def judge(self) -> None:
        """Fill `marks` and `doubts`."""
        baseline = next((pair for pair in self._outcomes if pair[0].probe.purpose == BASELINE), None)
        is_failing = baseline is not None and baseline[1].state != INTACT and not _is_same(baseline[0])
        for row, outcome in [baseline] if is_failing and baseline else self._outcomes:
            if outcome.state != INTACT and not row.is_hint:
                self._judge_row(row, outcome)

    def _judge_row(self, row: Asked, outcome: Outcome) -> None:
        purpose = row.probe.purpose
        if row.control is not None and not outcome.is_logged:
            if _is_same(row):
                return
            direct = row.probe.read(row.control)
            if direct.state != INTACT:
                reason = direct.reason or "its answer is not the expected one"
                self._doubt(row, f"Synapse itself was asked for comparison, and {reason}", _AGAIN)
                return
        if outcome.state == UNSURE:
            self._doubt(row, outcome.reason, _AGAIN if row.is_busy else _DIRECT)
        elif outcome.state == CHANGED:
            self._mark(row, name_of(outcome.change), outcome.change, outcome.arrived)
        elif purpose == BASELINE:
            self._blame(row, NOT_FORWARDED)
        elif purpose == CHARACTERS:
            self._blame(row, REFUSED, self._refused(row))
        elif purpose == QUERY:
            self._judge_query(row)
        # Nobody needs paths with // or a slash more at the end, so the proxy may refuse them.

    def _judge_query(self, row: Asked) -> None:
        if row.probe.target.startswith("/_matrix/static"):
            # It is not below /_matrix/client: the proxy may have no reason to forward it.
            reason = "the proxy does not forward /_matrix/static, where the answer of Synapse shows the query"
            self._doubt(row, reason, "Set log_path to the log of Synapse.")
            return
        self._blame(row, LONG_URL_REFUSED)

    def _refused(self, row: Asked) -> tuple[str, ...]:
        """Return the encoded characters that did not pass in the same group, or in no group of the site if possible."""
        left = row.probe.characters
        for outcomes in (self._outcomes, self._site):
            passed = {
                character.upper()
                for other, outcome in outcomes
                if outcome.state == INTACT
                for character in other.probe.characters
            }
            left = tuple(character for character in left if character.upper() not in passed) or left
        return left

    def _blame(self, row: Asked, name: str, characters: tuple[str, ...] = ()) -> None:
        """Note that the proxy itself answered, unless it only replaces the error pages of Synapse."""
        answer = row.answer
        is_expected = isinstance(answer, Answer) and row.probe.expected.startswith(str(answer.status))
        if is_expected and isinstance(answer, Answer) and answer.status not in self._passing:
            reason = f"the answer is {answer.status} without the text of Synapse, which the proxy may have replaced"
            fix = "Remove what replaces error pages, such as proxy_intercept_errors or ProxyErrorOverride."
            self._doubt(row, reason, fix, name)
            return
        self._mark(row, name, Change(SAME), "", characters)

    def _mark(self, row: Asked, name: str, change: Change, arrived: str, characters: tuple[str, ...] = ()) -> None:
        touched = characters or change.touched
        if isinstance(row.answer, Answer) and row.answer.header("Location") == arrived != "":
            arrived = ""
        expected = row.probe.expected if row.control is None else quoted(row.control)
        self.marks.append(Mark(name, row.site, row.probe.group, row.answer, change, touched, expected, arrived))

    def _doubt(self, row: Asked, reason: str, fix: str, name: str = "") -> None:
        names = {CHARACTERS: "path_decoded", SLASHES: "path_merged", QUERY: "query_changed", BASELINE: NOT_FORWARDED}
        self.doubts.append((name or names[row.probe.purpose], reason, fix))


def _with_log(row: Asked, arrivals: Arrivals) -> Outcome:
    """Return what the log shows of a request, or else what the answer shows."""
    arrival = arrivals.get(row.answer.tag)
    if arrival is None:
        return row.outcome
    change = describe_change(as_logged(row.probe.target), as_logged(arrival.uri))
    return Outcome(INTACT if change.kind == SAME else CHANGED, change, arrival.uri, is_logged=True)


def _is_same(row: Asked) -> bool:
    """Whether Synapse itself answers as the site does."""
    answer, control = row.answer, row.control
    if isinstance(answer, NoAnswer) or not isinstance(control, Answer):
        return False
    return (answer.status, answer.errcode, answer.error) == (control.status, control.errcode, control.error) and (
        answer.is_matrix == control.is_matrix and answer.header("Location") == control.header("Location")
    )


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
    return Found(unknown=(Unknown("signature_broken", reason, fix),))
