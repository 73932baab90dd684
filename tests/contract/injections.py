# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loop over all injections of a case, and the judgement of each."""

from __future__ import annotations

import collections
import json
import secrets
import typing as t
from pathlib import Path

from ansible_collections.matrix_ops.synapse.tests.contract.case import Case, Place, State, as_known
from ansible_collections.matrix_ops.synapse.tests.contract.fault_proxy import SAME_FOR_READING, FaultProxy, Request
from ansible_collections.matrix_ops.synapse.tests.contract.modules import Crashed, run_module
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

Result = dict[str, t.Any]


def _unique() -> str:
    """A word that no other injection has: others use the same servers at the same time."""
    return f"c{secrets.token_hex(4)}x"


def faults_in(number: int, request: Request, case: Case, engine: str) -> list[str]:
    """Return the faults that a request of a case, the one with that number, is to suffer.

    One that only reads is the same to the client and to the server whether or not Synapse has answered it. Nor does it
    know the engine: on the second one it suffers one fault, another one than the request before it.
    """
    if request.method != "GET":
        return list(case.faults)
    faults = [fault for fault in case.faults if fault not in SAME_FOR_READING]
    return faults if engine == "sqlite" else [faults[number % len(faults)]]


class Outcome:
    """What came of the injections of one case: how many, how many called `unknown`, and what did not hold."""

    def __init__(self) -> None:
        self.injections = 0
        self.unknown: list[str] = []
        self.broken: dict[str, list[str]] = collections.defaultdict(list)

    @property
    def held(self) -> int:
        """How many injections kept every promise."""
        return self.injections - len(self.broken) - len(self.unknown)

    def describe(self) -> str:
        """Return what did not hold, one injection after the other."""
        return "\n".join(f"{name}\n    " + "\n    ".join(found) for name, found in self.broken.items())


class Injector:
    """Runs one case through a proxy, again and again."""

    def __init__(self, case: Case, server: Server, directory: Path) -> None:
        self._case = case
        self._server = server
        self._directory = directory
        self._untouched: _Before | None = None
        self._ended_well: list[_Reached] = []

    def run(self) -> Outcome:
        """Run the case without a fault, then with every fault in every request. Raises AssertionError for the first."""
        outcome = Outcome()
        with FaultProxy(self._server.base_url) as self._proxy:
            clean = self._run_clean()
            assert clean.requests, "it sends nothing"
            for number, request in enumerate(clean.requests, 1):
                for fault in faults_in(number, request, self._case, self._server.engine):
                    name = f"{fault} at {number}: {as_known(clean.place, str(request))}"
                    found = list(self._inject(fault, number, request, clean))
                    # How often it is asked whether something has ended is a matter of time.
                    if found == [_NOT_SUFFERED]:
                        continue
                    outcome.injections += 1
                    # Whether a login was done, nobody can look up; all else can.
                    if found == [_UNKNOWN] and request.path.endswith("/login"):
                        outcome.unknown.append(name)
                    elif found:
                        outcome.broken[name] = found
        return outcome

    def _run_clean(self) -> _Clean:
        place, before, traces = self._prepare()
        self._proxy.arm()
        result = self._play(place)
        requests = self._proxy.settle()
        assert not result.get("failed"), result
        after = self._case.state(place)
        assert result["changed"] and before != after, (before, after, result)
        assert self._case.traces(place) == traces, "it leaves traces"
        self._proxy.arm()
        again = self._play(place)
        self._proxy.settle()
        assert not again.get("failed") and not again["changed"], again
        # What a change adds, such as ids, is the same each time only for what the case knows.
        return _Clean(place, requests, as_known(place, after))

    def _inject(self, fault: str, number: int, request: Request, clean: _Clean) -> t.Iterator[str]:
        start, self._untouched = self._untouched or self._prepare(), None
        place, before, traces = start
        self._proxy.arm(fault, number)
        try:
            result = self._play(place)
        except Crashed as error:
            self._proxy.settle()
            yield f"it crashed: {str(error).strip().splitlines()[-1]}"
            return
        requests = self._proxy.settle()
        if not self._proxy.suffered:
            reached = as_known(place, self._case.state(place)) == clean.after and not result.get("failed")
            yield _NOT_SUFFERED if reached else f"the request did not come, and it did not end well: {result}"
            return
        after = self._case.state(place)
        yield from self._judge(place, result, before, after, clean.after)
        # What a login has made whose answer was lost, nobody can take away; nor without a logout.
        left = self._case.traces(place)
        if left != traces and not request.path.endswith(("/login", "/logout")):
            yield f"it has left a trace: {left}"
        # Where all is as it was before, running again is what the run without a fault has shown, or the next injection.
        if (after, left) == (before, traces):
            self._untouched = start
            return
        # Nor does running again differ where Synapse has got and answered the same as after another fault.
        written = [as_known(place, sent) for sent in requests if sent.method != "GET" and sent.status]
        reached = _Reached(as_known(place, after), as_known(place, left), written, fault == "delay_done")
        if not written or reached not in self._ended_well:
            found = list(self._run_again(place, clean.after))
            yield from found
            if not found:
                self._ended_well.append(reached)
        self._untouched = self._restore(start)

    def _judge(self, place: Place, result: Result, before: State, after: State, clean: State) -> t.Iterator[str]:
        # A failed task may leave out what it has not changed.
        changed, message = bool(result.get("changed", False)), str(result.get("msg", ""))
        shown = json.dumps([message, result.get("steps", [])])
        if any(secret in shown for secret in (*self._server.secrets, *self._case.secrets)):
            yield "the message holds a secret"
        if not result.get("failed"):
            if as_known(place, after) != clean:
                yield f"it did not fail, but left {_difference(as_known(place, after), clean)}"
            if changed != (before != after):
                yield f"it did not fail, and says changed={changed}, which is not so"
            return
        if "unknown" in message:
            yield _UNKNOWN if changed else f"it is unknown, but not changed: {message}"
            return
        if changed != (before != after):
            happened = _difference(before, after) or "nothing has changed"
            yield f"it failed with changed={changed}, but {happened}: {message}"
        yield from self._judge_steps(place, result, before, after)

    def _judge_steps(self, place: Place, result: Result, before: State, after: State) -> t.Iterator[str]:
        users = [user for user in result.get("users", []) if user["changed"]]
        steps = as_known(place, json.dumps([result.get("steps", []), users]))
        message = as_known(place, str(result["msg"]))
        for word, said in self._case.effects.items():
            done = before.get(word) != after.get(word)
            if done and said not in steps and said not in message:
                yield f"{word} has changed, but neither steps nor the message says {said!r}: {message}"
            elif done and said not in steps and "this is not done" in message:
                yield f"{word} has changed, but the message says that it has not: {message}"
            elif not done and said in steps:
                yield f"{word} has not changed, but steps says {said!r}"

    def _run_again(self, place: Place, clean: State) -> t.Iterator[str]:
        for expected in ("a second run", "a third run"):
            self._proxy.arm()
            try:
                result = self._play(place)
            except Crashed as error:
                yield f"{expected} crashed: {str(error).strip().splitlines()[-1]}"
                return
            finally:
                self._proxy.settle()
            if result.get("failed"):
                yield f"{expected} failed: {result['msg']}"
                return
        if result["changed"]:
            yield f"a third run says changed: {result.get('steps')}"
        after = as_known(place, self._case.state(place))
        if after != clean:
            yield f"after the third run there is {_difference(after, clean)}"

    def _restore(self, start: _Before) -> _Before | None:
        """Return the place once it is as it was before, or None if it cannot be."""
        if self._case.restore is None:
            return None
        self._case.restore(start.place)
        restored = self._look_at(start.place)
        return restored if restored.state == start.state else None

    def _look_at(self, place: Place) -> _Before:
        return _Before(place, self._case.state(place), self._case.traces(place))

    def _prepare(self) -> _Before:
        unique = _unique()
        directory = self._directory / unique
        directory.mkdir()
        place = Place(self._server, unique, directory)
        self._case.prepare(place)
        return self._look_at(place)

    def _play(self, place: Place) -> Result:
        token = {"access_token": self._server.token} if self._case.token else {}
        # Where no answer is held back, one that is only slow must not be given up.
        timeout = 1 if any("timeout" in fault or "delay" in fault for fault in self._case.faults) else 20
        connection = {"base_url": self._proxy.base_url, "timeout": timeout, "rate_limit_retry_timeout": 0, **token}
        return run_module(self._case.module, {**connection, **self._case.parameters(place)})


