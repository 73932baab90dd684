# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import pathlib
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import MissingLibrary, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.presence import (
    asked_mode,
    judge_presence,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.verdict import Need, Verdict
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._runtime.check.check_machine import (
    UNIT,
    Machine,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import Call, ScriptedServer

OWN = "/_matrix/client/v3/presence/%40a%3Ab.org%3A8448/status"
WHOAMI = Call("GET", "/_matrix/client/v3/account/whoami", {"user_id": "@a:b.org:8448"}, token="secret")
TRACKED = Call("PUT", OWN, {"errcode": "M_UNKNOWN", "error": "Invalid presence state"}, status=400)
NOT_TRACKED = Call("PUT", OWN, {}, body={"presence": "matrix_ops.synapse check"})
STATES = {
    "enabled": {"mode": "enabled", "key": "presence.enabled", "path": "/e/h.yaml", "ignored": []},
    "disabled": {"mode": "disabled", "key": "presence.enabled", "path": "/e/h.yaml", "ignored": []},
    "untracked": {"mode": "untracked", "key": "presence.enabled", "path": "/e/h.yaml", "ignored": []},
}
CHANGED = [{"path": "/e/h.yaml", "kind": "configuration", "reason": "/e/h.yaml was changed."}]


class Stranger(ScriptedServer):
    """A server that answers the request for the presence of an account whose name is not known beforehand."""

    def __init__(self, answer: Call) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[str] = []

    def __enter__(self) -> Stranger:
        super().__enter__()
        return self

    def _choose(self, request: t.Any) -> Call | None:
        match = re.fullmatch(r"/_matrix/client/v3/presence/(%40[0-9a-f]{32}%3Ab\.org%3A8448)/status", request.path)
        if match:
            self.asked.append(match[1])
            return dataclasses.replace(self.answer, path=request.path)
        return super()._choose(request)


FORBIDDEN = Call("GET", "", {"errcode": "M_FORBIDDEN", "error": "You are not allowed to see their presence."}, 403)
OFFLINE = Call("GET", "", {"presence": "offline"})


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def client_of(server: ScriptedServer, **options: t.Any) -> Client:
    return Client(server.base_url, "secret", **options)


def judge(
    machine: Machine, *processes: dict[str, t.Any], client: Client | None = None, **declared: t.Any
) -> tuple[bool, Verdict]:
    verdict = Verdict()
    connect = None if client is None else lambda: client
    what = machine.declared(**{"presence": "disabled", "base_url": "http://a", **declared})
    proven = judge_presence(what, {"processes": processes}, connect, verdict)
    return proven, verdict


def settled(machine: Machine, mode: str = "disabled", **values: t.Any) -> dict[str, t.Any]:
    return machine.process(**{"presence_settings": STATES[mode], "outdated_by": [], **values})


def test_enabled() -> None:
    with Stranger(OFFLINE) as server:
        server.expect(WHOAMI, TRACKED)
        assert asked_mode(client_of(server)) == "enabled"
    assert server.asked == []


@pytest.mark.parametrize(("answer", "mode"), [(FORBIDDEN, "untracked"), (OFFLINE, "disabled")])
def test_not_tracked(answer: Call, mode: str) -> None:
    with Stranger(answer) as server:
        server.expect(WHOAMI, NOT_TRACKED)
        assert asked_mode(client_of(server)) == mode
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Call("GET", "", {}), "no proxy answers requests for presence"),
        (Call("GET", "", {"presence": "online"}), "no proxy answers requests for presence"),
        (Call("GET", "", {"errcode": "M_UNKNOWN", "error": "x"}, 500), "set base_url to the URL of that worker"),
        (Call("GET", "", {"errcode": "M_USER_SUSPENDED", "error": "x"}, 403), "M_USER_SUSPENDED"),
        (Call("GET", "", text=b"<html>"), "does not come from Synapse"),
    ],
)
def test_other_answers_about_a_stranger(answer: Call, message: str) -> None:
    with Stranger(answer) as server:
        server.expect(WHOAMI, NOT_TRACKED)
        with pytest.raises(SynapseError, match=message):
            asked_mode(client_of(server))


@pytest.mark.parametrize(
    "call",
    [
        Call("PUT", OWN, {"errcode": "M_UNKNOWN", "error": "Unable to parse state"}, status=400),
        Call("PUT", OWN, {"errcode": "M_FORBIDDEN", "error": "Invalid presence state"}, status=403),
    ],
)
def test_other_refusals_of_the_state(call: Call) -> None:
    with ScriptedServer() as server:
        server.expect(WHOAMI, call)
        with pytest.raises(SynapseError):
            asked_mode(client_of(server))


def test_nothing_is_declared(machine: Machine) -> None:
    proven, verdict = judge(machine, machine.process(), presence=None)
    assert (proven, verdict.failures, verdict.proofs, verdict.warnings) == (False, [], {}, [])


