# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration must be read as Synapse reads it, and errors must not contain secrets."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import sys
import tempfile
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import configuration_argument_spec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration import homeserver, settings_text
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
    find_files,
    read_configuration,
    read_configuration_if_there,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._debian_package import DEFAULT_CONFIG_PATH
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, MissingLibrary

NOBODY = 65534
_MAIN, _SHARED, _OWN = "/etc/x/homeserver.yaml", "/etc/x/conf.d/50.yaml", "/etc/x/workers/worker1.yaml"
_WORKER = {"worker_app": "synapse.app.generic_worker"}


@pytest.fixture
def directory() -> t.Iterator[pathlib.Path]:
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name)
        path.chmod(0o711)
        yield path


@pytest.fixture
def unprivileged() -> t.Iterator[None]:
    """Run a test as the user nobody, because root may read all files."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def write(path: pathlib.Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def failure_of(read: t.Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read()
    assert "\n" not in caught.value.message
    return caught.value.message


class TestFindFiles:
    def test_reads_a_directory_as_synapse_does(self, tmp_path: pathlib.Path) -> None:
        main = write(tmp_path / "homeserver.yaml", "")
        for name in ("b.yaml", "a.yaml", "B.yaml", "10.yaml", "9.yaml", "c.yml", "d.yaml.bak", "e", "deep/f.yaml"):
            write(tmp_path / "conf.d" / name, "")
        (tmp_path / "conf.d" / "folder.yaml").mkdir()
        found = find_files([main, str(tmp_path / "conf.d")])
        assert found[0] == main
        assert [os.path.basename(path) for path in found[1:]] == ["10.yaml", "9.yaml", "B.yaml", "a.yaml", "b.yaml"]

    def test_keeps_the_order_of_the_paths(self, tmp_path: pathlib.Path) -> None:
        paths = [write(tmp_path / "z.yaml", ""), write(tmp_path / "a.conf", "")]
        assert find_files(paths) == paths

    def test_says_which_directory_cannot_be_listed(self, directory: pathlib.Path, unprivileged: None) -> None:
        closed = directory / "conf.d"
        if os.geteuid() == NOBODY:
            os.seteuid(0)
            closed.mkdir(mode=0o700)
            os.seteuid(NOBODY)
        else:
            closed.mkdir(mode=0o000)
        message = failure_of(lambda: find_files([str(closed)]))
        assert f"{closed} cannot be read by this user" in message
        assert "become" in message


class TestSettings:
    def test_a_later_file_replaces_a_key_whole(self, tmp_path: pathlib.Path) -> None:
        paths = [
            write(tmp_path / "1.yaml", "server_name: a.test\ncaches: {global_factor: 1, sync_response: 2}\n"),
            write(tmp_path / "2.yaml", "caches: {global_factor: 3}\n"),
            write(tmp_path / "3.yaml", "presence:\n"),
        ]
        configuration = read_configuration(paths)
        assert configuration.settings == {"server_name": "a.test", "caches": {"global_factor": 3}, "presence": None}
        assert configuration.server_name == "a.test"
        assert configuration.source_of("caches") == paths[1]
        assert configuration.source_of("server_name") == paths[0]
        assert configuration.source_of("presence") == paths[2]
        assert configuration.source_of("listeners") is None

    def test_before_and_without_a_file(self, tmp_path: pathlib.Path) -> None:
        one = write(tmp_path / "1.yaml", "a: 1\nb: 1\n")
        two = write(tmp_path / "2.yaml", "a: 2\n")
        three = write(tmp_path / "3.yaml", "a: 3\n")
        configuration = read_configuration([one, two, three])
        assert configuration.before(two).settings == {"a": 1, "b": 1}
        assert configuration.before(one).settings == {}
        assert configuration.without(three).settings == {"a": 2, "b": 1}
        assert configuration.without(str(tmp_path / "missing.yaml")).settings == {"a": 3, "b": 1}
        (tmp_path / "link").symlink_to(tmp_path)
        assert configuration.before(str(tmp_path / "link" / "2.yaml")).settings == {"a": 1, "b": 1}
        assert configuration.without(str(tmp_path / "link" / "3.yaml")).settings == {"a": 2, "b": 1}

    @pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "words\n", "---\n"])
    def test_ignores_a_file_without_keys(self, tmp_path: pathlib.Path, text: str) -> None:
        paths = [write(tmp_path / "1.yaml", "a: 1\n"), write(tmp_path / "2.yaml", text)]
        assert read_configuration(paths).settings == {"a": 1}

    @pytest.mark.parametrize("text", ["", "server_name:\n", "server_name: 8448\n", 'server_name: ""\n'])
    def test_names_the_file_without_a_server_name(self, tmp_path: pathlib.Path, text: str) -> None:
        path = write(tmp_path / "homeserver.yaml", text)
        assert f"server_name is not set in {path}" in failure_of(lambda: read_configuration([path]).server_name)


def test_a_replaced_block(tmp_path: pathlib.Path) -> None:
    one = write(tmp_path / "1.yaml", "database: {name: psycopg2, args: {user: a}}\n")
    two = write(tmp_path / "2.yaml", "database: {args: {cp_max: 30}}\n")
    assert read_configuration([one]).replacement("database") == ""
    assert read_configuration([one, two]).replacement("presence") == ""
    assert read_configuration([one, two]).replacement("database") == (
        f"{two} replaces the whole database block of {one}, so that database.name, database.args.user of it have no"
        f" effect. Write the complete block in {two}, or remove database there."
    )


class TestReadIfThere:
    @pytest.fixture
    def default(self, directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
        """The default paths, in a directory of the test."""
        paths = (str(directory / "homeserver.yaml"), str(directory / "conf.d"))
        monkeypatch.setattr(homeserver, "DEFAULT_CONFIG_PATH", paths)
        return paths

    def test_the_default_is_that_of_the_options(self) -> None:
        assert vars(homeserver)["DEFAULT_CONFIG_PATH"] is DEFAULT_CONFIG_PATH
        assert configuration_argument_spec().argument_spec["config_path"]["default"] == list(DEFAULT_CONFIG_PATH)

    def test_reads_the_default(self, default: tuple[str, ...]) -> None:
        write(pathlib.Path(default[0]), "a: 1\n")
        write(pathlib.Path(default[1]) / "b.yaml", "b: 2\n")
        configuration = read_configuration_if_there(list(default))
        assert configuration is not None
        assert configuration.settings == {"a": 1, "b": 2}

    def test_the_default_is_not_there(self, default: tuple[str, ...]) -> None:
        assert read_configuration_if_there(list(default)) is None
        write(pathlib.Path(default[1]) / "b.yaml", "b: 2\n")
        assert read_configuration_if_there(list(default)) is None

    def test_the_default_is_closed(self, default: tuple[str, ...], unprivileged: None) -> None:
        if os.geteuid() == NOBODY:
            os.seteuid(0)
        write(pathlib.Path(default[0]), "a: 1\n")
        pathlib.Path(default[0]).chmod(0o600 if os.geteuid() == 0 else 0o000)
        if os.geteuid() == 0:
            os.seteuid(NOBODY)
        assert read_configuration_if_there(list(default)) is None

    def test_a_part_of_the_default_is_missing(self, default: tuple[str, ...]) -> None:
        write(pathlib.Path(default[0]), "a: 1\n")
        assert read_configuration_if_there(list(default)) is None

    def test_a_default_that_is_not_yaml_is_an_error(self, default: tuple[str, ...]) -> None:
        write(pathlib.Path(default[0]), "a: [1\n")
        assert f"{default[0]} is not valid YAML" in failure_of(lambda: read_configuration_if_there(list(default)))

    @pytest.mark.parametrize("count", [1, 3])
    def test_other_paths_must_be_there(self, default: tuple[str, ...], count: int) -> None:
        paths = [*default, f"{default[1]}2"][:count]
        assert f"{default[0]} does not exist" in failure_of(lambda: read_configuration_if_there(paths))

    def test_without_pyyaml(self, default: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
        path = write(pathlib.Path(default[0]), "a: 1\n")
        pathlib.Path(default[1]).mkdir()
        monkeypatch.setitem(sys.modules, "yaml", None)
        assert read_configuration_if_there(list(default)) is None
        with pytest.raises(MissingLibrary):
            read_configuration_if_there([path])


class TestSecrets:
    def test_stands_in_the_configuration(self, tmp_path: pathlib.Path) -> None:
        path = write(tmp_path / "homeserver.yaml", "one: s3cret\ntwo: '12345'\nnone:\nempty: ''\n")
        configuration = read_configuration([path])
        assert configuration.secret("one") == "s3cret"
        assert configuration.secret("two") == "12345"
        assert configuration.secret("none") is None
        assert configuration.secret("empty") is None
        assert configuration.secret("missing") is None

    def test_stands_in_a_file_of_its_own(self, tmp_path: pathlib.Path) -> None:
        secret = write(tmp_path / "secret", " s3cret\n")
        path = write(tmp_path / "homeserver.yaml", f"one_path: {secret}\n")
        assert read_configuration([path]).secret("one") == "s3cret"

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("123456789", "a number"),
            ("1e5", "text"),
            ("1.5e+5", "a number"),
            ("yes", "a boolean"),
            ("no", "a boolean"),
            ("2026-01-01", "a date"),
            ("[123456789]", "a list"),
            ("{a: 123456789}", "a mapping"),
        ],
    )
    @pytest.mark.parametrize("key", ["registration_shared_secret", "one"])
    def test_says_that_it_is_no_text(self, tmp_path: pathlib.Path, key: str, text: str, what: str) -> None:
        path = write(tmp_path / "homeserver.yaml", f"{key}: {text}\n")
        if what == "text":
            assert read_configuration([path]).secret(key) == text
            return
        message = failure_of(lambda: read_configuration([path]).secret(key))
        assert message.startswith(f"{key} in {path} is {what} for YAML, not text")
        assert message.endswith("Put it in quotes there, exactly as it is meant, and restart Synapse.")
        assert "123456789" not in message

    def test_a_number_in_a_file_of_its_own_is_text(self, tmp_path: pathlib.Path) -> None:
        secret = write(tmp_path / "secret", "123456789\n")
        path = write(tmp_path / "homeserver.yaml", f"one_path: {secret}\none: false\n")
        assert read_configuration([path]).secret("one") == "123456789"

    def test_a_secret_inside_a_block(self, tmp_path: pathlib.Path) -> None:
        path = write(tmp_path / "homeserver.yaml", "password_config: {pepper: 123456789}\n")
        configuration = read_configuration([path])
        configuration.require_text("turn_shared_secret")
        message = failure_of(lambda: configuration.require_text("password_config", "pepper"))
        assert message.startswith(f"password_config.pepper in {path} is a number for YAML")

    def test_says_that_the_file_is_missing(self, tmp_path: pathlib.Path) -> None:
        path = write(tmp_path / "homeserver.yaml", f"one_path: {tmp_path}/missing\n")
        assert f"{tmp_path}/missing does not exist" in failure_of(lambda: read_configuration([path]).secret("one"))

    def test_says_that_both_are_set(self, tmp_path: pathlib.Path) -> None:
        paths = [write(tmp_path / "1.yaml", "one: s3cret\n"), write(tmp_path / "2.yaml", "one_path: /x\n")]
        message = failure_of(lambda: read_configuration(paths).secret("one"))
        assert "one and one_path are both set" in message
        assert "s3cret" not in message


class TestUnreadable:
    def test_missing(self, tmp_path: pathlib.Path) -> None:
        message = failure_of(lambda: read_configuration([str(tmp_path / "missing.yaml")]))
        assert f"{tmp_path}/missing.yaml does not exist on this host" in message

    def test_closed(self, directory: pathlib.Path, unprivileged: None) -> None:
        closed = directory / "homeserver.yaml"
        if os.geteuid() == NOBODY:
            os.seteuid(0)
            write(closed, "a: 1\n")
            closed.chmod(0o600)
            os.seteuid(NOBODY)
        else:
            write(closed, "a: 1\n")
            closed.chmod(0o000)
        message = failure_of(lambda: read_configuration([str(closed)]))
        assert f"{closed} cannot be read by this user" in message
        assert "become" in message

    def test_not_a_file(self) -> None:
        assert "/dev/null/x" in failure_of(lambda: read_configuration(["/dev/null/x"]))

    @pytest.mark.parametrize("setting", ["config_path", "one_path"])
    def test_does_not_wait_for_a_pipe(self, tmp_path: pathlib.Path, setting: str) -> None:
        pipe = str(tmp_path / "pipe")
        os.mkfifo(pipe)
        main = write(tmp_path / "homeserver.yaml", f"one_path: {pipe}\n")
        message = failure_of(lambda: read_configuration([pipe] if setting == "config_path" else [main]).secret("one"))
        assert message == f"{pipe} ({setting}) is not a regular file: set it to a text file."

    def test_a_socket(self, tmp_path: pathlib.Path) -> None:
        path = str(tmp_path / "socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            assert path in failure_of(lambda: read_configuration([path]))

    def test_not_a_path(self, tmp_path: pathlib.Path) -> None:
        main = write(tmp_path / "homeserver.yaml", 'one_path: "c\\0d"\n')
        message = failure_of(lambda: read_configuration(["a\0b"]))
        assert message == "'a\\x00b' (config_path) is not a path: remove the NUL character from it."
        assert "'c\\x00d' (one_path) is not a path" in failure_of(lambda: read_configuration([main]).secret("one"))

    def test_not_utf_8(self, tmp_path: pathlib.Path) -> None:
        path = tmp_path / "homeserver.yaml"
        path.write_bytes(b"password: s3cr\xe9t\n")
        message = failure_of(lambda: read_configuration([str(path)]))
        assert message == (
            f"{path} (config_path) is not text in UTF-8: save it in UTF-8 if it is the right file, and move it away"
            " otherwise."
        )
        assert "s3cr" not in message

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("a: 1\nsecret: [s3cret\n", ", line"),
            ("a: 1\nb: 2\n\tsecret: s3cret\n", ", line 3"),
            ("a: 1\nsecret: s3cret: no\n", ", line 2"),
            ("secret: s3cret\x00\n", ""),
            ("a: 1\n---\nsecret: s3cret\n", ", line 2"),
        ],
        ids=["no end", "tab", "two colons", "no text", "two documents"],
    )
    def test_not_yaml(self, tmp_path: pathlib.Path, text: str, line: str) -> None:
        path = write(tmp_path / "homeserver.yaml", text)
        message = failure_of(lambda: read_configuration([path]))
        assert f"{path} is not valid YAML{line}" in message
        assert "s3cret" not in message

    @pytest.mark.parametrize(
        "value",
        [
            "2001-13-45",
            "0b_",
            "0x_",
            '!!int "abc"',
            '!!int ""',
            '!!float "abc"',
            '!!bool "abc"',
            '!!timestamp "abc"',
            "!!timestamp {=: 3}",
            "1:" + ":".join(["59"] * 400) + ".5",
        ],
    )
    def test_not_a_value_of_its_type(self, tmp_path: pathlib.Path, value: str) -> None:
        path = write(tmp_path / "homeserver.yaml", f"a: 1\nb: {value}\n")
        message = failure_of(lambda: read_configuration([path]))
        assert message == (
            f"{path} is not valid YAML: a value in it has the form of a number, a date or another type, but is not"
            " valid. Put it in quotes if it is text, because Synapse cannot start with it."
        )

    def test_a_number_of_thousands_of_digits(self, tmp_path: pathlib.Path) -> None:
        path = write(tmp_path / "homeserver.yaml", f"a: {'9' * 5000}\n")
        # Pythons before 3.10.7 read it.
        if hasattr(sys, "get_int_max_str_digits"):
            assert f"{path} is not valid YAML: a value in it" in failure_of(lambda: read_configuration([path]))
        else:
            assert read_configuration([path]).settings["a"] == 10**5000 - 1

    @pytest.mark.parametrize(
        "text",
        [
            "x: &a [*a]",
            "x: &a {b: *a}",
            "x: &a [1, {b: [*a, *a]}]",
            "x: &a !!omap [k: *a]",
            "&a {x: *a}",
            "x: " + "[" * 300 + "]" * 300,
            "x: " + "[" * 5000 + "]" * 5000,
        ],
        ids=["list", "mapping", "deep", "omap", "whole", "nested", "nested without measure"],
    )
    def test_nested_too_deeply(self, tmp_path: pathlib.Path, text: str) -> None:
        path = write(tmp_path / "homeserver.yaml", text)
        message = failure_of(lambda: read_configuration([path]))
        assert message.startswith(path)
        assert "nested more than 100 levels deep, or contains itself" in message or "is not valid YAML" in message

    @pytest.mark.parametrize(
        ("first", "next_one"),
        [("[x, x]", "[{}]"), ("{x: 1}", "[{}]"), ("{x: 1, y: 2}", "{{<<: [{}]}}"), ("[x]", "{{a: [{}]}}")],
        ids=["lists", "mappings", "merges", "mappings of lists"],
    )
    def test_aliases_that_stand_for_billions_of_values(self, tmp_path: pathlib.Path, first: str, next_one: str) -> None:
        lines = [f"a0: &a0 {first}"]
        for number in range(1, 30):
            lines.append(f"a{number}: &a{number} " + next_one.format(f"*a{number - 1}, *a{number - 1}"))
        path = write(tmp_path / "homeserver.yaml", "\n".join(lines))
        if "<<" in next_one:
            # PyYAML 6.0.3 and later copies each key of a merge once, so that there are few values.
            with contextlib.suppress(ConfigurationError):
                assert len(read_configuration([path]).settings["a29"]) == 2
        else:
            message = failure_of(lambda: read_configuration([path]))
            assert message.startswith(f"{path} has more than 1000000 values if its aliases (*) are followed")

    @pytest.mark.parametrize("repeated", ['"{long}"', "{{? {long} : 1}}"], ids=["value", "key"])
    def test_aliases_of_a_long_text(self, tmp_path: pathlib.Path, repeated: str) -> None:
        text = f"a: &a {repeated.format(long='x' * 1000)}\nb: [{', '.join(['*a'] * 20000)}]\n"
        path = write(tmp_path / "homeserver.yaml", text)
        assert "has more than 1000000 values" in failure_of(lambda: read_configuration([path]))

    def test_merges_that_copy_without_measure(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings_text, "_MOST_VALUES", 5000)
        keys = ", ".join(f"k{number}: 1" for number in range(100))
        text = f"a: &a {{{keys}}}\nb: [{', '.join(['{<<: *a}'] * 100)}]\n"
        path = write(tmp_path / "homeserver.yaml", text)
        # The same text is counted after it was read as well: nothing must be read.
        monkeypatch.setattr(settings_text._Measure, "require_moderate", lambda *_: None)
        assert "has more than 5000 values" in failure_of(lambda: read_configuration([path]))

    def test_an_alias_that_is_deep_where_it_is_used(self, tmp_path: pathlib.Path) -> None:
        path = write(tmp_path / "homeserver.yaml", f"x: &a {'[' * 60}{']' * 60}\ny: {'[' * 60}*a{']' * 60}\n")
        assert "nested more than 100 levels deep" in failure_of(lambda: read_configuration([path]))

    def test_values_that_contain_themselves_twice(self, tmp_path: pathlib.Path) -> None:
        path = write(tmp_path / "homeserver.yaml", "x: &a [*a, *a, {b: *a}, *a]\n")
        assert "contains itself" in failure_of(lambda: read_configuration([path]))

    @pytest.mark.parametrize("setting", ["config_path", "one_path"])
    def test_too_large(self, tmp_path: pathlib.Path, setting: str) -> None:
        large = tmp_path / "large"
        with large.open("wb") as file:
            file.truncate(16 * 1024 * 1024 + 1)
        main = write(tmp_path / "homeserver.yaml", f"one_path: {large}\n")
        paths = [str(large)] if setting == "config_path" else [main]
        message = failure_of(lambda: read_configuration(paths).secret("one"))
        assert message == (
            f"{large} ({setting}) is larger than 16 MiB: check whether it is the right file, and move it away"
            " otherwise."
        )

    def test_grows_too_large(self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(homeserver, "_LARGEST", 3 * 1024 * 1024)
        path = write(tmp_path / "homeserver.yaml", "#" * (3 * 1024 * 1024 + 1))
        small = os.stat(__file__)
        monkeypatch.setattr(os, "fstat", lambda _descriptor: small)
        assert "is larger than 3 MiB" in failure_of(lambda: read_configuration([path]))

    def test_reads_other_aliases(self, tmp_path: pathlib.Path) -> None:
        path = write(tmp_path / "homeserver.yaml", "x: &a [1]\ny: [*a, *a]\nz: " + "[" * 90 + "]" * 90 + "\n")
        assert read_configuration([path]).settings["y"] == [[1], [1]]


@pytest.mark.parametrize(
    ("shared", "own", "config_path", "expected"),
    [
        ({}, _WORKER, [_MAIN, "/etc/x/conf.d", _OWN], True),
        # Written in another way.
        ({}, _WORKER, [_MAIN, "/etc/x/conf.d", "/etc/x/conf.d/../workers//worker1.yaml"], True),
        # The last file that sets it counts.
        (_WORKER, _WORKER, [_MAIN, "/etc/x/conf.d", _OWN], True),
        ({}, _WORKER, [_MAIN, "/etc/x/conf.d", "/etc/x/workers"], False),
        (_WORKER, {}, [_MAIN, "/etc/x/conf.d", _OWN], False),
        ({}, {}, [_MAIN, "/etc/x/conf.d", _OWN], False),
        ({}, {"worker_app": None}, [_MAIN, _SHARED, _OWN], False),
        (_WORKER, {"worker_app": "synapse.app.homeserver"}, [_MAIN, _SHARED, _OWN], False),
    ],
)
def test_whether_it_is_that_of_a_worker(
    shared: dict[str, t.Any], own: dict[str, t.Any], config_path: list[str], expected: bool
) -> None:
    files = ((_MAIN, {"server_name": "x.test"}), (_SHARED, shared), (_OWN, own))
    configuration = Configuration(tuple(ConfigurationFile(path, settings) for path, settings in files))
    assert configuration.is_of_worker(config_path) is expected


@pytest.mark.parametrize(("value", "found"), [({"pepper": "x"}, {"pepper": "x"}), (None, {}), ({}, {}), (False, {})])
def test_a_block_is_a_mapping(value: object, found: object) -> None:
    configuration = Configuration((ConfigurationFile("/etc/a.yaml", {"password_config": value}),))
    assert configuration.block("password_config") == found
    assert configuration.block("user_types") == {}


@pytest.mark.parametrize("value", [True, "text", 5, [{"pepper": "x"}]])
def test_another_value_is_no_block(value: object) -> None:
    configuration = Configuration((ConfigurationFile("/etc/a.yaml", {"password_config": value}),))
    with pytest.raises(ConfigurationError, match="password_config in /etc/a.yaml is not a mapping"):
        configuration.block("password_config")