class Reader:
    """Runs a case that changes nothing through a proxy, again and again."""

    def __init__(self, case: Case, server: Server, directory: Path) -> None:
        self._case = case
        self._server = server
        self._place = Place(server, _unique(), directory)

    def run(self) -> Outcome:
        """Run the case without a fault, then with every fault in every request: the same result, or a failed task."""
        outcome = Outcome()
        self._case.prepare(self._place)
        with FaultProxy(self._server.base_url) as self._proxy:
            self._proxy.arm()
            clean = self._play()
            requests = self._proxy.settle()
            assert requests, "it sends nothing"
            assert not clean.get("failed") and not clean["changed"], clean
            for number, request in enumerate(requests, 1):
                for fault in faults_in(number, request, self._case, self._server.engine):
                    outcome.injections += 1
                    found = list(self._inject(fault, number, clean))
                    if found:
                        outcome.broken[f"{fault} at {number}: {as_known(self._place, str(request))}"] = found
        return outcome

    def _inject(self, fault: str, number: int, clean: Result) -> t.Iterator[str]:
        self._proxy.arm(fault, number)
        try:
            result = self._play()
        except Crashed as error:
            yield f"it crashed: {str(error).strip().splitlines()[-1]}"
            return
        finally:
            self._proxy.settle()
        if not self._proxy.suffered:
            yield "the request did not come"
        if result.get("changed"):
            yield "it says that it has changed something"
        if any(secret in json.dumps(result) for secret in self._server.secrets):
            yield "the result holds a secret"
        # What a module says that it could not see is no part that is missing without a word.
        if not result.get("failed") and result != clean and not result.get("unseen"):
            yield f"it did not fail, but returned {_difference(result, clean)}"

    def _play(self) -> Result:
        connection = {"base_url": self._proxy.base_url, "timeout": 1, "rate_limit_retry_timeout": 0}
        given = {**connection, "access_token": self._server.token, **self._case.parameters(self._place)}
        return run_module(self._case.module, given)


class _Before(t.NamedTuple):
    """A place as an injection finds it: what the server shows of it, and the traces that are there already."""

    place: Place
    state: State
    traces: t.Any


class _Reached(t.NamedTuple):
    """Where an injection has led, in the case's own words; `late`: whether a request came after those that followed."""

    state: State
    traces: t.Any
    written: list[t.Any]
    late: bool


class _Clean(t.NamedTuple):
    """A run without a fault: where it was, its requests, and the state that it has reached in the case's own words."""

    place: Place
    requests: list[Request]
    after: State


_UNKNOWN = "it calls the outcome unknown"
_NOT_SUFFERED = "the request did not come"


def _difference(one: State, other: State) -> str:
    words = [word for word in sorted({*one, *other}) if one.get(word) != other.get(word)]
    return "; ".join(f"{word}: {one.get(word)!r} != {other.get(word)!r}" for word in words)