def test_proven(machine: Machine) -> None:
    with Stranger(OFFLINE) as server:
        server.expect(WHOAMI, NOT_TRACKED)
        processes = [settled(machine, presence={"updates": 0}), settled(machine, pid=71, name="w1")]
        proven, verdict = judge(machine, *processes, client=client_of(server), require_presence_proof=True)
    assert (proven, verdict.failures, verdict.warnings) == (True, [], [])
    assert verdict.proofs["presence"] == (
        "Presence: disabled in the configuration that main, w1 started with, and the server at http://a answers"
        " accordingly."
    )


def test_without_a_token(machine: Machine) -> None:
    proof = (
        "Presence: disabled in the configuration that main started with, but NOT proven over the API. The API was not"
        " asked: set my_path to a file with the access token of any account"
    )
    names = {"access_token_path": "my_path", "require_presence_proof": "my_proof"}
    for client in (None, Client("http://127.0.0.1:1")):
        proven, verdict = judge(machine, settled(machine), client=client, option_names=names)
        assert (proven, verdict.failures, verdict.proofs["presence"]) == (False, [], f"{proof}.")
    proven, verdict = judge(machine, settled(machine), option_names=names, access_token_path="/root/token")
    assert (proven, verdict.proofs["presence"]) == (False, f"{proof} (/root/token does not exist).")
    proven, verdict = judge(machine, settled(machine), require_presence_proof=True, option_names=names)
    [failure] = verdict.failures
    assert (proven, failure["declared"]) == (False, "require_presence_proof")
    assert verdict.message == f"{proof}. (my_proof is true)"


def test_the_api_shows_another_mode(machine: Machine) -> None:
    with ScriptedServer() as server:
        server.expect(WHOAMI, TRACKED)
        proven, verdict = judge(machine, settled(machine), client=client_of(server), require_presence_proof=True)
    assert (proven, "presence" in verdict.proofs) == (False, False)
    assert [failure["declared"] for failure in verdict.failures] == ["presence"]
    assert verdict.message.startswith("Presence of the server at http://a is enabled, but presence is disabled.")
    assert verdict.message.endswith(f"Restart {UNIT} after presence.enabled is set to false.")


@pytest.mark.parametrize("call", [Call("GET", WHOAMI.path, {"errcode": "M_UNKNOWN_TOKEN"}, 401), None])
def test_the_api_cannot_be_asked(machine: Machine, call: Call | None) -> None:
    names = {"access_token_path": "my_path", "base_url": "my_url", "presence": "my_presence"}
    if call is None:
        proven, verdict = judge(
            machine, settled(machine), client=Client("http://127.0.0.1:1", "secret"), option_names=names
        )
    else:
        with ScriptedServer() as server:
            server.expect(call)
            proven, verdict = judge(machine, settled(machine), client=client_of(server), option_names=names)
    assert not proven
    assert verdict.message.startswith("Whether the server at http://a has the declared my_presence is unknown. GET ")
    assert "Correct my_url or my_path, or set neither my_path nor access_token" in verdict.message
    assert verdict.needs([Need.ANSWER if call else Need.CONNECTION], [None])
    assert "secret" not in verdict.message


def test_a_rate_limit_is_no_failure(machine: Machine) -> None:
    limited = Call("PUT", OWN, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 9000}, status=429)
    with ScriptedServer() as server:
        server.expect(WHOAMI, limited)
        client = client_of(server, rate_limit_retry_timeout=0)
        proven, verdict = judge(machine, settled(machine), client=client)
    assert (proven, verdict.failures) == (False, [])
    assert "NOT proven over the API. The API did not answer. PUT " in verdict.proofs["presence"]


def test_a_rate_limit_is_waited_for(machine: Machine) -> None:
    limited = Call("PUT", OWN, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 9000}, status=429)
    waits: list[float] = []
    with Stranger(OFFLINE) as server:
        server.expect(WHOAMI, limited, NOT_TRACKED)
        proven, _verdict = judge(machine, settled(machine), client=client_of(server, sleep=waits.append))
    assert (proven, waits) == (True, [9.0])


def test_a_missing_library(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_client: Client) -> t.NoReturn:
        raise MissingLibrary("requests", "to connect to Synapse")

    monkeypatch.setattr(Client, "whoami", fail)
    with pytest.raises(MissingLibrary):
        judge(machine, settled(machine), client=Client("http://127.0.0.1:1", "secret"))


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        ({}, "/e/h.yaml is the file whose presence.enabled applies: set it to false there. "),
        (
            {"path": "/e/zz-matrix_ops-presence.yaml"},
            "/e/zz-matrix_ops-presence.yaml is the file whose presence.enabled applies. The collection"
            " matrix_ops.synapse writes it: do not edit it, but set presence, and run the playbook again. ",
        ),
        (
            {"key": "use_presence"},
            "/e/h.yaml sets the old setting use_presence: remove it there, and set presence.enabled to false. ",
        ),
        (
            {"key": "default", "path": None},
            "No file sets presence.enabled, so the default applies: set presence.enabled to false. ",
        ),
        ({"problem": "/e/h.yaml sets it to a text."}, "/e/h.yaml sets it to a text. "),
        (
            {"ignored": [{"key": "presence.enabled", "path": "/e/a.yaml", "reason": "It is replaced."}]},
            "/e/h.yaml is the file whose presence.enabled applies: set it to false there. /e/a.yaml also sets"
            " presence.enabled, without effect: It is replaced. ",
        ),
    ],
)
def test_another_configuration(machine: Machine, settings: dict[str, t.Any], culprit: str) -> None:
    shown = {key: value for key, value in {**STATES["enabled"], **settings}.items() if value is not None}
    proven, verdict = judge(machine, settled(machine, presence_settings=shown), settled(machine, pid=71, name="w1"))
    assert verdict.message == (
        f"The configuration of main (process 70) sets presence to enabled, but presence is disabled. {culprit}Restart"
        f" {UNIT} after the change."
    )
    [failure] = verdict.failures
    assert (proven, failure["process"], failure["declared"]) == (False, "main", "presence")


