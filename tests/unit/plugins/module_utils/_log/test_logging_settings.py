# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.logging_settings import LoggingSettings

SETTINGS: dict[str, t.Any] = {
    "a": {"b": [{"c": "deep"}, "second"], "with space": 1},
    "one": "cfg://two",
    "two": "cfg://a.b[1]",
    "loop": "cfg://loop",
    "ext": "ext://sys.stdout",
}
READ = LoggingSettings(SETTINGS, "/etc/log.yaml")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("plain", "plain"),
        (3, 3),
        ("cfg://a.b[0].c", "deep"),
        ("cfg://a[with space]", 1),
        ("cfg://one", "second"),
        ("cfg://ext", "ext://sys.stdout"),
        ("ext://sys.stderr", "ext://sys.stderr"),
        ("http://a.b", "http://a.b"),
    ],
)
def test_a_value_and_its_references(value: t.Any, found: t.Any) -> None:
    assert READ.value({"key": value}, "key") == found


def test_a_value_that_is_not_set() -> None:
    assert READ.value({}, "key") is None
    assert READ.value({}, "key", "cfg://two") == "second"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("cfg://lost", "refers to a value that does not exist"),
        ("cfg://a.b[2]", "refers to a value that does not exist"),
        ("cfg://a.b[-1]", "refers to a value that does not exist"),
        ("cfg://a.b[99999999999999999999]", "refers to a value that does not exist"),
        ("cfg://a.b.c", "refers to a value that does not exist"),
        ("cfg://two.x", "refers to a value that does not exist"),
        ("cfg://a]", "is not a valid reference"),
        ("cfg://a..b", "is not a valid reference"),
    ],
)
def test_a_reference_to_nothing(value: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        READ.value({"key": value}, "key")
    assert str(caught.value) == (
        f"{value} in the log configuration /etc/log.yaml {reason}: correct it, because Synapse cannot start with it."
    )


def test_a_reference_to_itself() -> None:
    with pytest.raises(ConfigurationError, match="cfg://loop .* leads to itself"):
        READ.value(SETTINGS, "loop")


def test_mappings_by_name() -> None:
    read = LoggingSettings({"handlers": {"a": {"b": 1}}}, "/x")
    assert read.mappings("handlers") == {"a": {"b": 1}}
    assert read.mappings("loggers") == {}


@pytest.mark.parametrize(
    ("handlers", "message"),
    [
        (None, "handlers in the log configuration /x is not a mapping"),
        ([1], "handlers in the log configuration /x is not a mapping"),
        ({"a": None}, "handlers.a in the log configuration /x is not a mapping"),
        ({1: {}}, "handlers.1 in the log configuration /x has a name that is not text: put the name in quotes"),
    ],
)
def test_mappings_of_the_wrong_type(handlers: t.Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        LoggingSettings({"handlers": handlers}, "/x").mappings("handlers")
