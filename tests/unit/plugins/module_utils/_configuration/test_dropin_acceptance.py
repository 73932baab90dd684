# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import os
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin import DropinResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_declared import DeclaredDropin
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser_program import ACCEPTED, REFUSED
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan

# A task in a process of its own. Its arguments: the main configuration, the path of the drop-in, and the Python.
_PLAN = f"""
import sys
sys.path[:] = {sys.path}
from {Parser.__module__} import Parser
from {DropinResource.__module__} import DropinResource
from {DeclaredDropin.__module__} import DeclaredDropin
config_path = (sys.argv[1], sys.argv[1].replace("homeserver.yaml", "conf.d"))
declared = DeclaredDropin(sys.argv[2], {{"a": 1}}, {{}})
DropinResource(config_path, declared, parser=Parser(config_path, sys.argv[3], "/")).plan().execute()
"""
_WORKER = {"worker_app": "synapse.app.generic_worker"}
_FIX = " Fix the configuration and run this again."


class Host:
    """A host whose Synapse refuses every configuration with the word "bad", and quotes the lines with it.

    The shell script that stands for its Python lists the arguments in `seen`, and counts how often it was run.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self.main = directory / "homeserver.yaml"
        self.main.write_text("server_name: x.test\n")
        self.directory = directory / "conf.d"
        self.directory.mkdir()
        self.path = self.directory / "50-own.yaml"
        self.config_path: tuple[str, ...] = (str(self.main), str(self.directory))
        self.python = directory / "python"
        self.seen = directory / "seen"
        self.accepts("! grep -h bad $files >&2")

    def accepts(self, script: str) -> None:
        """Let the parser accept what this shell script accepts, and refuse what it ends with status 1 for.

        Its files are in `files`.
        """
        start = (
            f'echo run >> {self.seen}; files=; for each; do case "$each" in --config-path=*) each="${{each#*=}}"; '
            '[ -d "$each" ] && each="$each/*"; files="$files $each";; esac; done'
        )
        answer = f"case $? in 0) exit {ACCEPTED};; 1) exit {REFUSED};; esac; exit 1"
        self.python.write_text(f"#!/bin/sh\n{start}\n( {script} )\n{answer}\n")
        self.python.chmod(0o755)

    def worker(self) -> Host:
        """Return the same host, with the file of a worker as the drop-in."""
        worker = copy.copy(self)
        worker.path = self.main.parent / "worker.yaml"
        worker.config_path = (*self.config_path, str(worker.path))
        return worker

    @property
    def runs(self) -> int:
        """How often the parser was run."""
        return len(self.seen.read_text().splitlines()) if self.seen.exists() else 0

    def parser(self, **options: t.Any) -> Parser:
        return Parser(self.config_path, **{"python": str(self.python), "working_directory": "/", **options})

    def resource(self, settings: dict[str, t.Any], **declared: t.Any) -> DropinResource:
        always, parser = declared.pop("always", False), declared.pop("parser", self.parser())
        dropin = DeclaredDropin(str(self.path), settings, **{"secrets": {}, "mode": "0600", **declared})
        return DropinResource(self.config_path, dropin, parser=parser, always=always)

    def plan(self, settings: dict[str, t.Any], **declared: t.Any) -> Plan:
        return self.resource(settings, **declared).plan()

    def apply(self, settings: dict[str, t.Any], **declared: t.Any) -> list[str]:
        """Do the same as the runner, and return the steps."""
        resource = self.resource(settings, **declared)
        plan = resource.plan()
        if plan.changed:
            return carry_out(resource, plan).done
        if plan.proof:
            plan.proof()
        return []

    def warns(self, settings: dict[str, t.Any], **declared: t.Any) -> list[str]:
        resource = self.resource(settings, **declared)
        return t.cast("list[str]", resource.result(resource.plan(), False)["warnings"])

    def refuses(self, settings: dict[str, t.Any], **declared: t.Any) -> ConfigurationError:
        """Return the error of the plan: check mode has the same."""
        before = {path: path.read_bytes() for path in self.directory.iterdir()}
        with pytest.raises(ConfigurationError) as caught:
            self.plan(settings, **declared)
        assert {path: path.read_bytes() for path in self.directory.iterdir()} == before
        return caught.value


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


class TestParser:
    def test_accepted_settings_are_applied(self, host: Host) -> None:
        assert host.apply({"a": 1}) == [f"write a to {host.path}"]
        assert host.apply({"a": 1}) == []
        assert host.runs == 1

    def test_refused_settings_change_nothing(self, host: Host) -> None:
        host.apply({"a": 1})
        error = host.refuses({"a": "bad", "b": {"c": 1}})
        assert error.message == (
            "The settings were not applied (a, b.c), and nothing has changed. Synapse cannot start with its"
            f" configuration ({host.main}, {host.directory}). a: bad.{_FIX}"
        )
        assert error.details == {"validation": {"accepted": False, "cause": "configuration", "complaint": "a: bad."}}

    def test_unchanged_settings_are_only_judged_if_that_is_declared(self, host: Host) -> None:
        host.apply({"a": 1})
        host.accepts("echo a is broken >&2; exit 1")
        assert host.apply({"a": 1}) == []
        # A new version may refuse what an earlier one has accepted.
        message = host.refuses({"a": 1}, always=True).message
        assert message.startswith("Synapse cannot start with its configuration (")
        assert message.endswith(f"a is broken.{_FIX}")

    def test_a_refused_removal(self, host: Host) -> None:
        host.apply({"a": 1})
        host.accepts("grep -q 'a: 1' $files || { echo 'a is missing' >&2; exit 1; }")
        error = host.refuses({}, present=False)
        assert error.message.startswith(f"{host.path} was not removed, and nothing has changed. ")
        assert "a is missing." in error.message

    def test_an_absent_file_is_not_judged(self, host: Host) -> None:
        assert host.apply({}, present=False, always=True) == []
        assert host.runs == 0

    def test_a_fault_of_the_earlier_configuration_is_not_blamed_on_the_settings(self, host: Host) -> None:
        (host.directory / "60-later.yaml").write_text("l: bad\n")
        assert host.refuses({"a": 1}).message == (
            f"Synapse cannot start with its configuration ({host.main}, {host.directory}). l: bad. This is not due to"
            f" the change of {host.path}, which was not made: the earlier configuration has the same fault, and nothing"
            f" has changed.{_FIX}"
        )

    def test_another_fault_of_the_earlier_configuration_is_told_too(self, host: Host) -> None:
        host.accepts('case "$files" in */conf.d/*) echo old >&2;; *) echo new >&2;; esac; exit 1')
        message = host.refuses({"a": 1}).message
        assert message.endswith(f" new. It cannot start with its earlier configuration either. old.{_FIX}")

    def test_a_broken_installation_is_told_once(self, host: Host) -> None:
        host.accepts('echo "$0: No module named synapse" >&2; exit 2')
        error = host.refuses({"a": 1})
        assert "Synapse's own program failed before it read the configuration." in error.message
        assert error.details["validation"]["cause"] == "installation"
        assert host.runs == 1

    def test_an_interruption_changes_nothing(self, host: Host) -> None:
        pipe = host.main.parent / "pipe"
        os.mkfifo(pipe)
        host.accepts(f"echo $$ > {pipe}; exec sleep 600")
        started = subprocess.Popen([sys.executable, "-c", _PLAN, str(host.main), str(host.path), str(host.python)])
        parser = int(pipe.read_text())
        started.terminate()
        assert started.wait(60) == -signal.SIGTERM
        os.kill(parser, signal.SIGKILL)
        assert os.listdir(host.directory) == []

    def test_its_words_show_no_secret(self, host: Host) -> None:
        host.main.write_text("smtp_pass: hush-in-main\n")
        (host.directory / "60-later.yaml").write_text("turn_shared_secret: hush-later\n")
        host.apply({}, secrets={"d": "hush-old"})
        host.accepts("cat $files >&2; grep -q new $files && exit 1; exit 0")
        error = host.refuses({}, secrets={"d": "hush-new"})
        assert "smtp_pass: (hidden)" in error.message
        assert "hush" not in f"{error.message} {error.details}"

    def test_its_words_show_no_secret_that_another_process_has_changed(self, host: Host) -> None:
        (host.directory / "10-early.yaml").write_text("turn_shared_secret: hush-old\n")
        resource = host.resource({"a": 1})
        plan = resource.plan()
        (host.directory / "10-early.yaml").write_text("turn_shared_secret: bad-hush-new\n")
        with pytest.raises(ConfigurationError) as caught:
            carry_out(resource, plan)
        assert "turn_shared_secret: (hidden)" in caught.value.message
        assert "hush" not in f"{caught.value.message} {caught.value.details}"

    def test_a_change_by_another_process_is_judged_too(self, host: Host) -> None:
        resource = host.resource({"a": 1})
        plan = resource.plan()
        (host.directory / "60-later.yaml").write_text("l: bad\n")
        with pytest.raises(ConfigurationError, match="l: bad"):
            carry_out(resource, plan)
        assert not host.path.exists()
        (host.directory / "60-later.yaml").write_text("l: good\n")
        carry_out(resource, plan)
        assert host.path.exists()


class TestWhatIsMissing:
    """In check mode, an earlier task has not created it. A run fails."""

    @pytest.mark.parametrize("missing", ["python", "working_directory"])
    def test_is_only_needed_in_a_run(self, host: Host, missing: str) -> None:
        parser = host.parser(**{missing: f"{host.directory}/missing"})
        assert host.plan({"a": 1}, parser=parser).changed
        with pytest.raises(InvalidInput, match=f"{missing} .*/missing "):
            host.apply({"a": 1}, parser=parser)
        assert (os.listdir(host.directory), host.runs) == ([], 0)

    def test_is_needed_for_unchanged_settings_that_must_be_judged(self, host: Host) -> None:
        host.apply({"a": 1})
        parser = host.parser(python=f"{host.directory}/missing")
        assert host.apply({"a": 1}, parser=parser) == []
        assert not host.plan({"a": 1}, parser=parser, always=True).changed
        with pytest.raises(InvalidInput, match="does not exist on this host"):
            host.apply({"a": 1}, parser=parser, always=True)

    def test_does_not_keep_known_faults_from_being_found(self, host: Host) -> None:
        parser = host.parser(python=f"{host.directory}/missing")
        assert "max_upload_size" in host.refuses({"max_upload_size": "lots"}, parser=parser).message

    @pytest.mark.parametrize("directory", ["relative", "/a\0b"])
    def test_must_be_an_absolute_path(self, host: Host, directory: str) -> None:
        with pytest.raises(InvalidInput, match="^working_directory .* is not an absolute path"):
            host.plan({"a": 1}, parser=host.parser(working_directory=directory))


class TestKnownFaults:
    """What this collection itself knows."""

    def test_refuse_a_declared_value_without_the_parser(self, host: Host) -> None:
        message = host.refuses({"max_upload_size": "lots"}, parser=None).message
        assert message.startswith(
            "The settings were not applied (max_upload_size), and nothing has changed. max_upload_size in"
        )

    def test_explain_the_words_of_the_parser(self, host: Host) -> None:
        host.accepts("echo 'ValueError: lots' >&2; exit 1")
        message = host.refuses({"max_upload_size": "lots"}).message
        assert "ValueError: lots. max_upload_size in " in message
        assert not message.endswith(_FIX)

    def test_count_less_than_the_parser(self, host: Host) -> None:
        # Another version of Synapse may accept it.
        assert host.apply({"max_upload_size": "lots"})
        assert "max_upload_size" not in " ".join(host.warns({"max_upload_size": "many"}))

    @pytest.mark.parametrize("parser", [True, False])
    def test_refuse_what_synapse_takes_for_something_else(self, host: Host, parser: bool) -> None:
        options: dict[str, t.Any] = {} if parser else {"parser": None}
        message = host.refuses({"presence": {"enabled": "false"}}, **options).message
        assert "presence.enabled" in message
        assert host.runs == 0

    def test_refuse_a_declared_secret_that_is_no_text_without_its_value(self, host: Host) -> None:
        message = host.refuses({}, secrets={"registration_shared_secret": 987654321}).message
        assert "registration_shared_secret" in message
        assert "987654321" not in message

    @pytest.mark.parametrize("has_parser", [True, False])
    def test_refuse_a_secret_of_another_file_with_which_synapse_does_not_start(
        self, host: Host, has_parser: bool
    ) -> None:
        (host.directory / "10-early.yaml").write_text("form_secret: 987654321\n")
        host.accepts("echo form_secret: must be a string >&2; exit 1")
        message = host.refuses({"a": 1}, **({} if has_parser else {"parser": None})).message
        assert f"form_secret in {host.directory}/10-early.yaml is a number for YAML" in message
        assert "Put it in quotes there" in message
        assert "This is not due to the change" in message
        assert "987654321" not in message
        # Synapse starts with this one.
        (host.directory / "10-early.yaml").write_text("turn_shared_secret: 987654321\n")
        assert "turn_shared_secret" in " ".join(host.warns({"a": 1}, parser=None))

    def test_say_whether_the_task_or_another_file_has_the_value(self, host: Host) -> None:
        settings: dict[str, t.Any] = {"presence": {"enabled": "false"}, "turn_shared_secret": 987654321}
        declared = host.refuses(settings, parser=None).message
        (host.directory / "10-early.yaml").write_text("presence: {enabled: 'false'}\nturn_shared_secret: 987654321\n")
        warned = " ".join(host.warns({"a": 1}, parser=None))
        assert "expression" in declared
        assert "expression" not in warned
        assert "Put it in quotes there" in warned
        assert "Put it in quotes there" not in declared

    def test_show_no_secret_at_any_place(self, host: Host) -> None:
        message = host.refuses({}, secrets={"max_upload_size": "hush" * 1000}, parser=None).message
        assert "max_upload_size" in message
        assert "It is not shown, because it is declared as a secret" in message
        assert "hush" not in message

    def test_show_a_value_beside_secrets_that_are_the_same_words(self, host: Host) -> None:
        settings = {"presence": {"enabled": "false"}}
        secrets = {"email": {"notif_from": "a@x.test", "smtp_pass": "hush-hush", "enable_tls": True}}
        message = host.refuses(settings, secrets=secrets, parser=None).message
        assert 'is the text "false", which Synapse takes for true' in message
        assert "It is not shown" not in message

    def test_show_the_fix_of_a_secret_whose_value_is_not_the_fault(self, host: Host) -> None:
        path = {"form_secret_path": "/srv/secret"}
        message = host.refuses(path, secrets={"form_secret": "hush-hush"}, parser=None).message
        assert "form_secret_path" in message.split("nothing has changed.")[1]
        assert "It is not shown" not in message
        assert "hush" not in message

    def test_warn_of_another_file(self, host: Host) -> None:
        (host.directory / "60-later.yaml").write_text("presence: {enabled: 'false'}\n")
        assert "60-later.yaml" in " ".join(host.warns({"a": 1}))

    def test_warn_of_a_misspelt_key_and_an_ignored_file(self, host: Host) -> None:
        (host.directory / "x.yml").write_text("a: 1\n")
        warnings = " ".join(host.warns({"cachess": {"a": 1}}))
        assert "cachess" in warnings
        assert "x.yml" in warnings

    def test_warn_of_a_replaced_block_only_for_a_change(self, host: Host) -> None:
        host.main.write_text("server_name: x.test\ncaches: {expire_caches: false}\n")
        assert "caches" in " ".join(host.warns({"caches": {"global_factor": 1}}))
        host.apply({"caches": {"global_factor": 1}})
        assert host.warns({"caches": {"global_factor": 1}}) == []

    def test_of_an_earlier_file_are_not_due_to_the_change(self, host: Host) -> None:
        (host.directory / "10-early.yaml").write_text("max_upload_size: lots\n")
        message = host.refuses({"presence": {"enabled": False}}, parser=None).message
        assert "10-early.yaml" in message
        assert "This is not due to the change of" in message

    def test_that_merge_has_copied_are_named_with_their_file(self, host: Host) -> None:
        (host.directory / "10-early.yaml").write_text("caches: {global_factor: x}\n")
        message = host.refuses({"caches": {"expire_caches": True}}, merge=True, parser=None).message
        assert "caches.global_factor in " in message
        assert "10-early.yaml" in message.split("This is not due")[0]
        assert "50-own.yaml is" not in message
        # The same for what is no reason to refuse.
        (host.directory / "10-early.yaml").write_text("presence: {enabled: 'false'}\n")
        warnings = " ".join(host.warns({"presence": {"include_offline_users_on_sync": True}}, merge=True, parser=None))
        assert "10-early.yaml" in warnings

    def test_are_only_told_if_nothing_changes(self, host: Host) -> None:
        host.apply({"a": 1})
        (host.directory / "60-later.yaml").write_text("max_upload_size: lots\n")
        assert host.apply({"a": 1}, parser=None) == []
        assert "max_upload_size" in " ".join(host.warns({"a": 1}, parser=None))
        assert "max_upload_size" in host.refuses({"a": 1}, parser=None, always=True).message


class TestSigningKey:
    def test_must_still_be_found(self, host: Host) -> None:
        key = host.main.parent / "x.test.signing.key"
        key.touch()
        message = host.refuses({"a": 1}, parser=None).message
        assert f"would no longer use its signing key {key}, but make a new one at {host.directory}/x.test" in message
        host.apply({"a": 1, "signing_key_path": str(key)}, parser=None)

    def test_must_be_found_after_a_removal_too(self, host: Host) -> None:
        host.apply({"a": 1})
        (host.directory / "x.test.signing.key").touch()
        assert "would no longer use its signing key" in host.refuses({}, present=False).message

    def test_of_a_new_server_is_no_fault(self, host: Host) -> None:
        host.accepts('case "$*" in *" new_key "*|*"new_key,"*|*",new_key"*) exit 0;; esac; echo no key >&2; exit 1')
        assert "restore its signing key first" in " ".join(host.warns({"a": 1}))
        (host.directory / "x.test.signing.key").touch()
        assert "no key." in host.refuses({"a": 1}).message

    def test_of_a_worker_is_never_made(self, host: Host) -> None:
        worker = host.worker()
        key = host.main.parent / "x.test.signing.key"
        host.accepts('case "$*" in *"new_key,worker "*) exit 0;; esac; echo no key >&2; exit 1')
        # The main process makes it.
        assert "restore its signing key first" in " ".join(worker.warns({**_WORKER, "signing_key_path": str(key)}))
        # A worker looks beside its own file.
        assert "no key." in worker.refuses(_WORKER).message
        assert "signing key" not in " ".join(worker.warns(_WORKER, parser=None))
        (host.directory / "10-early.yaml").touch()
        (host.directory / "x.test.signing.key").touch()
        message = worker.refuses(_WORKER).message
        assert f"look for it at {worker.path.parent}/x.test.signing.key, and the worker would not start" in message


class TestWorker:
    """A worker has a file of its own, and shares the others with the main process."""

    @staticmethod
    def _accepted_by(word: str) -> str:
        return f'case "$*" in *"{word} --"*) exit 0;; esac; echo no >&2; exit 1'

    def test_is_asked_if_its_file_is_named(self, host: Host) -> None:
        worker = host.worker()
        host.accepts(self._accepted_by("worker"))
        settings = {**_WORKER, "signing_key_path": "/k"}
        assert worker.apply(settings) == [f"write worker_app, signing_key_path to {worker.path}"]
        # A shared file, as the worker reads it.
        worker.path, own = host.path, worker.path
        assert worker.apply({"a": 1}) == [f"write a to {host.path}"]
        worker.path = own
        host.accepts("exit 1")
        assert "Synapse cannot start" in worker.refuses({"worker_app": "synapse.app.pusher"}).message

    def test_is_not_asked_for_a_file_in_a_shared_directory(self, host: Host) -> None:
        host.accepts(self._accepted_by("worker"))
        assert "Synapse cannot start" in host.refuses({**_WORKER, "signing_key_path": "/k"}).message

    def test_is_not_asked_for_the_main_process(self, host: Host) -> None:
        worker = host.worker()
        host.accepts(self._accepted_by("worker"))
        main = {"worker_app": "synapse.app.homeserver", "signing_key_path": "/k"}
        assert "Synapse cannot start" in worker.refuses(main).message


def test_a_failed_step_is_not_hidden(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> t.NoReturn:
        raise SynapseError("The disk is full.")

    monkeypatch.setattr(
        "ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin.replace_file", fail
    )
    with pytest.raises(SynapseError, match="The disk is full"):
        host.apply({"a": 1})


def test_what_ends_synapse_after_its_parser_has_accepted_it_is_refused(host: Host) -> None:
    host.main.write_text("server_name: x.test\ndatabase: {name: psycopg2, args: {user: x}}\n")
    (host.directory / "99-pool.yaml").write_text("database: {args: {cp_max: 30}}\n")
    host.accepts("true")
    message = host.refuses({"presence": {"enabled": True}}).message
    assert message.startswith(f"database in {host.directory}/99-pool.yaml has no name")
    assert f"replaces the whole database block of {host.main}" in message
    assert "This is not due to the change" in message
    assert not host.path.exists()


def test_without_a_parser_no_proof_is_promised(host: Host) -> None:
    host.apply({"a": 1})
    plan = host.plan({"a": 1}, parser=None, always=True)
    assert (plan.changed, plan.proof) == (False, None)