def test_a_text_that_happens_to_be_right(machine: Machine) -> None:
    settings = {**STATES["enabled"], "problem": "/e/h.yaml sets it to a text."}
    _proven, verdict = judge(machine, settled(machine, presence_settings=settings), presence="enabled")
    assert (verdict.failures, verdict.warnings) == ([], ["/e/h.yaml sets it to a text."])


def test_the_old_setting_without_effect(machine: Machine) -> None:
    old = {"key": "use_presence", "path": "/e/a.yaml", "reason": "presence.enabled is set."}
    replaced = {"key": "presence.enabled", "path": "/e/b.yaml", "reason": "It is replaced."}
    settings = {**STATES["enabled"], "ignored": [old, replaced]}
    _proven, verdict = judge(machine, settled(machine, presence_settings=settings), presence="enabled")
    sentence = "/e/a.yaml sets use_presence, without effect: presence.enabled is set. Remove it there."
    assert (verdict.failures, verdict.warnings) == ([], [sentence])


def test_presence_is_only_reported(machine: Machine) -> None:
    text = {**STATES["enabled"], "problem": "/e/h.yaml sets it to a text."}
    processes = [
        settled(machine, presence_settings=text),
        settled(machine, name="one", presence_settings={"mode": "enabled", "key": "default", "ignored": []}),
        settled(machine, name="two", presence_settings=None),
    ]
    names = {"presence": "my_mode"}
    proven, verdict = judge(machine, *processes, presence=None, report_presence=True, option_names=names)
    assert (proven, verdict.failures, verdict.warnings) == (False, [], ["/e/h.yaml sets it to a text."])
    assert verdict.proofs["presence"] == (
        "Presence: not managed (my_mode is not set). By its configuration, main has presence enabled, because"
        " /e/h.yaml sets presence.enabled. By its configuration, one has presence enabled, which is the default of"
        " Synapse. By its configuration, two has an unknown mode, because its configuration cannot be read."
    )


def test_a_configuration_that_cannot_be_read(machine: Machine) -> None:
    hidden = {"name": "presence_settings", "reason": "It is hidden.", "fix": "Become root."}
    _proven, verdict = judge(machine, settled(machine, presence_settings=None, unknown=[hidden]))
    assert verdict.message == (
        "Whether main (process 70) has the declared presence is unknown. It is hidden. Become root."
    )
    assert "Run the task with become" in judge(machine, settled(machine, presence_settings=None))[1].message


def test_a_process_without_a_part_of_the_configuration(machine: Machine) -> None:
    missing = {"name": "config_path", "reason": "It was started without /e.", "fix": "Add it."}
    _proven, verdict = judge(machine, settled(machine, unknown=[missing]))
    assert verdict.message.endswith("may not have the declared presence. It was started without /e. Add it.")


def test_a_process_that_was_not_restarted(machine: Machine) -> None:
    unit = {"path": "/u", "kind": "unit", "reason": "/u was changed."}
    assert judge(machine, settled(machine, outdated_by=[unit]))[1].failures == []
    _proven, verdict = judge(machine, settled(machine, outdated_by=[unit, *CHANGED]))
    assert verdict.message == (
        "main (process 70) was started before its configuration was changed, so it may not have the declared presence."
        f" /e/h.yaml was changed. Restart {UNIT}."
    )
    hidden = {"name": "outdated_by", "reason": "It is hidden.", "fix": "Become root."}
    _proven, verdict = judge(machine, settled(machine, unknown=[hidden]))
    assert verdict.failures == []
    assert verdict.warnings == [
        "Whether main (process 70) was started with its present configuration is unknown. It is hidden. Become root."
    ]


def test_updates_since_the_start(machine: Machine) -> None:
    updates = {"updates": 12}
    _proven, verdict = judge(machine, settled(machine, presence=updates))
    assert verdict.message == (
        "main (process 70) has made 12 updates of presence since its start, but presence is disabled. So it was started"
        f" with presence enabled: restart {UNIT}."
    )
    _proven, verdict = judge(machine, settled(machine, "untracked", presence=updates), presence="untracked")
    assert verdict.failures == []
    assert "Either a module of Synapse sets presence" in verdict.warnings[0]
    _proven, verdict = judge(machine, settled(machine, "enabled", presence=updates), presence="enabled")
    assert (verdict.failures, verdict.warnings) == ([], [])
