# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format, read_format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.logging_settings import LoggingSettings

READ = LoggingSettings({"theirs": "%(message)s!"}, "/etc/log.yaml")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, Format("%(message)s")),
        ({"datefmt": "%H:%M"}, Format("%(message)s", "%", "%H:%M")),
        ({"format": "%(name)s %(message)s"}, Format("%(name)s %(message)s")),
        ({"format": "cfg://theirs"}, Format("%(message)s!")),
        ({"format": None, "style": "{"}, Format("{message}", "{")),
        ({"style": "$"}, Format("${message}", "$")),
        ({"class": "synapse.logging.formatter.LogFormatter", "format": "x"}, Format("x")),
        ({"class": "synapse.logging.JsonFormatter"}, Format("", is_json=True)),
        ({"class": "synapse.logging.TerseJsonFormatter", "format": "x"}, Format("", is_json=True)),
        ({"class": "synapse.logging.GcpJsonFormatter"}, Format("", is_json=True)),
        ({"()": "pythonjsonlogger.jsonlogger.JsonFormatter"}, Format("", is_json=True)),
        ({"()": "their.Formatter"}, Format("")),
        ({"()": "their.Formatter", "fmt": "x"}, Format("x")),
    ],
)
def test_the_format_of_a_formatter(settings: dict[str, t.Any], found: Format) -> None:
    assert read_format(settings, "formatters.a", READ) == found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": 3}, "formatters.a.format in .* is not text"),
        ({"datefmt": ["%H"]}, "formatters.a.datefmt in .* is not text"),
        ({"style": "?"}, "formatters.a.style in .* is not one of"),
        ({"style": ["%"]}, "formatters.a.style in .* is not one of"),
        ({"class": 3}, "formatters.a in .* has a class that is not text"),
    ],
)
def test_a_formatter_with_wrong_types(settings: dict[str, t.Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        read_format(settings, "formatters.a", READ)
