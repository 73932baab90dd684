# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter as Ansible finds it, and its documentation compared with what it returns."""

from __future__ import annotations

import typing as t

import pytest
import yaml

pytest.importorskip("ansible.errors", reason="Filters run on the controller only, with the whole of ansible-core.")

from ansible.errors import AnsibleFilterError

from ansible_collections.matrix_ops.synapse.plugins.filter import processed_request as plugin

LINE = (
    "2026-11-23 04:14:49,786 - synapse.access.http.8008 - 643 - INFO - POST-112 - 127.0.0.1 - 8008 -"
    " {@admin:example.org|@alice:example.org} Processed request: 0.214sec/0.000sec ru=(0.207sec, 0.000sec)"
    ' db=(0.001sec/0.001sec/7) 201B 200 "POST /_matrix/client/v3/login HTTP/1.1" "python-requests/2.34.2" [0 dbevts]'
)


@pytest.fixture
def read() -> t.Callable[[object], dict[str, t.Any]]:
    """The filter, by its name."""
    return plugin.FilterModule().filters()["processed_request"]


def test_a_line(read: t.Callable[[object], dict[str, t.Any]]) -> None:
    found = read(LINE)
    assert found["request"] == "POST-112"
    assert found["authenticated_entity"] == "@admin:example.org"


def test_each_value_is_documented_with_its_type(read: t.Callable[[object], dict[str, t.Any]]) -> None:
    documented = yaml.safe_load(plugin.RETURN)["_value"]["contains"]
    assert {name: type(value).__name__ for name, value in read(LINE).items()} == {
        name: value["type"] for name, value in documented.items()
    }


def test_samples_are_of_their_type() -> None:
    for name, value in yaml.safe_load(plugin.RETURN)["_value"]["contains"].items():
        assert type(value["sample"]).__name__ == value["type"], name


@pytest.mark.parametrize("value", [[LINE], LINE.encode(), 7, None, {"line": LINE}])
def test_a_value_that_is_not_text(read: t.Callable[[object], dict[str, t.Any]], value: object) -> None:
    with pytest.raises(AnsibleFilterError, match=r"not text\. For a list of lines use map\("):
        read(value)


def test_a_line_about_something_else(read: t.Callable[[object], dict[str, t.Any]]) -> None:
    with pytest.raises(AnsibleFilterError, match="^This is not a line of Synapse's log .*: hello$"):
        read("hello")
