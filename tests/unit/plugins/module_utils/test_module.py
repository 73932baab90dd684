# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runner: one path for check mode and the real run, and one place where errors become a failed task."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible.module_utils.common import warnings as ansible_warnings
from ansible.module_utils.testing import patch_module_args

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    connection_argument_spec,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ApiError,
    InvalidInput,
    MissingLibrary,
    StateNotReached,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import (
    Parameters,
    connect,
    read_access_token,
    run_info,
    run_resource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import (
    CERTIFICATE,
    Call,
    ScriptedServer,
)

SPEC = ArgumentSpec({"password": {"type": "str", "no_log": True}, "name": {"type": "str"}})


class Switch:
    """A resource that is off and shall be on; it writes down what is asked of it. `fails_in` raises `error` there."""

    def __init__(
        self, *, on: bool = False, fails_in: str = "", error: Exception | None = None, proves: bool = False
    ) -> None:
        self.asked: list[str] = []
        self._proves = proves
        self._on = on
        self._fails_in = fails_in
        self._error = error

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what == self._fails_in and self._error:
            raise self._error

    def plan(self) -> Plan:
        self._ask("plan")
        steps = () if self._on else (Step("switch it on", lambda: self._ask("step")),)
        proof = (lambda: self._ask("proof")) if self._proves else None
        return Plan(None if not self._on else {"on": True}, {"on": True}, steps, proof)

    def verify(self, plan: Plan) -> None:
        self._ask("verify")

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        self._ask("result")
        return {"executed": executed}


def outcome(
    capsys: pytest.CaptureFixture[str],
    resource: Switch,
    *,
    check: bool = False,
    diff: bool = False,
    parameters: dict[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """Run a module for `resource` and return what it hands to Ansible."""
    given = {"_ansible_check_mode": check, "_ansible_diff": diff, **(parameters or {})}
    with patch_module_args(given), pytest.raises(SystemExit) as ended:
        run_resource(SPEC, lambda _parameters: resource)
    printed = json.loads(capsys.readouterr().out)
    assert bool(ended.value.code) == bool(printed.get("failed"))
    printed.pop("invocation", None)
    return t.cast("dict[str, t.Any]", printed)


def test_the_socket_of_the_environment_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_UNIX_SOCKET", "/run/x.sock")
    with patch_module_args({}), pytest.raises(SystemExit):
        run_info(connection_argument_spec(), lambda parameters: {"used": parameters["unix_socket"]})
    assert json.loads(capsys.readouterr().out)["used"] == "/run/x.sock"


class TestResource:
    def test_a_change_is_executed_and_verified(self, capsys: pytest.CaptureFixture[str]) -> None:
        resource = Switch()
        assert outcome(capsys, resource) == {"changed": True, "steps": ["switch it on"], "executed": True}
        assert resource.asked == ["plan", "step", "verify", "result"]

    def test_check_mode_runs_no_step(self, capsys: pytest.CaptureFixture[str]) -> None:
        resource = Switch()
        assert outcome(capsys, resource, check=True) == {"changed": True, "steps": ["switch it on"], "executed": False}
        assert resource.asked == ["plan", "result"]

    def test_nothing_is_verified_where_nothing_is_done(self, capsys: pytest.CaptureFixture[str]) -> None:
        resource = Switch(on=True)
        assert outcome(capsys, resource) == {"changed": False, "steps": [], "executed": False}
        assert resource.asked == ["plan", "result"]

    @pytest.mark.parametrize(
        ("on", "check", "asked"),
        [
            (True, False, ["plan", "proof", "result"]),
            (True, True, ["plan", "result"]),
            (False, True, ["plan", "result"]),
            (False, False, ["plan", "step", "verify", "result"]),
        ],
    )
    def test_what_needs_no_change_is_proven_but_not_in_check_mode(
        self, capsys: pytest.CaptureFixture[str], on: bool, check: bool, asked: list[str]
    ) -> None:
        resource = Switch(on=on, proves=True)
        outcome(capsys, resource, check=check)
        assert resource.asked == asked

    @pytest.mark.parametrize("check", [False, True])
    def test_a_forecast_is_part_of_check_mode_alone(self, capsys: pytest.CaptureFixture[str], check: bool) -> None:
        class Cloudy(Switch):
            def plan(self) -> Plan:
                found = super().plan()
                return Plan(found.before, found.after, found.steps, forecast=lambda: Plan(None, None))

        printed = outcome(capsys, Cloudy(), check=check)
        assert (printed["changed"], printed["steps"]) == ((False, []) if check else (True, ["switch it on"]))

    def test_what_is_no_unicode_is_written_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        odd = "ü \udcff.yaml"
        with patch_module_args({}), pytest.raises(SystemExit):
            run_info(SPEC, lambda _parameters: {"names": [odd, (odd,)], odd: {"why": odd}, "number": 5})
        printed = json.loads(capsys.readouterr().out)
        shown = "ü \\udcff.yaml"
        assert (printed["names"], printed[shown], printed["number"]) == ([shown, [shown]], {"why": shown}, 5)
        failed = outcome(capsys, Switch(fails_in="plan", error=SynapseError(f"{odd} is in the way.")))
        assert failed["msg"] == f"{shown} is in the way."

    @pytest.mark.parametrize("check", [False, True])
    def test_diff_mode_shows_before_and_after(self, capsys: pytest.CaptureFixture[str], check: bool) -> None:
        printed = outcome(capsys, Switch(), check=check, diff=True)
        assert printed["diff"] == {"before": {}, "after": {"on": True}}

    @pytest.mark.parametrize(
        ("where", "reached"),
        [
            ("plan", ["plan"]),
            ("step", ["plan", "step", "plan"]),
            ("verify", ["plan", "step", "verify"]),
            ("result", ["plan", "step", "verify", "result"]),
        ],
    )
    def test_every_error_ends_in_the_same_place(
        self, capsys: pytest.CaptureFixture[str], where: str, reached: list[str]
    ) -> None:
        resource = Switch(fails_in=where, error=StateNotReached("It is off.", switch="left"))
        printed = outcome(capsys, resource)
        assert (printed["failed"], printed["msg"].partition(".")[0], printed["switch"]) == (True, "It is off", "left")
        # A failed step is followed by a look at what has become of it.
        assert resource.asked == reached

    def test_details_of_a_refusal_can_be_looked_at(self, capsys: pytest.CaptureFixture[str]) -> None:
        error = ApiError("Refused.", method="PUT", url="http://x/a", status=400, errcode="M_UNKNOWN", error="No")
        printed = outcome(capsys, Switch(fails_in="plan", error=error))
        assert (printed["status"], printed["errcode"], printed["request"]["url"]) == (400, "M_UNKNOWN", "http://x/a")

    def test_warnings_are_handed_to_ansible(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Ansible keeps them for the whole process, which a module has for itself.
        monkeypatch.setattr(ansible_warnings, "_global_warnings", {})
        warnings = ["The device may still be logged in."]
        printed = outcome(capsys, Switch(fails_in="step", error=SynapseError("It is stuck.", warnings=warnings)))
        assert [warning["event"]["msg"] for warning in printed["warnings"]] == warnings
        assert "deprecations" not in printed

    def test_a_missing_library_is_told_with_its_interpreter(self, capsys: pytest.CaptureFixture[str]) -> None:
        printed = outcome(capsys, Switch(fails_in="plan", error=MissingLibrary("requests", "to connect to Synapse")))
        assert "The Python package requests is needed to connect to Synapse." in printed["msg"]
        assert "Python" in printed["msg"].partition("connect to Synapse.")[2]

    def test_secrets_are_censored_whatever_an_error_says(self, capsys: pytest.CaptureFixture[str]) -> None:
        error = SynapseError("The password hunter2 is wrong.", detail="hunter2")
        printed = outcome(capsys, Switch(fails_in="step", error=error), parameters={"password": "hunter2"})
        assert "hunter2" not in json.dumps(printed)

    @pytest.mark.parametrize("where", ["plan", "step", "verify", "result"])
    def test_what_was_not_foreseen_is_a_sentence_too(self, capsys: pytest.CaptureFixture[str], where: str) -> None:
        printed = outcome(capsys, Switch(fails_in=where, error=ZeroDivisionError("hush")))
        assert printed["msg"].startswith("ZeroDivisionError in ")
        assert "report this sentence" in printed["msg"]
        assert "hush" not in printed["msg"]
        assert "exception" not in printed or not printed["exception"]


class TestInfo:
    def run(self, capsys: pytest.CaptureFixture[str], read: t.Callable[[Parameters], dict[str, t.Any]]) -> t.Any:
        with patch_module_args({"name": "x", "_ansible_check_mode": True}), pytest.raises(SystemExit):
            run_info(SPEC, read)
        printed = json.loads(capsys.readouterr().out)
        printed.pop("invocation", None)
        return printed

    def test_returns_what_was_read(self, capsys: pytest.CaptureFixture[str]) -> None:
        printed = self.run(capsys, lambda parameters: {"found": parameters["name"]})
        assert printed == {"changed": False, "found": "x"}

    def test_tells_an_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        def fail(_parameters: Parameters) -> t.NoReturn:
            raise InvalidInput("No.", where="there")

        assert self.run(capsys, fail) == {"changed": False, "failed": True, "msg": "No.", "where": "there"}

    def test_tells_what_the_system_refuses(self, capsys: pytest.CaptureFixture[str]) -> None:
        def fail(_parameters: Parameters) -> t.NoReturn:
            raise PermissionError(13, "Permission denied", "/etc/shadow")

        assert self.run(capsys, fail)["msg"] == "/etc/shadow: Permission denied."


def connection(**given: t.Any) -> Parameters:
    """Return the parameters of the connection options, as AnsibleModule would."""
    options = connection_argument_spec().argument_spec
    return {**{name: option.get("default") for name, option in options.items()}, **given}


class TestAccessToken:
    def test_of_the_option(self) -> None:
        assert read_access_token(connection(access_token="abc")) == "abc"
        assert read_access_token(connection()) is None

    @pytest.mark.parametrize("token", [None, "", "from_the_environment"])
    def test_of_the_file(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
        path = tmp_path / "token"
        path.write_text("\n  from_file \n", encoding="utf-8")
        monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "from_the_environment")
        assert read_access_token(connection(access_token=token, access_token_path=str(path))) == "from_file"

    def test_not_of_two_options(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(InvalidInput, match="Both access_token and access_token_path are set") as caught:
            read_access_token(connection(access_token="s3cret", access_token_path=str(tmp_path / "token")))
        assert "s3cret" not in caught.value.message

    @pytest.mark.parametrize(
        ("content", "said"),
        [(None, "cannot be read: No such file"), (b"", "is empty"), (b" \n", "is empty"), (b"\xff", "is not text")],
    )
    def test_of_a_file_that_holds_none(self, tmp_path: pathlib.Path, content: bytes | None, said: str) -> None:
        path = tmp_path / "token"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InvalidInput, match=said) as caught:
            read_access_token(connection(access_token_path=str(path)))
        assert f"access_token_path {path}" in caught.value.message

    def test_of_what_is_no_path(self) -> None:
        with pytest.raises(InvalidInput, match="it is not a path"):
            read_access_token(connection(access_token_path="/tmp/a\0b"))


def test_a_pipe_is_no_file_with_a_token(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    os.mkfifo(path)
    with pytest.raises(InvalidInput, match="is not a regular file"):
        read_access_token(connection(access_token_path=str(path)))


def test_a_large_file_is_no_file_with_a_token(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    path.write_text("a" * 64 * 1024)
    assert read_access_token(connection(access_token_path=str(path))) == "a" * 64 * 1024
    path.write_text("a" * 64 * 1024 + "a")
    with pytest.raises(InvalidInput, match="is too large"):
        read_access_token(connection(access_token_path=str(path)))


class TestConnect:
    def test_speaks_with_the_token_given(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/a", token="abc"))
        connect(connection(base_url=server.base_url, access_token="abc")).get("/a")

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    @pytest.mark.parametrize(
        ("given", "accepted"),
        [
            ({}, False),
            ({"validate_certs": False}, True),
            ({"ca_path": "CERTIFICATE"}, True),
            ({"validate_certs": False, "ca_path": "CERTIFICATE"}, True),
        ],
    )
    def test_verifies_certificates_as_told(self, given: dict[str, t.Any], accepted: bool) -> None:
        if "ca_path" in given:
            given = {**given, "ca_path": str(CERTIFICATE)}
        with ScriptedServer(tls=True) as server:
            client = connect(connection(base_url=server.base_url, **given))
            if accepted:
                server.expect(Call("GET", "/a"))
                client.get("/a")
                return
            with pytest.raises(SynapseError, match="certificate"):
                client.get("/a")

    def test_waits_as_long_as_told(self, server: ScriptedServer) -> None:
        server.expect(Call("GET", "/a", {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1000}, 429))
        client = connect(connection(base_url=server.base_url, rate_limit_retry_timeout=0))
        with pytest.raises(SynapseError, match="429"):
            client.get("/a")
