# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is declared of a module and what must come of it, as data; and the proof of it, the same one for all."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module

Result = dict[str, t.Any]
Parameters = dict[str, t.Any]

# What a run adds to its result that says nothing about the server.
_SAID_BESIDE = {"diff", "warnings", "deprecations"}


def nothing(_place: Place) -> t.Any:
    """Prepare nothing, or show nothing."""
    return {}


@dataclasses.dataclass(frozen=True)
class Expectation:
    """What is declared and what must come of it.

    `parameters`: of the task; those of the connection come from the server unless they are named here, and the admin's
    token is left out without `token`.
    `prepare`: makes what it starts from, with accounts and rooms of its own.
    `changes`: whether there is something to do.
    `state`: what the server shows, by words; `shows`: what it must show afterwards, at least.
    `returns`: what the module must return, at least; a compiled pattern must be found in the value, and
    a function must hold of it.
    `unpredictable`: keys of the result that only a run can know. "export.size" is the key `size` of the dict `export`.
    `repeatable`: whether a second run has nothing to do.
    `secrets`: what must be in nothing that is returned, beside the secrets of the server.
    """

    name: str
    module: str
    parameters: t.Callable[[Place], Parameters]
    prepare: t.Callable[[Place], object] = nothing
    changes: bool = True
    state: t.Callable[[Place], State] = nothing
    shows: t.Callable[[Place], State] = nothing
    returns: t.Callable[[Place], Result] = nothing
    unpredictable: tuple[str, ...] = ()
    repeatable: bool = True
    token: bool = True
    secrets: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Refusal:
    """What is declared and must be refused, in check mode and for real, with the same sentence.

    `message`: a regular expression that the sentence must hold, or what makes one of the place.
    The rest is as with an Expectation; what the server shows must be as it was before.
    """

    name: str
    module: str
    parameters: t.Callable[[Place], Parameters]
    message: str | t.Callable[[Place], str]
    prepare: t.Callable[[Place], object] = nothing
    state: t.Callable[[Place], State] = nothing
    token: bool = True
    secrets: tuple[str, ...] = ()


def named(cases: t.Iterable[Expectation | Refusal]) -> list[t.Any]:
    """Return the cases for `pytest.mark.parametrize`, each under its name. Raises ValueError if two have the same."""
    listed = list(cases)
    names = [case.name for case in listed]
    if double := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"declared twice: {', '.join(sorted(double))}")
    return [pytest.param(case, id=case.name) for case in listed]


def play(
    place: Place, module: str, parameters: Parameters, *, token: bool = True, check: bool = False, diff: bool = True
) -> Result:
    """Run a module as an admin of the server of `place`, unless it has a token file, or without a token."""
    given_token = token and "access_token_path" not in parameters
    connection = {"base_url": place.server.base_url, **({"access_token": place.server.token} if given_token else {})}
    if place.server.unix_socket:
        connection["unix_socket"] = place.server.unix_socket
    given = {**connection, **parameters}
    return run_module(module, {key: value for key, value in given.items() if value is not None}, check=check, diff=diff)


def prove(place: Place, case: Expectation) -> Result:
    """Check, run and run again what is declared, and compare each with what the server shows. Return the run's result.

    What check mode predicts has to be what the run does; check mode and a second run change nothing.
    """
    case.prepare(place)
    parameters, before = case.parameters(place), case.state(place)
    predicted = play(place, case.module, parameters, token=case.token, check=True)
    assert not predicted.get("failed"), predicted
    assert case.state(place) == before, "check mode has changed the server"
    done = play(place, case.module, parameters, token=case.token)
    assert not done.get("failed"), done
    after, told = case.state(place), [predicted, done]
    foreseen, came = (_without(result, case.unpredictable) for result in (predicted, done))
    assert foreseen == came, {key: (foreseen.get(key), came.get(key)) for key in foreseen.keys() | came.keys()}
    assert done["changed"] is case.changes, done
    _compare_told(case, predicted, done)
    assert not (missing := _difference(after, case.shows(place))), missing
    if case.state is not nothing:
        assert (before != after) is case.changes, ("what the server shows has changed, or not", before, after)
    _require(done, case.returns(place))
    if case.changes and case.repeatable:
        again = play(place, case.module, parameters, token=case.token)
        told.append(again)
        assert not again.get("failed"), again
        assert not again["changed"], again
        assert again["steps"] == [], again
        assert case.state(place) == after, "a second run has changed the server"
        assert _comparable(again["diff"]["before"]) == _comparable(done["diff"]["after"])
        assert again["diff"]["before"] == again["diff"]["after"]
    _require_no_secret(place, case.secrets, told)
    return done


def prove_refusal(place: Place, case: Refusal) -> str:
    """Check and run what must be refused, and see that nothing changes and no secret is told. Return the sentence."""
    case.prepare(place)
    parameters, before = case.parameters(place), case.state(place)
    results = []
    # What check mode lets through is not run: it may be meant for everybody on the server.
    for check in (True, False):
        results.append(play(place, case.module, parameters, token=case.token, check=check))
        assert results[-1].get("failed"), results[-1]
    for result in results:
        assert not result.get("changed"), result
    messages = [str(result["msg"]) for result in results]
    assert messages[0] == messages[1], "check mode and run do not say the same"
    pattern = case.message if isinstance(case.message, str) else case.message(place)
    assert re.search(pattern, messages[1]), f"{pattern!r} is not in {messages[1]!r}"
    assert "\n" not in messages[1], messages[1]
    assert "Traceback" not in messages[1], messages[1]
    assert case.state(place) == before, "what was refused has changed the server"
    _require_no_secret(place, case.secrets, results)
    return messages[1]


def _compare_told(case: Expectation, predicted: Result, done: Result) -> None:
    """Compare what check mode and run tell with each other and with what is expected."""
    # A module that only reads has neither.
    if case.changes or "steps" in done:
        assert done["steps"] == predicted["steps"]
        assert bool(done["steps"]) is case.changes, done["steps"]
    if case.changes or "diff" in done:
        assert done["diff"] == predicted["diff"]
        assert (done["diff"]["before"] != done["diff"]["after"]) is case.changes, done["diff"]


def _without(result: Result, left_out: t.Collection[str]) -> Result:
    kept = {key: value for key, value in result.items() if key not in _SAID_BESIDE and key not in left_out}
    for key, inner in (path.split(".") for path in left_out if "." in path):
        if isinstance(kept.get(key), dict):
            kept[key] = {name: value for name, value in kept[key].items() if name != inner}
    return kept


def _comparable(shown: t.Any) -> t.Any:
    """What a diff shows, without whether a password was given, which nobody can read from the server."""
    return {key: value for key, value in shown.items() if key != "password"} if isinstance(shown, dict) else shown


def _difference(shown: State, expected: State) -> State:
    return {key: (shown[key], value) for key, value in expected.items() if shown[key] != value}


def _require(result: Result, expected: Result) -> None:
    for key, value in expected.items():
        found = result[key]
        if isinstance(value, re.Pattern):
            assert value.search(str(found)), (key, found, value.pattern)
        elif callable(value):
            assert value(found), (key, found)
        else:
            assert found == value, (key, found, value)


def _require_no_secret(place: Place, secrets: t.Iterable[str], results: t.Sequence[Result]) -> None:
    shown = json.dumps(results, ensure_ascii=False)
    # A token that the case itself has made is no less secret.
    own = [place.ids["token"]] if "token" in place.ids else []
    told = [number for number, secret in enumerate((*place.server.secrets, *own, *secrets)) if secret in shown]
    assert not told, f"secrets with these numbers are in what is returned: {told}"
