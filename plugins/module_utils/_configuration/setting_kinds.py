# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Kinds of settings: which values Synapse 1.163 accepts, and which it takes for something else.

Relies on synapse/config of Synapse 1.163, such as parse_size and parse_duration in _base.py. Each kind was compared
with Synapse's own parser.
"""

from __future__ import annotations

import datetime
import decimal
import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.secret_text import described
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import HIDDEN, masked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.size import parse_size

_LONGEST = 40
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_LARGEST = 1e15
_PORTS = range(65536)
_HIGHEST_MODE = 0o777
_DURATION_SUFFIXES = "smhdwy"
# What strtobool of Synapse accepts (synapse/util/stringutils.py).
YES, NO = ("y", "yes", "t", "true", "on", "1"), ("n", "no", "f", "false", "off", "0")
_TRUE_TEXTS = ("true", "yes", "on", "y", "t", "1", "enable", "enabled")
_FALSE_TEXTS = ("false", "no", "off", "n", "f", "0", "none", "null", "disable", "disabled")


class Judgement(t.NamedTuple):
    """What is wrong with a value. `is_refused`: Synapse's parser refuses it; otherwise it is misread.

    `says`: what follows "<setting> in <file> is <value>", up to the end of the sentence. `template`: the filter of
    Ansible with which an expression gives a value of the right type, or "". `ends_start`: the parser accepts it, but
    Synapse ends when it starts.
    """

    is_refused: bool
    says: str
    template: str = ""
    ends_start: bool = False


class Kind(t.NamedTuple):
    """A kind of setting. `judge` returns what is wrong with a value, or None.

    `is_media`: Synapse only reads the setting in a process that has the media repository.
    """

    judge: t.Callable[[t.Any], Judgement | None]
    is_media: bool = False


def shown(value: t.Any) -> str:
    """Return a value as a message shows it: the text "lots", for example. It must not be the value of a secret.

    A URL with a password is hidden.
    """
    if masked({"": value})[""] == HIDDEN:
        return HIDDEN
    if value is None or value == "":
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "the text " + json.dumps(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}...")
    if isinstance(value, (int, float)):
        return f"the number {value}" if len(str(value)) <= _LONGEST else "a number"
    if isinstance(value, datetime.date):
        return f"the date {value}"
    return described(value)


def refusing(
    fix: str,
    accepts: t.Callable[[t.Any], bool],
    skips: t.Callable[[t.Any], bool] = lambda _value: False,
    template: str = "",
) -> Kind:
    """Return the kind of a setting that is refused unless `accepts`. `skips`: values that Synapse takes as not set.

    `fix`: what to write instead. `template`: see Judgement.
    """

    def judge(value: t.Any) -> Judgement | None:
        if skips(value) or accepts(value):
            return None
        remove = ", or remove it" if value is None else ""
        number = _without_exponent(value)
        right = fix if number is None or not accepts(number) else _digits(number)
        says = f", and Synapse does not start with it: write {right}{remove}."
        return Judgement(True, says, template if isinstance(value, str) else "")

    return Kind(judge)


def in_media(kind: Kind) -> Kind:
    """Return the kind for a setting that only a process with the media repository reads."""
    return kind._replace(is_media=True)


def is_none(value: t.Any) -> bool:
    """Return whether a setting is left empty."""
    return value is None


def is_false(value: t.Any) -> bool:
    """Return whether Python takes the value for false: nothing, false, 0, and empty texts, lists and mappings."""
    return not value


def is_size(value: t.Any) -> bool:
    """Return whether Synapse accepts a size."""
    try:
        parse_size(value)
    except ValueError:
        return False
    return isinstance(value, (int, str))


def milliseconds(value: t.Any) -> int:
    """Return a duration in milliseconds, as Synapse reads it. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise ValueError(described(value))
    if isinstance(value, int):
        return value
    factors = dict(zip(_DURATION_SUFFIXES, (1000, 60_000, 3_600_000, 86_400_000, 604_800_000, 31_536_000_000)))
    if value[-1] in factors:
        return int(value[:-1]) * factors[value[-1]]
    if not value[-1].isdigit():
        raise ValueError(value)
    return int(value)


