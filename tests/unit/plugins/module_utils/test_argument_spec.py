# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups of options are put together without losing one, or a constraint between them."""

from __future__ import annotations

import importlib
import pkgutil
import re
import typing as t

import pytest
from ansible.module_utils.common.parameters import set_fallbacks

from ansible_collections.matrix_ops.synapse.plugins import modules
from ansible_collections.matrix_ops.synapse.plugins.module_utils import _module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import (
    ArgumentSpec,
    configuration_argument_spec,
    connection_argument_spec,
    use_socket_of_environment,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

MODULES = [found.name for found in pkgutil.iter_modules(modules.__path__)]
SECRET = re.compile(r"(.*_)?(password|secret|secrets|token)")


def test_merging_keeps_the_options_and_constraints_of_both() -> None:
    one = ArgumentSpec(
        {"a": {"type": "str"}},
        mutually_exclusive=[("a", "b")],
        required_together=[("a", "c")],
        required_one_of=[("a", "d")],
        required_if=[("a", "x", ["b"])],
        required_by={"a": ["b"]},
    )
    other = ArgumentSpec({"b": {"type": "int"}}, mutually_exclusive=[("b", "c")], required_by={"b": ["c"]})
    assert one.merge(other).to_kwargs() == {
        "argument_spec": {"a": {"type": "str"}, "b": {"type": "int"}},
        "mutually_exclusive": [("a", "b"), ("b", "c")],
        "required_together": [("a", "c")],
        "required_one_of": [("a", "d")],
        "required_if": [("a", "x", ["b"])],
        "required_by": {"a": ["b"], "b": ["c"]},
    }
    assert one.argument_spec == {"a": {"type": "str"}}
    assert one.mutually_exclusive == [("a", "b")]


def test_an_option_is_defined_once() -> None:
    with pytest.raises(ValueError, match="a"):
        ArgumentSpec({"a": {}}).merge(ArgumentSpec({"a": {}}))


_PATHS = ArgumentSpec(
    {
        "src": {"type": "path", "required": True},
        "python": {"type": "path", "default": "/usr/bin/python3"},
        "directory": {"type": "path"},
        "paths": {"type": "list", "elements": "path", "default": []},
        "more": {"type": "list", "elements": "path"},
        "name": {"type": "str", "default": ""},
    }
)
_GIVEN: dict[str, t.Any] = {
    "src": "/a",
    "python": "/p",
    "directory": None,
    "paths": [],
    "more": None,
    "name": "x/../y/",
    "other": "z/",
}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {}),
        ({"directory": ""}, {"directory": None}),
        ({"directory": "/"}, {"directory": "/"}),
        ({"src": "//a/./b//c/"}, {"src": "/a/b/c"}),
        ({"paths": ["/etc/conf.d/", "/etc/a b…"]}, {"paths": ["/etc/conf.d", "/etc/a b…"]}),
    ],
)
def test_paths_have_one_form(given: dict[str, t.Any], found: dict[str, t.Any]) -> None:
    assert _PATHS.with_plain_paths({**_GIVEN, **given}) == {**_GIVEN, **found}


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("src", "", "src is empty. Set an absolute path without .. and control characters."),
        ("src", "backup.tar", "src is 'backup.tar'. Set an absolute path without .. and control characters."),
        ("python", "", "python is empty."),
        ("python", "python3", "python is 'python3'."),
        ("directory", "srv/synapse", "directory is 'srv/synapse'."),
        # Ansible puts the home directory in the place of ~, if there is such a user.
        ("directory", "~no-such-user/x", "directory is '~no-such-user/x'."),
        ("directory", "/srv/../etc", "directory is '/srv/../etc'."),
        ("directory", "/srv/a\0b", r"directory is '/srv/a\x00b'."),
        ("directory", "/srv/a\nb", r"directory is '/srv/a\nb'."),
        ("paths", ["/a", ""], "paths contains an empty path."),
        ("more", ["/a", "b"], "more contains 'b'."),
    ],
)
def test_paths_that_may_lead_elsewhere(name: str, path: t.Any, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        _PATHS.with_plain_paths({**_GIVEN, name: path})
    assert raised.value.message.startswith(message)


def test_the_token_is_secret_and_certificates_are_verified() -> None:
    options = connection_argument_spec().argument_spec
    assert options["access_token"]["no_log"] is True
    assert options["access_token_path"]["no_log"] is False
    assert options["validate_certs"]["default"] is True
    assert options["base_url"]["default"] == "http://127.0.0.1:8008"


def test_the_configuration_is_that_of_the_debian_package_by_default() -> None:
    assert configuration_argument_spec().argument_spec["config_path"]["default"] == [
        "/etc/matrix-synapse/homeserver.yaml",
        "/etc/matrix-synapse/conf.d",
    ]


def test_where_and_as_whom_may_be_said_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_BASE_URL", "http://x.test")
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "abc")
    parameters: dict[str, t.Any] = {}
    hidden = set_fallbacks(connection_argument_spec().argument_spec, parameters)
    assert parameters == {"base_url": "http://x.test", "access_token": "abc"}
    assert hidden == {"abc"}


@pytest.mark.parametrize(
    ("base_url", "unix_socket", "used"),
    [
        ("http://127.0.0.1:8008", None, "/run/x.sock"),
        ("http://x.test", None, "/run/x.sock"),
        # Then the task is about another server than the environment.
        ("http://y.test", None, None),
        ("https://x.test", None, None),
        ("http://127.0.0.1:8008", "", ""),
        ("http://x.test", "/run/y.sock", "/run/y.sock"),
        ("http://y.test", "/run/x.sock", "/run/x.sock"),
    ],
)
def test_a_socket_of_the_environment_is_that_of_its_server(
    monkeypatch: pytest.MonkeyPatch, base_url: str, unix_socket: str | None, used: str | None
) -> None:
    monkeypatch.setenv("SYNAPSE_BASE_URL", "http://x.test")
    monkeypatch.setenv("SYNAPSE_UNIX_SOCKET", "$SOCKETS/x.sock")
    monkeypatch.setenv("SOCKETS", "/run")
    parameters = {"base_url": base_url, "unix_socket": unix_socket}
    use_socket_of_environment(parameters)
    assert parameters == {"base_url": base_url, "unix_socket": used}


def test_a_module_without_a_connection_has_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_UNIX_SOCKET", "/run/x.sock")
    parameters: dict[str, t.Any] = {}
    use_socket_of_environment(parameters)
    assert parameters == {}


def shown_secrets(options: dict[str, t.Any]) -> t.Iterator[str]:
    for name, option in options.items():
        # What is one of a few known words is no secret.
        if SECRET.fullmatch(name) and not option.get("choices") and option.get("no_log") is not True:
            yield name
        yield from shown_secrets(option.get("options") or {})


def options_of(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    class Started(Exception):
        pass

    def start(**given: t.Any) -> t.NoReturn:
        raise Started(given)

    monkeypatch.setattr(_module, "AnsibleModule", start)
    with pytest.raises(Started) as started:
        importlib.import_module(f"{modules.__name__}.{name}").main()
    return t.cast("dict[str, t.Any]", started.value.args[0]["argument_spec"])


@pytest.mark.parametrize("name", MODULES)
def test_no_module_lets_ansible_show_a_secret_that_it_is_given(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(shown_secrets(options_of(name, monkeypatch))) == []


def test_a_token_in_the_environment_is_never_reused_or_logged_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "fallback" not in options_of("synapse_access_token", monkeypatch)["access_token"]
    assert "fallback" in options_of("synapse_room", monkeypatch)["access_token"]
