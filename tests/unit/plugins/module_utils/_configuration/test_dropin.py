# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration import dropin, reader
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin import DropinResource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_declared import DeclaredDropin
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, StateNotReached
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan

SYNAPSE = reader.Reader("synapse", 990, 980, frozenset({980}))


class Host:
    """A host with a configuration of Synapse, on which drop-ins are declared."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory / "conf.d"
        self.directory.mkdir()
        self.main = directory / "homeserver.yaml"
        self.main.write_text("server_name: x.test\ncaches:\n  global_factor: 0.5\n  expire_caches: false\n")
        self.path = self.directory / "50-own.yaml"

    def resource(
        self, settings: dict[str, t.Any], secrets: dict[str, t.Any] | None = None, **declared: t.Any
    ) -> DropinResource:
        declared = {"path": str(self.path), **declared}
        return DropinResource(
            [str(self.main), str(self.directory)], DeclaredDropin(settings=settings, secrets=secrets or {}, **declared)
        )

    def plan(self, settings: dict[str, t.Any], secrets: dict[str, t.Any] | None = None, **declared: t.Any) -> Plan:
        return self.resource(settings, secrets, **declared).plan()

    def apply(
        self, settings: dict[str, t.Any], secrets: dict[str, t.Any] | None = None, **declared: t.Any
    ) -> tuple[Plan, dict[str, t.Any]]:
        """Do the same as the runner, and check that a second run has nothing to change."""
        predicted = self.plan(settings, secrets, **declared)
        resource = self.resource(settings, secrets, **declared)
        plan = resource.plan()
        assert (plan.before, plan.after) == (predicted.before, predicted.after)
        plan.execute()
        resource.verify(plan)
        assert not self.plan(settings, secrets, **declared).changed
        return plan, resource.result(plan, plan.changed)

    def written(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", yaml.safe_load(self.path.read_text()))


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def test_a_new_file_replaces_a_key_whole(host: Host) -> None:
    plan, result = host.apply({"caches": {"global_factor": 2.0}, "presence": {"enabled": False}})
    assert host.written() == {"caches": {"global_factor": 2.0}, "presence": {"enabled": False}}
    assert "caches.expire_caches" in str(result.pop("warnings"))
    assert result == {
        "config": {
            "path": str(host.path),
            "settings": {"caches": {"global_factor": 2.0}, "presence": {"enabled": False}},
        },
        "changed_keys": ["caches.expire_caches", "caches.global_factor", "presence.enabled"],
        "restart_required": True,
        "reload_required": False,
    }
    assert plan.before == {"file": None, "in_force": {"caches": {"global_factor": 0.5, "expire_caches": False}}}
    assert [step.description for step in plan.steps] == [f"write caches, presence to {host.path}"]


def test_merge_keeps_what_earlier_files_say_under_the_key(host: Host) -> None:
    (host.directory / "60-later.yaml").write_text("presence: {enabled: true}\n")
    (host.directory / "10-earlier.yaml").write_text("caches: {global_factor: 1, per_cache_factors: {a: 1, b: 2}}\n")
    _plan, result = host.apply({"caches": {"global_factor": 2.0, "per_cache_factors": {"b": 3}}}, merge=True)
    assert host.written() == {"caches": {"global_factor": 2.0, "per_cache_factors": {"a": 1, "b": 3}}}
    assert result["changed_keys"] == ["caches.global_factor", "caches.per_cache_factors.b"]
    (host.directory / "10-earlier.yaml").unlink()
    _plan, result = host.apply({"caches": {"global_factor": 2.0}}, merge=True)
    assert host.written() == {"caches": {"global_factor": 2.0, "expire_caches": False}}


@pytest.mark.parametrize("earlier", ["caches:\n", "caches: 5\n", "other: 1\n"])
def test_merge_with_what_is_no_mapping(host: Host, earlier: str) -> None:
    host.main.write_text(earlier)
    host.apply({"caches": {"global_factor": 2.0}}, merge=True)
    assert host.written() == {"caches": {"global_factor": 2.0}}


def test_a_setting_that_leaves_the_file_gets_its_former_value_again(host: Host) -> None:
    host.apply({"caches": {"global_factor": 2.0}, "presence": {"enabled": False}})
    _plan, result = host.apply({"presence": {"enabled": False}})
    assert result["changed_keys"] == ["caches.expire_caches", "caches.global_factor"]
    assert result["config"]["settings"]["caches"] == {"global_factor": 0.5, "expire_caches": False}


def test_absent_removes_the_file_and_tells_what_that_changes(host: Host) -> None:
    host.apply({"caches": {"global_factor": 2.0}, "presence": {"enabled": False}})
    plan, result = host.apply({}, present=False)
    assert not host.path.exists()
    assert plan.after == {"file": None, "in_force": {"caches": {"global_factor": 0.5, "expire_caches": False}}}
    assert result["changed_keys"] == ["caches.expire_caches", "caches.global_factor", "presence.enabled"]
    assert result["config"]["settings"] == {"caches": {"global_factor": 0.5, "expire_caches": False}}


def test_absent_needs_no_configuration(tmp_path: pathlib.Path) -> None:
    declared = DeclaredDropin(str(tmp_path / "none" / "own.yaml"), {}, {}, present=False)
    plan = DropinResource([str(tmp_path / "nothing")], declared).plan()
    assert not plan.changed


def test_restart_or_reload_is_required(host: Host) -> None:
    def required(settings: dict[str, t.Any], **declared: t.Any) -> str:
        result = host.apply(settings, **declared)[1]
        return " and ".join(name for name in ("restart", "reload") if result[f"{name}_required"])

    caches: dict[str, t.Any] = {"global_factor": 1.0, "expire_caches": False}
    # Synapse does not see a new file at a reload.
    assert required({"caches": caches}) == "restart"
    assert required({"caches": caches}, mode="0600") == ""
    caches["global_factor"] = 2.0
    caches["per_cache_factors"] = {"a": 1}
    assert required({"caches": caches}) == "reload"
    caches["per_cache_factors"] = {"b": 1}
    assert required({"caches": caches}) == "reload"
    caches.update(global_factor=3.0, cache_entry_ttl="1h")
    assert required({"caches": caches}) == "restart"
    assert required({"caches": caches, "presence": {}}) == "restart"
    # A reload fails if a file is missing.
    assert required({"caches": {"global_factor": 9, "expire_caches": False}}) == "restart"
    assert required({}, present=False) == "restart"
    assert required({}, present=False) == ""


def test_types_are_told_apart(host: Host) -> None:
    host.apply({"presence": {"enabled": True}})
    _plan, result = host.apply({"presence": {"enabled": 1}})
    assert result["changed_keys"] == ["presence.enabled"]
    assert host.written() == {"presence": {"enabled": 1}}
    assert "enabled: 1" in host.path.read_text()


def test_secrets_are_written_and_never_shown(host: Host) -> None:
    secrets = {"mail": {"smtp_pass": "hush1"}, "modules": [{"config": "hush2"}]}
    plan, result = host.apply({"mail": {"smtp_user": "x"}}, secrets)
    assert host.written() == {"mail": {"smtp_user": "x", "smtp_pass": "hush1"}, "modules": [{"config": "hush2"}]}
    assert "hush" not in f"{plan.before}{plan.after}{result}"
    assert result["config"]["settings"]["mail"] == {"smtp_user": "x", "smtp_pass": "(hidden)"}
    assert result["changed_keys"] == ["mail.smtp_pass", "mail.smtp_user", "modules"]
    assert plan.after is not None
    assert plan.after["in_force"]["modules"] == "(hidden, new)"

    secrets["mail"] = {"smtp_pass": "hush3"}
    plan, result = host.apply({"mail": {"smtp_user": "x"}}, secrets)
    assert result["changed_keys"] == ["mail.smtp_pass"]
    assert plan.before is not None and plan.after is not None
    assert plan.before["in_force"]["mail"]["smtp_pass"] == "(hidden)"
    assert plan.after["in_force"]["mail"]["smtp_pass"] == "(hidden, new)"
    assert plan.after["in_force"]["modules"] == "(hidden)"


def test_numbers_that_are_secrets_are_not_shown(host: Host) -> None:
    host.path.write_text("mail:\n  smtp_pass: 1234567\n")
    plan, result = host.apply({"mail": {"smtp_pass": 7654321}}, force=True)
    assert result["config"]["settings"] == {"mail": {"smtp_pass": "(hidden)"}}
    assert "1234567" not in f"{plan.before}{plan.after}"
    assert "7654321" not in f"{plan.before}{plan.after}"


def test_secrets_stay_hidden_when_they_are_no_longer_declared(host: Host) -> None:
    host.apply({}, {"modules": [{"config": "hush"}]})
    assert "hush" not in f"{host.plan({'presence': {}}).before}"
    plan, result = host.apply({}, present=False)
    assert "hush" not in f"{plan.before}{plan.after}{result}"


@pytest.mark.parametrize("mode", ["0644", "0604", "0641"])
def test_secrets_are_for_nobody_else(host: Host, mode: str) -> None:
    with pytest.raises(InvalidInput, match=f"mode {mode} would let every user of the host read the secrets"):
        host.plan({}, {"a": "hush"}, mode=mode)
    host.apply({"a": 1}, mode=mode)


def test_a_change_of_mode_alone_changes_no_setting(host: Host) -> None:
    host.apply({"a": 1})
    before = host.path.read_bytes()
    # Another name of the file, which must keep its mode.
    os.link(host.path, host.directory / "other")
    plan, result = host.apply({"a": 1}, mode="0600")
    assert (host.path.stat().st_mode & 0o777, host.path.read_bytes()) == (0o600, before)
    assert (host.directory / "other").stat().st_mode & 0o777 == 0o640
    assert result["changed_keys"] == []
    assert plan.before != plan.after
    assert plan.steps[0].description.startswith("set mode 0600, owner ")


def test_a_later_file_that_overrides_is_named(host: Host) -> None:
    (host.directory / "90-later.yaml").write_text("caches: {}\n")
    with pytest.raises(InvalidInput, match=r"caches in .*50-own\.yaml would have no effect: .*90-later\.yaml after it"):
        host.plan({"caches": {"global_factor": 2}})
    host.apply({"presence": {}})


def test_the_file_of_somebody_else_is_not_lost(host: Host) -> None:
    host.path.write_text("a: 1\n")
    for present in (True, False):
        with pytest.raises(InvalidInput, match=r"50-own\.yaml was not written by this module"):
            host.plan({"a": 1}, present=present)
    plan, result = host.apply({"a": 1}, force=True)
    assert result["changed_keys"] == []
    assert plan.before is not None and plan.after is not None
    assert (plan.before["file"]["comment"], plan.after["file"]["comment"]) == ("changed", "as written")


def test_what_was_changed_by_hand_is_put_right(host: Host) -> None:
    host.apply({"a": 1})
    text = host.path.read_text()
    for changed in (text + "b: 2\n", text + "{", text.replace("a: 1", "a: 1.0"), text.replace("# A key", "# A word")):
        host.path.write_text(changed)
        host.apply({"a": 1})
        assert host.path.read_text() == text


def test_an_empty_file_may_be_taken_over(host: Host) -> None:
    host.path.write_text("")
    host.apply({"a": 1})


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"settings": {}}, "settings and secrets are both empty"),
        ({"settings": {"a": {"b": 1}}, "secrets": {"a": {"b": 2}}}, r"a\.b is in settings and in secrets"),
        (
            {"settings": {"a": 1}, "path": "conf.d/own.yaml"},
            r"path conf\.d/own\.yaml is not absolute: set an absolute path",
        ),
        ({"settings": {"a": 1}, "path": "/etc/a\0b.yaml"}, r"'/etc/a\\x00b\.yaml' is not a path"),
        ({"settings": {"a": 1}, "mode": "rw"}, "is not a file mode"),
        ({"settings": {"a": 1}, "mode": 440}, "is not a file mode"),
        ({"settings": {"a": 1}, "owner": "no_such_user"}, "owner no_such_user does not exist"),
        ({"settings": {"a": float("nan")}}, "a cannot be written as YAML"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(host: Host, declared: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        host.plan(**declared)
    assert os.listdir(host.directory) == []


def test_directories_and_links_are_refused(host: Host, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="is a directory: set the path of a file in it"):
        host.plan({"a": 1}, path=str(host.directory))
    host.path.symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(InvalidInput, match="is a symbolic link"):
        host.plan({"a": 1})


def test_a_new_file_that_root_writes_belongs_to_whom_the_configuration_belongs(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Attributes(0o600, 4242, 4343)
    own = os.geteuid()
    monkeypatch.setattr(DropinResource, "_find_trusted", lambda _resource: frozenset({own}))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(dropin, "read_attributes", lambda path: model if path == str(host.main) else None)
    plan = host.plan({"a": 1})
    assert plan.after is not None
    assert (plan.after["file"]["owner"], plan.after["file"]["group"]) == ("4242", "4343")
    plan = host.plan({"a": 1}, owner="4444", group="4545")
    assert plan.after is not None
    assert (plan.after["file"]["owner"], plan.after["file"]["group"]) == ("4444", "4545")


def test_a_change_by_somebody_else_is_noticed(host: Host) -> None:
    resource = host.resource({"caches": {"global_factor": 2}})
    plan = resource.plan()
    plan.execute()
    (host.directory / "90-later.yaml").write_text("caches: {}\n")
    with pytest.raises(StateNotReached, match=r"caches.*caches\.global_factor is not as declared"):
        resource.verify(plan)
    (host.directory / "90-later.yaml").unlink()
    host.path.chmod(0o666)
    with pytest.raises(StateNotReached, match="the mode, owner or group is not as declared"):
        resource.verify(plan)


class TestWhoReadsIt:
    """All users can read the main configuration, and Synapse runs as another user."""

    @pytest.fixture(autouse=True)
    def somebody(self, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
        host.main.chmod(0o644)
        monkeypatch.setattr(reader, "reader_named", lambda _name: SYNAPSE)
        monkeypatch.setattr(dropin, "reader_named", lambda _name: SYNAPSE)
        monkeypatch.setattr(reader.Reader, "can", lambda *_: True)
        # The user who runs the tests may plan the same as root.
        monkeypatch.setattr(dropin, "require_allowed", lambda *_: None)

    def test_gets_its_group(self, host: Host) -> None:
        plan = host.plan({"a": 1}, synapse_user="synapse")
        assert plan.after is not None
        assert plan.after["file"]["group"] == str(SYNAPSE.gid)
        assert plan.after["file"]["mode"] == "0640"

    def test_gets_it_alone_where_the_configuration_has_the_group_of_nobody(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = os.geteuid()
        monkeypatch.setattr(DropinResource, "_find_trusted", lambda _resource: frozenset({own}))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        model = Attributes(0o640, SYNAPSE.uid, 65534)
        monkeypatch.setattr(dropin, "read_attributes", lambda _path: model)
        plan = host.plan({"a": 1}, synapse_user="synapse")
        assert plan.after is not None
        assert (plan.after["file"]["owner"], plan.after["file"]["group"]) == (str(SYNAPSE.uid), "root")

    def test_gets_a_file_that_it_could_not_read(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        host.apply({"a": 1})
        own = reader.Reader("me", 990, os.getegid(), frozenset({os.getegid()}))
        monkeypatch.setattr(dropin, "reader_named", lambda _name: own)
        assert not host.plan({"a": 1}, synapse_user="me").changed
        monkeypatch.setattr(dropin, "reader_named", lambda _name: SYNAPSE)
        plan = host.plan({"a": 1}, synapse_user="synapse")
        assert plan.steps[0].description.startswith("set mode 0640, owner ")
        assert plan.steps[0].description.endswith(f", group 980 on {host.path}")

    @pytest.mark.parametrize("declared", [{"group": "0", "owner": "0"}, {"mode": "0040", "owner": "0", "group": "0"}])
    def test_cannot_read_what_is_declared(self, host: Host, declared: dict[str, t.Any]) -> None:
        with pytest.raises(InvalidInput, match=r"50-own\.yaml with mode .* could not be read by synapse, the user"):
            host.plan({"a": 1}, synapse_user="synapse", **declared)

    def test_cannot_enter_the_directory(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[tuple[str, int]] = []

        def can(_reader: reader.Reader, path: str, wanted: int) -> bool:
            asked.append((path, wanted))
            return path != str(host.directory)

        monkeypatch.setattr(reader.Reader, "can", can)
        with pytest.raises(InvalidInput, match=f"^synapse, the user of Synapse, may not enter {host.directory}, and"):
            host.plan({"a": 1}, synapse_user="synapse")
        # Synapse lists this directory.
        assert asked[-1] == (str(host.directory), os.R_OK | os.X_OK)
        assert asked[0] == ("/", os.X_OK)

    def test_is_found_by_the_running_processes(self, host: Host) -> None:
        key = host.main.parent / "key"
        key.touch(0o600)
        host.main.write_text(f"signing_key_path: {key}\n")
        declared = DeclaredDropin(str(host.path), {"a": 1}, {})
        plan = DropinResource([str(host.main), str(host.directory)], declared, lambda: ["synapse"]).plan()
        assert plan.after is not None
        assert plan.after["file"]["group"] == "980"
        key.chmod(0o644)
        plan = DropinResource([str(host.main), str(host.directory)], declared, lambda: ["synapse"]).plan()
        assert plan.after is not None
        assert plan.after["file"]["group"] != "980"


class TestTheWay:
    def test_a_directory_of_somebody_else(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reader.Reader, "can", lambda *_: True)
        if os.geteuid() == 0:
            os.chown(host.directory, 4711, 4711)
            with pytest.raises(InvalidInput, match="conf.d belongs to 4711, who could exchange what root writes there"):
                host.plan({"a": 1})
            # The owner of the configuration and Synapse itself may.
            assert host.plan({"a": 1}, synapse_user="4711").changed
            os.chown(host.main, 4711, 4711)
        host.apply({"a": 1})
        host.apply({}, present=False)

    def test_a_directory_that_everybody_may_write(self, host: Host) -> None:
        host.apply({"a": 1})
        host.directory.chmod(0o777)
        if os.geteuid() == 0:
            for present in (True, False):
                with pytest.raises(InvalidInput, match="every user may write to .*/conf.d, and could exchange"):
                    host.plan({"a": 1}, present=present)

    def test_a_link_to_the_file(self, host: Host, tmp_path: pathlib.Path) -> None:
        (tmp_path / "foreign").write_text("a: 1\n")
        host.path.symlink_to(tmp_path / "foreign")
        with pytest.raises(InvalidInput, match="is a symbolic link: use the path of its target instead"):
            host.plan({"a": 1})
