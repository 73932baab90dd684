# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The formats of Python's logging: what a formatter writes around a message."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.format_pieces import style_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.logging_settings import LoggingSettings

MESSAGE_ALONE = "%(message)s"
# The formatters that write an object for each record have no format.
JSON = "JSON"
# What Synapse 1.163 uses without a log configuration, and suggests in the one that it generates.
SYNAPSE_FORMAT = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
_DEFAULTS = {"%": MESSAGE_ALONE, "{": "{message}", "$": "${message}"}


class Format(t.NamedTuple):
    """The format of a handler. `style`: one of %, { and $. `text` is empty if only other code knows it.

    `is_json`: each line is one object in JSON, and `text` does not count. `datefmt`: that of strftime, or None.
    """

    text: str = MESSAGE_ALONE
    style: str = "%"
    datefmt: str | None = None
    is_json: bool = False


def given_format(text: str | None, datefmt: str | None = None) -> Format | None:
    """Return the format that a user gives, in any of Python's styles; None if none is given.

    Raises ConfigurationError if the text has no style, because it does not contain the message.
    """
    if text is None:
        return None
    return Format("", is_json=True) if text == JSON else Format(text, style_of(text), datefmt)


def read_format(settings: Settings, where: str, read: LoggingSettings) -> Format:
    """Return the format of a formatter, whose settings are the value of the key `where`.

    Raises ConfigurationError for wrong types.
    """
    factory = read.factory(settings)
    if factory is not None and not isinstance(factory, str):
        raise read.wrong(where, "has a class that is not text")
    style = read.value(settings, "style", "%")
    if not isinstance(style, str) or style not in _DEFAULTS:
        raise read.wrong(f"{where}.style", "is not one of %, { and $")
    text, datefmt = read.value(settings, "format", read.value(settings, "fmt")), read.value(settings, "datefmt")
    for key, value in (("format", text), ("datefmt", datefmt)):
        if value is not None and not isinstance(value, str):
            raise read.wrong(f"{where}.{key}", "is not text")
    if factory is not None and "json" in factory.lower():
        return Format("", is_json=True)
    if "()" in settings and text is None:
        return Format("", style, datefmt)
    return Format(_DEFAULTS[style] if text is None else text, style, datefmt)
