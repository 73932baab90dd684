# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the paths and queries of each group reach Synapse byte for byte."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_answers import (
    BASELINE,
    CHARACTERS,
    FOREIGN,
    INTACT,
    QUERY,
    Outcome,
    Probe,
    is_broken_line,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_errors import doubtful, is_proven
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import (
    LONG_QUERY,
    baseline_of,
    long_probe,
    narrower,
    probes_of,
    query_probes,
    safe_media_probe,
    status_probe,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_verdicts import Arrivals, judge
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Subject

_GROUPS = ("client", "media", "federation", "key")
# With the six of signed.py it is less than half of what a run may send.
MOST_REQUESTS = 22


class PathsAsked(t.NamedTuple):
    """The requests and the answers. `is_signed`: whether signed requests show the rest for the group federation."""

    rows: tuple[Asked, ...]
    is_signed: bool = False

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the requests to the sites, to find them in the access log."""
        return tuple(row.answer.tag for row in self.rows)


def ask_paths(subject: Subject) -> PathsAsked:
    """Send the requests to each site, and those with another answer than expected to Synapse itself.

    At most MOST_REQUESTS. A group that no site has is left out.
    """
    asking = _Asking(subject)
    for group in _GROUPS:
        for probe in probes_of(group, subject.server_name):
            asking.ask(probe)
    asking.follow_up()
    return PathsAsked(tuple(asking.rows), subject.signer is not None)


def judge_paths(asked: PathsAsked, arrivals: Arrivals) -> Found:
    """Return what is wrong. `arrivals`: what the access log shows of the requests; it takes precedence over answers."""
    return judge(asked.rows, arrivals, asked.is_signed)


def _is_foreign(row: Asked) -> bool:
    return row.outcome.state == FOREIGN and row.probe.purpose == CHARACTERS


class _Asking:
    """Sends requests as long as there are some left."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._left = MOST_REQUESTS
        self._reserved = 0
        self.rows: list[Asked] = []

    def ask(self, probe: Probe, is_hint: bool = False) -> Outcome | None:
        """Send a request to the site of its group once, and return what the answer shows; None if it was not sent."""
        for row in self.rows:
            if row.probe == probe:
                return row.outcome
        site = self._subject.site_of(probe.group)
        answer = None if site is None else self._send(site.place, probe)
        if site is None or answer is None:
            return None
        self.rows.append(Asked(site.name, probe, answer, is_hint=is_hint))
        return probe.read(answer)

    def follow_up(self) -> None:
        """Find out more about what did not arrive intact, the most important first."""
        failed = [row for row in self.rows if row.outcome.state != INTACT and not row.is_busy]
        by_group = {group: [row for row in failed if row.probe.group == group] for group in _GROUPS}
        self._repeat(INTACT)
        unstable = {row.site for row in self.rows if row.is_unstable}
        self._reserved = len(self._subject.sites)
        for group, rows in by_group.items():
            if rows and rows[0].site not in unstable:
                self._narrow(group, rows)
        self._reserved = 0
        self._repeat(FOREIGN)
        # An answer that shows the target needs no comparison, therefore it comes last.
        first = [rows[0] for rows in by_group.values() if rows and not rows[0].outcome.arrived]
        added = [row for row in self.rows if row.probe.purpose == BASELINE and row.outcome.state != INTACT]
        for row in (*first, *added, *sorted(failed, key=lambda row: bool(row.outcome.arrived))):
            self._control(row)

    def _narrow(self, group: str, rows: list[Asked]) -> None:
        if self._is_replaced(group):
            return
        hidden = [row for row in rows if not row.outcome.arrived]
        tried = [row for row in hidden if row.probe.purpose == CHARACTERS]
        foreign = [row for row in hidden if row.outcome.state == FOREIGN]
        if any(row in tried for row in foreign):
            self._narrow_refused(group, tried)
        elif tried:
            self.ask(baseline_of(group, self._subject.server_name))
        if self._is_forwarded(group):
            if any(row.probe.purpose == QUERY for row in foreign):
                self._narrow_query(group, is_alone=not tried)
            if any(len(row.probe.target) > LONG_QUERY for row in foreign):
                self.ask(long_probe(group, self._subject.server_name))

    def _is_replaced(self, group: str) -> bool:
        """Find out whether the proxy replaces the errors of Synapse in a group. Then they show nothing more."""
        probe = status_probe(group)
        if doubtful(self.rows, group) and probe and not is_proven(self.rows, group):
            self.ask(probe, is_hint=True)
        return bool(doubtful(self.rows, group)) and is_proven(self.rows, group)

    def _is_forwarded(self, group: str) -> bool:
        """Whether a request without anything unusual passes, as far as one was sent."""
        return all(
            row.outcome.state == INTACT
            for row in self.rows
            if row.probe.group == group and row.probe.purpose == BASELINE
        )

    def _narrow_query(self, group: str, is_alone: bool) -> None:
        """Find out whether the proxy refuses a query, and which characters if it does not refuse them in paths too."""
        first, *others = query_probes(group, self._subject.server_name)
        outcome = self.ask(first)
        for probe in others if is_alone else []:
            if outcome is None or outcome.state != FOREIGN:
                return
            outcome = self.ask(probe, is_hint=True)

    def _repeat(self, state: str) -> None:
        """Send one request to each site again that had a foreign answer, or one that passed where another one had.

        What lasts only for a while is no finding: maintenance or a ban can begin or end in between.
        """
        for site in self._subject.sites:
            own = [(at, row) for at, row in enumerate(self.rows) if row.site == site.name]
            is_answering = any(_is_foreign(row) for _at, row in own)
            chosen = [at for at, row in own if (_is_foreign(row) if state == FOREIGN else row.outcome.state == state)]
            for at in chosen[:1] if is_answering else []:
                self.rows[at] = self.rows[at]._replace(again=self._send(site.place, self.rows[at].probe))

    def _narrow_refused(self, group: str, tried: list[Asked]) -> None:
        """Find out which characters the proxy refuses, or that it refuses the whole group."""
        name = self._subject.server_name
        if group == "media" and any(is_broken_line(row.probe, row.answer) for row in tried):
            outcome = self.ask(safe_media_probe())
            if outcome is None or outcome.state != FOREIGN:
                return
        states = {row.outcome.state for row in self.rows if row.probe.group == group}
        count = sum(row.probe.group == group for row in self.rows)
        is_whole = states == {FOREIGN} and count > 1
        if is_whole:
            outcome = self.ask(baseline_of(group, name))
            if outcome is None or outcome.state != INTACT:
                return
        for probe in narrower(group, name):
            outcome = self.ask(probe, is_hint=True)
            if outcome is None or outcome.state != FOREIGN:
                return
        # Whether it is about characters at all.
        plain = status_probe(group)
        outcome = self.ask(plain, is_hint=True) if plain else None
        if not is_whole and (outcome is None or outcome.state != INTACT):
            self.ask(baseline_of(group, name))

    def _control(self, row: Asked) -> None:
        direct = self._subject.direct
        at = next(at for at, other in enumerate(self.rows) if other.answer is row.answer)
        if direct is not None and self.rows[at].control is None:
            self.rows[at] = self.rows[at]._replace(control=self._send(direct, row.probe))

    def _send(self, place: Place, probe: Probe) -> Answer | NoAnswer | None:
        if self._left <= self._reserved:
            return None
        self._left -= 1
        return self._subject.sender.send(place, probe.request)
