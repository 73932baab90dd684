# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Sends the requests of path_probes, and further ones that depend on the answers."""

from __future__ import annotations

import concurrent.futures

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, NoAnswer, Place
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
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked, is_busy
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_backend import (
    is_hopeless,
    is_slow,
    suspected,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_errors import doubtful, is_moved, is_proven
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import (
    LONG_QUERY,
    baseline_of,
    character_probe,
    error_probe,
    long_probe,
    narrower,
    probes_of,
    query_probes,
    safe_media_probe,
    status_probe,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_search import passing, search
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Site, Subject

GROUPS = ("client", "media", "federation", "key")
# At each site.
_THREADS_OF_SITE = 4
_LEAST_OF_ERRORS = 400


def _is_foreign(row: Asked) -> bool:
    is_needed = row.probe.purpose == CHARACTERS or len(row.probe.target) > LONG_QUERY
    return row.outcome.state == FOREIGN and is_needed


def _is_baseline(row: Asked, group: str) -> bool:
    return row.probe.group == group and row.probe.purpose == BASELINE


class Asking:
    """Sends requests as long as there are some left."""

    def __init__(self, subject: Subject, most: int) -> None:
        self._subject = subject
        self._left = most
        self._reserved = 0
        # Sites of which is known which characters are refused, and sites where errors of Synapse pass.
        self._searched: set[str] = set()
        self._unmoved: set[str] = set()
        self.rows: list[Asked] = []

    def ask_first(self) -> None:
        """Send the first requests of each group, without the rest of a group for which Synapse is not reached."""
        first = {group: probes_of(group, self._subject.server_name) for group in GROUPS}
        self._ask_together([probe for probes in first.values() for probe in probes[:2]])
        going_on = [group for group in GROUPS if not is_hopeless(self.rows, group)]
        self._ask_together([probe for group in going_on for probe in first[group][2:]])
        order = [probe for probes in first.values() for probe in probes]
        self.rows.sort(key=lambda row: order.index(row.probe))

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
        for site in self._subject.sites:
            self._check_backends(site)
        failed = [row for row in self.rows if row.outcome.state != INTACT and not row.is_busy]
        by_group = {group: [row for row in failed if row.probe.group == group] for group in GROUPS}
        self._repeat(INTACT)
        unstable = {row.site for row in self.rows if row.is_unstable}
        self._reserved = len(self._subject.sites)
        stable = [group for group, rows in by_group.items() if rows and rows[0].site not in unstable]
        # In media, any character can be sent.
        stable.sort(key=lambda group: group != "media")
        moved = {group for group in stable if self._is_moved(group, by_group[group])}
        for group in stable:
            if group not in moved:
                self._narrow(group, by_group[group])
        self._reserved = 0
        self._repeat(FOREIGN)
        # An answer that shows the target needs no comparison, therefore it comes last.
        first = [rows[0] for rows in by_group.values() if rows and not rows[0].outcome.arrived]
        added = [row for row in self.rows if row.probe.purpose == BASELINE and row.outcome.state != INTACT]
        for row in (*first, *added, *sorted(failed, key=lambda row: bool(row.outcome.arrived))):
            self._control(row)

    def _check_backends(self, site: Site) -> None:
        """Send one request again that passed, and one of each group for which the proxy did not reach Synapse."""
        own = [row for row in self.rows if row.site == site.name]
        groups = [rows for rows in (suspected(own, group) for group in GROUPS) if rows]
        passed = next((row for row in own if not row.is_busy), None)
        if not groups or passed is None:
            return
        again = self._ask_again(site, passed)
        if again is None or is_busy(again):
            return
        for rows in groups:
            if not is_slow(rows):
                self._ask_again(site, rows[0])
            self._control(rows[0])

    def _is_moved(self, group: str, rows: list[Asked]) -> bool:
        """Find out whether the proxy sends pages of its own, with any status, for errors of Synapse in a group."""
        if any(is_moved(row, self.rows) and row.site == rows[0].site for row in self.rows):
            return True
        site = rows[0].site
        client = self._subject.site_of("client")
        # Other servers have no path with both kinds of answers.
        asked = "client" if error_probe(group) is None and client and client.name == site else group
        probe, plain = error_probe(asked), baseline_of(asked)
        pages = [row for row in rows if row.outcome.state == FOREIGN and row.probe.purpose == CHARACTERS]
        if not pages or probe is None or self._subject.direct is None or site in self._unmoved:
            return False
        outcome = self.ask(plain)
        # One of both has to pass: in media the error, for clients what is no error.
        if outcome is not None and (outcome.state == FOREIGN) == (plain.status >= _LEAST_OF_ERRORS):
            self.ask(probe, is_hint=True)
        elif outcome is not None and outcome.state == INTACT:
            self._unmoved.add(site)
        pair = [row for row in self.rows if row.probe in (plain, probe)]
        for row in pair if any(row.outcome.state == INTACT for row in pair) else []:
            if row.outcome.state == FOREIGN:
                self._control(row)
        return any(is_moved(row, self.rows) for row in self.rows if row.probe in (plain, probe))

    def _narrow(self, group: str, rows: list[Asked]) -> None:
        if self._is_replaced(group):
            return
        hidden = [row for row in rows if not row.outcome.arrived]
        tried = [row for row in hidden if row.probe.purpose == CHARACTERS]
        foreign = [row for row in hidden if row.outcome.state == FOREIGN]
        if any(row in tried for row in foreign):
            self._narrow_refused(group, tried)
        elif tried:
            self.ask(baseline_of(group))
        if self._is_forwarded(group):
            if any(row.probe.purpose == QUERY for row in foreign):
                self._narrow_query(group, is_alone=not tried)
            if any(len(row.probe.target) > LONG_QUERY for row in foreign):
                self.ask(long_probe(group))

    def _is_replaced(self, group: str) -> bool:
        """Find out whether the proxy replaces the errors of Synapse in a group. Then they show nothing more."""
        probe = status_probe(group)
        if doubtful(self.rows, group) and probe and not is_proven(self.rows, group):
            self.ask(probe, is_hint=True)
        return bool(doubtful(self.rows, group)) and is_proven(self.rows, group)

    def _is_forwarded(self, group: str) -> bool:
        """Whether a request without anything unusual passes, as far as one was sent."""
        return all(row.outcome.state == INTACT for row in self.rows if _is_baseline(row, group))

    def _narrow_query(self, group: str, is_alone: bool) -> None:
        """Find out whether the proxy refuses a query, and which characters if it does not refuse them in paths too."""
        first, *others = query_probes(group)
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
                self._ask_again(site, self.rows[at])

    def _ask_again(self, site: Site, row: Asked) -> Answer | NoAnswer | None:
        """Send a request again, if that was not done already."""
        at = self._place_of(row)
        if self.rows[at].again is None:
            self.rows[at] = self.rows[at]._replace(again=self._send(site.place, row.probe))
        return self.rows[at].again

    def _narrow_refused(self, group: str, tried: list[Asked]) -> None:
        """Find out which characters the proxy refuses, or that it refuses the whole group."""
        if group == "media" and any(is_broken_line(row.probe, row.answer) for row in tried):
            outcome = self.ask(safe_media_probe())
            if outcome is not None and outcome.state == INTACT:
                self._search(group)
            if outcome is None or outcome.state != FOREIGN:
                return
        states = {row.outcome.state for row in self.rows if row.probe.group == group}
        count = sum(row.probe.group == group for row in self.rows)
        is_whole = states == {FOREIGN} and count > 1
        if is_whole:
            outcome = self.ask(baseline_of(group))
            if outcome is None or outcome.state != INTACT:
                return
        if tried[0].site in self._searched:
            return
        passed = passing(self._rows_of(tried[0].site))
        suspects = {code.upper() for code in tried[0].probe.characters} - passed
        # What passes in another group needs no request without it.
        fewer = narrower(group, self._subject.server_name)
        helpful = [probe for probe in fewer if suspects - {code.upper() for code in probe.characters}]
        for probe in helpful:
            outcome = self.ask(probe, is_hint=True)
            if outcome is None:
                return
            if outcome.state != FOREIGN:
                break
        else:
            if not self._is_about_characters(group, is_whole):
                return
        self._search(group)

    def _is_about_characters(self, group: str, is_whole: bool) -> bool:
        """Whether requests without unusual characters pass."""
        if any(row.outcome.state == INTACT for row in self.rows if _is_baseline(row, group)):
            return True
        plain = status_probe(group)
        outcome = self.ask(plain, is_hint=True) if plain else None
        if not is_whole and (outcome is None or outcome.state != INTACT):
            baseline = self.ask(baseline_of(group))
            return plain is None and baseline is not None and baseline.state == INTACT
        return True

    def _search(self, group: str) -> None:
        site = self._subject.site_of(group)
        search(self._rows_of(site.name if site else ""), group, lambda characters: self._refuses(group, characters))

    def _refuses(self, group: str, characters: list[str]) -> bool | None:
        """Whether the proxy refuses encoded characters, None if that cannot be asked."""
        probe = character_probe(group, tuple(characters))
        outcome = self.ask(probe, is_hint=True) if probe else None
        if outcome is None:
            return None
        self._searched.update(row.site for row in self.rows if row.probe == probe)
        return outcome.state == FOREIGN

    def _control(self, row: Asked) -> None:
        direct = self._subject.direct
        at = self._place_of(row)
        if direct is not None and self.rows[at].control is None:
            self.rows[at] = self.rows[at]._replace(control=self._send(direct, row.probe))

    def _rows_of(self, site: str) -> list[Asked]:
        return [row for row in self.rows if row.site == site]

    def _place_of(self, row: Asked) -> int:
        return next(at for at, other in enumerate(self.rows) if other.answer is row.answer)

    def _ask_together(self, probes: list[Probe]) -> None:
        """Send requests at the same time, and add them in their order."""
        pairs = [(site, probe) for probe in probes for site in [self._subject.site_of(probe.group)] if site]
        pairs = pairs[: self._left]
        self._left -= len(pairs)
        with concurrent.futures.ThreadPoolExecutor(_threads(len(self._subject.sites))) as pool:
            answers = pool.map(lambda pair: self._subject.sender.send(pair[0].place, pair[1].request), pairs)
            self.rows += [Asked(site.name, probe, answer) for (site, probe), answer in zip(pairs, answers)]

    def _send(self, place: Place, probe: Probe) -> Answer | NoAnswer | None:
        if self._left <= self._reserved:
            return None
        self._left -= 1
        return self._subject.sender.send(place, probe.request)


def _threads(sites: int) -> int:
    return _THREADS_OF_SITE * max(1, sites)
