# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import signal
import stat
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin import (
    DeclaredDropin,
    DropinResource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import INSTALLATION, Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.trial import Trial
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._execution import carry_out

# Refuses every file with the word "bad", and quotes the line.
_PICKY = 'grep -rah bad "{directory}/conf.d" >&2 && exit 1; exit 0'
_OLD = b"old: \xff\n"


@dataclasses.dataclass(frozen=True)
class Change:
    """A change that replaces the file by one with `leaves` as its content, with another mode, owner and group."""

    path: pathlib.Path
    leaves: bytes

    def __call__(self) -> None:
        self.path.unlink(missing_ok=True)
        self.path.write_bytes(self.leaves)
        self.path.chmod(0o600)


class Place:
    """A directory of drop-ins with a parser that refuses bad ones."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory / "conf.d"
        self.directory.mkdir(mode=0o755)
        self.path = self.directory / "own.yaml"
        self.python = directory / "python"
        self.says(_PICKY.format(directory=directory))

    def says(self, script: str) -> None:
        """Replace the parser by this shell script."""
        self.python.write_text(f"#!/bin/sh\n{script}\n")
        self.python.chmod(0o755)

    def old(self, content: bytes = _OLD, mode: int = 0o604) -> tuple[bytes, int, int, int]:
        """Write the file of an earlier run."""
        self.path.write_bytes(content)
        self.path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(self.path, 990, 980)
        return self.seen()

    def seen(self) -> tuple[bytes, int, int, int]:
        status = self.path.stat()
        return self.path.read_bytes(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid

    def trial(self, secrets: t.Collection[str] = ()) -> Trial:
        checked = Parser((str(self.directory),), str(self.python), "/")
        return Trial(checked, str(self.path), (), "The settings were not applied (a)", secrets)

    def write(self, content: str) -> Change:
        return Change(self.path, content.encode())

    def fails(
        self, change: t.Callable[[], None], secrets: t.Collection[str] = (), leaves: bytes | None = None
    ) -> SynapseError:
        with pytest.raises(SynapseError) as caught:
            self.trial(secrets).run(change, change.leaves if isinstance(change, Change) else leaves)
        return caught.value


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


def test_an_accepted_change_stays(place: Place) -> None:
    place.old()
    place.trial().run(place.write("good: 1\n"), b"good: 1\n")
    assert place.seen()[:2] == (b"good: 1\n", 0o600)


def test_a_refused_change_is_undone(place: Place) -> None:
    before = place.old()
    error = place.fails(place.write("bad: 1\n"))
    assert isinstance(error, ConfigurationError)
    assert error.message == (
        "The settings were not applied (a), and nothing has changed. Synapse cannot start with its configuration"
        f" ({place.directory}). bad: 1. Fix the configuration and run this again."
    )
    assert error.details == {
        "validation": {"accepted": False, "cause": "configuration", "complaint": "bad: 1."},
    }
    assert place.seen() == before
    assert os.listdir(place.directory) == ["own.yaml"]


def test_a_refused_new_file_is_removed(place: Place) -> None:
    place.fails(place.write("bad: 1\n"))
    assert os.listdir(place.directory) == []


def test_a_refused_removal_is_undone(place: Place) -> None:
    before = place.old()
    place.says(f"test -e {place.path} && exit 0; echo 'server_name is missing' >&2; exit 1")
    assert "server_name is missing." in place.fails(place.path.unlink).message
    assert place.seen() == before


def test_the_words_contain_no_secret(place: Place) -> None:
    error = place.fails(place.write("bad: hush-hush\n"), {"hush-hush"})
    assert "bad: (hidden)." in error.message
    assert "hush" not in f"{error.message} {error.details}"


def test_a_configuration_that_was_refused_before_is_not_blamed_on_the_settings(place: Place) -> None:
    (place.directory / "other.yaml").write_text("bad: other\n")
    error = place.fails(place.write("good: 1\n"))
    assert error.message == (
        f"Synapse cannot start with its configuration ({place.directory}). bad: other. This is not due to the"
        f" change of {place.path}, which was undone: the earlier configuration has the same fault, and nothing has"
        " changed. Fix the configuration and run this again."
    )
    assert not place.path.exists()


def test_another_complaint_about_the_earlier_configuration_is_told_too(place: Place) -> None:
    # A killed run has left settings that were never checked.
    before = place.old(b"bad: earlier\n")
    message = place.fails(place.write("bad: new\n")).message
    assert message.startswith("The settings were not applied (a), and nothing has changed. ")
    assert "bad: new. It cannot start with its earlier configuration either. bad: earlier. Fix" in message
    assert place.seen() == before


def test_a_broken_installation_is_told_once(place: Place) -> None:
    before = place.old()
    place.says("echo called >> $0.calls; echo '/venv/python: No module named synapse' >&2; exit 1")
    error = place.fails(place.write("good: 1\n"))
    assert error.details["validation"]["cause"] == INSTALLATION
    assert error.message.startswith("The settings were not applied (a), and nothing has changed. Synapse's own program")
    assert place.seen() == before
    assert pathlib.Path(f"{place.python}.calls").read_text() == "called\n"


def test_a_change_that_fails_is_undone(place: Place) -> None:
    before = place.old()

    def change() -> None:
        place.write("whole")()
        raise SynapseError("no space left")

    assert place.fails(change, leaves=b"whole").message == "no space left"
    assert place.seen() == before


def test_a_change_that_fails_at_once_leaves_the_file_itself(place: Place) -> None:
    place.old()
    inode = place.path.stat().st_ino

    def change() -> None:
        raise SynapseError("no space left")

    place.fails(change)
    assert place.path.stat().st_ino == inode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_undoes_the_change(place: Place, number: signal.Signals, request: pytest.FixtureRequest) -> None:
    before = place.old()
    # The second signal may come after the trial, when it must not end the tests.
    late: list[int] = []
    request.addfinalizer(functools.partial(signal.signal, number, signal.signal(number, lambda *_: late.append(1))))
    handlers = signal.getsignal(number)
    # The parser itself interrupts the task, twice, and would never end.
    place.says(f"kill -{number:d} $PPID; kill -{number:d} $PPID; exec sleep 60")
    error = place.fails(place.write("good: 1\n"))
    assert error.message == f"The task was interrupted by {number.name}. Run it again."
    assert place.seen() == before
    assert signal.getsignal(number) is handlers


def test_a_file_that_cannot_be_put_back_is_told(place: Place) -> None:
    place.old()

    def change() -> None:
        place.path.unlink()
        place.path.mkdir()
        (place.path / "inside").write_text("bad")

    error = place.fails(change)
    assert error.may_be_done
    assert "the earlier file could not be put back: " in error.message


def test_nothing_is_changed_if_this_user_cannot_put_the_file_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.path.write_text("old")
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert isinstance(place.fails(place.write("good: 1\n")), InvalidInput)
    assert place.path.read_text() == "old"


def test_nothing_is_changed_without_the_working_directory(place: Place) -> None:
    checked = Parser((str(place.directory),), str(place.python), f"{place.directory}/missing")
    with pytest.raises(InvalidInput, match="working_directory"):
        Trial(checked, str(place.path), (), "").run(place.write("good: 1\n"), b"good: 1\n")
    assert not place.path.exists()


# The file of another process, whose content may be the same.
@pytest.mark.parametrize("content", ["bad: other", "bad: 1"])
def test_a_file_that_another_process_changed_meanwhile_is_left(place: Place, content: str) -> None:
    place.old()
    place.says(f"printf '{content}' >{place.path}.new; mv {place.path}.new {place.path}; echo is bad >&2; exit 1")
    error = place.fails(place.write("bad: 1"))
    assert isinstance(error, ConfigurationError)
    assert error.may_be_done
    assert error.message == (
        "The settings were not applied (a): Synapse did not accept the result. Another process has changed"
        f" {place.path} meanwhile, so that it was left as it is now. Synapse cannot start with its configuration"
        f" ({place.directory}). is bad. Check the file before Synapse is started again."
    )
    assert error.details["validation"]["complaint"] == "is bad."
    assert place.path.read_text() == content


def test_a_file_that_another_process_changed_in_place_is_left(place: Place) -> None:
    place.old()
    place.says(f"echo other >{place.path}; echo is bad >&2; exit 1")
    assert "was left as it is now" in place.fails(place.write("bad: 1")).message
    assert place.path.read_text() == "other\n"


def test_a_file_that_another_process_removed_or_made_meanwhile_is_left(place: Place) -> None:
    place.old()
    place.says(f"rm {place.path}; echo is bad >&2; exit 1")
    assert "was left as it is now" in place.fails(place.write("bad: 1")).message
    assert not place.path.exists()
    place.old()
    place.says(f"echo other >{place.path}; echo is bad >&2; exit 1")
    assert "was left as it is now" in place.fails(place.path.unlink).message
    assert place.path.read_text() == "other\n"


def test_a_file_of_another_process_is_left_after_a_failure(place: Place) -> None:
    place.old()

    def change() -> None:
        place.write("other")()
        raise SynapseError("Another process replaced it.")

    error = place.fails(change, leaves=b"good: 1\n")
    assert error.message.startswith("Another process replaced it. Another process has changed ")
    assert error.may_be_done
    assert place.path.read_text() == "other"


def test_a_file_that_another_process_put_back_is_no_fault(place: Place) -> None:
    before = place.old(b"old")
    place.says(f"cp -p {place.directory}/../kept {place.path}; echo is bad >&2; exit 1")
    kept = place.directory / "../kept"
    kept.write_bytes(b"old")
    kept.chmod(before[1])
    if os.geteuid() == 0:
        os.chown(kept, 990, 980)
    assert ", and nothing has changed. " in place.fails(place.write("bad: 1")).message
    assert place.seen() == before


class Host:
    """A host whose Synapse refuses every configuration with the word "bad", and quotes the lines with it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.main = directory / "homeserver.yaml"
        self.main.write_text("server_name: x.test\n")
        self.directory = directory / "conf.d"
        self.directory.mkdir()
        self.path = self.directory / "50-own.yaml"
        self.python = directory / "python"
        self.accepts(f"! grep -h bad {self.main} {self.directory}/* >&2")

    def accepts(self, script: str) -> None:
        """Let the parser accept what this shell script accepts."""
        self.python.write_text(f"#!/bin/sh\n{script}\n")
        self.python.chmod(0o755)

    def resource(self, settings: dict[str, t.Any], **declared: t.Any) -> DropinResource:
        config_path = (str(self.main), str(self.directory))
        always = declared.pop("always", False)
        declared = {"secrets": {}, "mode": "0600", **declared}
        parser = Parser(config_path, str(self.python), "/")
        dropin = DeclaredDropin(str(self.path), settings, **declared)
        return DropinResource(config_path, dropin, parser=parser, always=always)

    def apply(self, settings: dict[str, t.Any], **declared: t.Any) -> list[str]:
        """Do the same as the runner, and return the steps."""
        resource = self.resource(settings, **declared)
        plan = resource.plan()
        if plan.changed:
            return carry_out(resource, plan).done
        if plan.proof:
            plan.proof()
        return []

    def refuses(self, settings: dict[str, t.Any], **declared: t.Any) -> ConfigurationError:
        with pytest.raises(ConfigurationError) as caught:
            self.apply(settings, **declared)
        return caught.value


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def test_accepted_settings_are_applied(host: Host) -> None:
    assert host.apply({"a": 1}) == [f"write a to {host.path}"]
    assert host.apply({"a": 1}) == []


def test_refused_settings_change_nothing(host: Host) -> None:
    host.apply({"a": 1})
    before = host.path.read_text()
    error = host.refuses({"a": "bad", "b": {"c": 1}})
    assert error.message == (
        "The settings were not applied (a, b.c), and nothing has changed. Synapse cannot start with its configuration"
        f" ({host.main}, {host.directory}). a: bad. Fix the configuration and run this again."
    )
    assert (error.details["changed"], error.details["steps"], error.details["outcome"]) == (False, [], "not_done")
    assert error.details["validation"]["complaint"] == "a: bad."
    assert host.path.read_text() == before
    assert os.listdir(host.directory) == ["50-own.yaml"]


def test_refused_settings_of_a_new_file_leave_none(host: Host) -> None:
    assert host.refuses({"a": "bad"}).details["changed"] is False
    assert os.listdir(host.directory) == []


def test_unchanged_settings_are_not_checked(host: Host) -> None:
    host.apply({"a": 1})
    host.accepts("echo broken >&2; exit 1")
    assert host.apply({"a": 1}) == []


def test_unchanged_settings_are_checked_if_that_is_declared(host: Host) -> None:
    host.apply({"a": 1}, always=True)
    assert host.apply({"a": 1}, always=True) == []
    # A run that was killed has left settings that were never checked.
    host.accepts("echo a is bad >&2; exit 1")
    assert host.refuses({"a": 1}, always=True).message.startswith("Synapse cannot start with its configuration (")


@pytest.mark.parametrize("directory", ["relative", "/a\0b"])
def test_a_working_directory_that_is_no_absolute_path_is_refused_in_the_plan(host: Host, directory: str) -> None:
    config_path = (str(host.main), str(host.directory))
    declared = DeclaredDropin(str(host.path), {"a": 1}, {}, mode="0600")
    with pytest.raises(InvalidInput, match="^working_directory .* is not an absolute path"):
        DropinResource(config_path, declared, parser=Parser(config_path, str(host.python), directory)).plan()


def test_the_plan_does_not_need_the_working_directory_itself(host: Host) -> None:
    config_path = (str(host.main), str(host.directory))
    declared = DeclaredDropin(str(host.path), {"a": 1}, {}, mode="0600")
    parser = Parser(config_path, str(host.python), f"{host.directory}/missing")
    assert DropinResource(config_path, declared, parser=parser).plan().changed


def test_a_change_of_the_mode_alone_is_undone(host: Host) -> None:
    host.apply({"a": 1})
    host.accepts(f'test "$(stat -c %a {host.path})" = 600 || {{ echo unreadable >&2; exit 1; }}')
    message = host.refuses({"a": 1}, mode="0640").message
    assert message.startswith("The settings were not applied, and nothing has changed. ")
    assert host.path.stat().st_mode & 0o777 == 0o600


def test_a_refused_removal_changes_nothing(host: Host) -> None:
    host.apply({"a": 1})
    host.accepts(f"test -e {host.path} || {{ echo 'a is missing' >&2; exit 1; }}")
    error = host.refuses({}, present=False)
    assert error.message.startswith(f"{host.path} was not removed, and nothing has changed. ")
    assert "a is missing." in error.message
    assert host.path.exists()


def test_an_absent_file_is_not_checked(host: Host) -> None:
    host.main.write_text("server_name: bad.test\n")
    assert host.apply({}, present=False) == []


def test_the_words_of_synapse_show_no_secret(host: Host) -> None:
    host.main.write_text("smtp_pass: hush-in-main\n")
    (host.directory / "60-later.yaml").write_text("turn_shared_secret: hush-later\n")
    host.apply({}, secrets={"d": "hush-old"})
    host.accepts(f"cat {host.main} {host.directory}/* >&2; grep -q new {host.path} || exit 0; exit 1")
    (host.directory / "00-old.yaml").write_text("# hush-old\n")
    error = host.refuses({}, secrets={"d": "hush-new"})
    assert "smtp_pass: (hidden)" in error.message
    assert "hush" not in f"{error.message} {error.details}"


def test_nothing_is_run_to_plan(host: Host) -> None:
    host.accepts(f"touch {host.main}.run")
    host.resource({"a": 1}).plan()
    assert not os.path.exists(f"{host.main}.run")