def is_duration(value: t.Any) -> bool:
    """Return whether Synapse accepts a duration."""
    try:
        milliseconds(value)
    except ValueError:
        return False
    return True


def is_number(value: t.Any) -> bool:
    """Return whether it is a number, not a boolean or text."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: t.Any) -> bool:
    """Return whether int of Python accepts it, as for burst_count."""
    try:
        int(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _without_exponent(value: t.Any) -> int | float | None:
    """Return the number in a text such as 1e-3 or 5e7, which only is a number for YAML as 1.0e-3 and 5.0e+7."""
    if not isinstance(value, str) or not _EXPONENT.fullmatch(value):
        return None
    number = float(value)
    if abs(number) >= _LARGEST:
        return None
    return int(number) if number.is_integer() else number


def _digits(number: int | float) -> str:
    return format(decimal.Decimal(repr(number)), "f")


def _is_texts(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _switch(value: t.Any, *, other: t.Collection[str] = (), is_on: bool = False) -> Judgement | None:
    """Judge a setting of which Synapse only asks whether it counts as true."""
    if value is None and is_on:
        return Judgement(
            False, ", which Synapse takes for false, although the default is true: write true or false, or remove it."
        )
    if isinstance(value, str):
        if value == "" or value in other or value.strip().lower() in _TRUE_TEXTS:
            return None
        is_meant = value.strip().lower() in _FALSE_TEXTS
        fix = "write false without quotes" if is_meant else "write true or false without quotes"
        return Judgement(False, f", which Synapse takes for true: {fix}.", "bool")
    if isinstance(value, (list, dict)) and value:
        return Judgement(False, ", which Synapse takes for true: write true or false.")
    return None


def _names(value: t.Any, *, accepts_none: bool) -> Judgement | None:
    if value is None and accepts_none:
        return None
    if isinstance(value, str):
        says = ", and Synapse takes each of its characters for an entry: write a list."
        return Judgement(False, says) if value else None
    if not isinstance(value, (list, dict)):
        return Judgement(True, ", and Synapse does not start with it: write a list, or remove it.")
    return None


def _used_number(value: t.Any) -> Judgement | None:
    if is_number(value):
        return None
    number = _without_exponent(value)
    right = "a number, without quotes," if number is None else _digits(number)
    return Judgement(
        False,
        f", and Synapse starts with it, but fails when it uses it: write {right} or remove it.",
        "float" if isinstance(value, str) else "",
    )


def _file_limit(value: t.Any) -> Judgement | None:
    """Judge the limit for open files, which only the kernel's interface checks (synapse/util/rlimit.py, 1.163)."""
    # Whatever counts as false stands for the hard limit.
    if isinstance(value, int) or not value:
        return None
    return Judgement(
        False,
        ", and Synapse ends right after its start: write a whole number, without quotes, or remove it.",
        "int" if isinstance(value, str) else "",
        ends_start=True,
    )


def _port(value: t.Any) -> Judgement | None:
    """Judge the port of a listener. 0 stands for any free port."""
    if not isinstance(value, int):
        says = ", and Synapse does not start with it: write a port as a whole number, without quotes."
        return Judgement(True, says, "int" if isinstance(value, str) else "")
    if isinstance(value, bool):
        return Judgement(False, f", which Synapse takes for the port {int(value)}: write a port as a whole number.")
    if value not in _PORTS:
        return Judgement(False, ", and Synapse ends when it starts: write a port from 1 to 65535.", ends_start=True)
    return None


def _mode(value: t.Any) -> Judgement | None:
    """Judge the mode of a Unix socket. Synapse ends when it starts if that is not a whole number."""
    right = "write its octal digits with a 0 before them and without quotes, such as 0660."
    if not isinstance(value, int):
        return Judgement(False, f", and Synapse ends when it starts: {right}", ends_start=True)
    if isinstance(value, bool) or not 0 <= value <= _HIGHEST_MODE:
        return Judgement(False, f", which is {value & 0o7777:04o} in octal digits: {right}")
    return None


def one_of(*choices: t.Any, skips: t.Callable[[t.Any], bool] = lambda _value: False) -> Kind:
    """Return the kind of a setting with a few possible values."""
    named = ", ".join(str(each) for each in choices[:-1])
    # In Python, 1, 1.0 and true are the same value.
    return refusing(f"{named} or {choices[-1]}", lambda value: str(value) in [str(each) for each in choices], skips)


_SIZE = "a number of bytes, or a number with K, M, G or T directly behind it, such as 50M"
_COUNT = "a number, or a number with K or M directly behind it, such as 10K"
_TIME = "a number of milliseconds, or a number with s, m, h, d, w or y directly behind it, such as 30m"
SIZE = refusing(_SIZE, is_size)
SIZE_OR_NONE = refusing(_SIZE, is_size, is_none)
COUNT_SIZE = refusing(_COUNT, is_size)
DURATION = refusing(_TIME, is_duration)
DURATION_OR_NONE = refusing(_TIME, is_duration, is_none)
DURATION_OR_FALSE = refusing(_TIME, is_duration, is_false)
NUMBER = refusing("a number, without quotes", is_number, template="float")
# Synapse adds int() around it, and rounds what has a fraction.
BURST = refusing("a whole number", _is_whole)
USED_NUMBER = Kind(_used_number)
FILE_LIMIT = Kind(_file_limit)
PORT = Kind(_port)
# Whatever counts as false stands for no port.
PORT_OR_FALSE = Kind(lambda value: _port(value) if value else None)
MODE = Kind(_mode)
SWITCH = Kind(_switch)
# The default of these is true.
SWITCH_ON = Kind(lambda value: _switch(value, is_on=True))
PRESENCE = Kind(lambda value: _switch(value, other=("untracked",)))
PASSWORDS = Kind(lambda value: _switch(value, other=("only_for_reauth",), is_on=True))
TRUTH = refusing("true or false", lambda value: str(value).lower() in (*YES, *NO))
BOOLEAN = refusing("true or false, without quotes", lambda value: isinstance(value, bool), template="bool")
TEXT = refusing("text", lambda value: isinstance(value, str))
TEXT_OR_NONE = refusing("text, in quotes", lambda value: isinstance(value, str), is_none)
PATH = refusing("a path", lambda value: isinstance(value, str) and value != "")
URL_OR_FALSE = refusing(
    "a URL with https or http",
    lambda value: isinstance(value, str) and value.startswith(("https://", "http://")),
    is_false,
)
PATH_OR_FALSE = refusing("a path", lambda value: isinstance(value, str), is_false)
TEXTS = refusing("a list of texts", _is_texts)
TEXTS_OR_NONE = refusing("a list of texts", _is_texts, is_none)
LIST = refusing("a list", lambda value: isinstance(value, list))
LIST_OR_NONE = refusing("a list", lambda value: isinstance(value, list), is_none)
LIST_OR_FALSE = refusing("a list", lambda value: isinstance(value, list), is_false)
# Synapse takes an empty text or mapping for an empty list.
ENTRIES = refusing("a list", lambda value: isinstance(value, list), lambda value: value in ("", {}))
ENTRIES_OR_NONE = refusing("a list", lambda value: isinstance(value, list), lambda value: value in (None, "", {}))
THREE_OR_NONE = refusing("a list of three", lambda value: isinstance(value, list) and len(value) == 3, is_none)
WORKERS = refusing("a list of names of workers", lambda value: isinstance(value, (list, dict, str)), is_none)
ROOM_VERSION = refusing(
    "a room version in quotes, such as '10'",
    lambda value: isinstance(value, (str, int)) and not isinstance(value, bool) and bool(value),
)
BLOCK = refusing("a mapping", lambda value: isinstance(value, dict))
BLOCK_OR_NONE = refusing("a mapping", lambda value: isinstance(value, dict), is_none)
BLOCK_OR_FALSE = refusing("a mapping", lambda value: isinstance(value, dict), is_false)
IP_RANGES = refusing("a list of ranges of IP addresses", lambda value: isinstance(value, (list, dict)), is_false)
NAMES = Kind(lambda value: _names(value, accepts_none=False))
NAMES_OR_NONE = Kind(lambda value: _names(value, accepts_none=True))
PEPPER = Kind(
    lambda value: (
        Judgement(
            False,
            ", and Synapse answers each login with a password with an internal server error (500): write the pepper in"
            " quotes, or remove it.",
        )
        if value is None
        else None
    )
)
