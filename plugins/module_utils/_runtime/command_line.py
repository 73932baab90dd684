# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The command lines that start a server process of Synapse.

Relies on the options of Synapse 1.163 (config/_base.py, and `add_arguments` of database.py, logger.py, registration.py
and server.py in config), which it reads with argparse, and on the options of CPython, of ld.so(8) and of musl's loader.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import typing as t

MAIN_APP = "synapse.app.homeserver"

# argparse needs time that grows with the square of the number of words, and any user can start a process with millions.
_MOST_WORDS = 2000
# The scripts that Synapse's package installs, and what they run.
_SCRIPTS = {"synapse_homeserver": MAIN_APP, "synapse_worker": "synapse.app.generic_worker"}
# Nixpkgs moves NAME to .NAME-wrapped, once per wrapper, and adds underscores while a file with that name exists.
_WRAPPED = re.compile(r"\.+(?P<name>synapse_[a-z]+)(?:-wrapped_*)+")
_FILE = re.compile(r"(?:.*/)?synapse/app/(?P<name>[a-z]\w*)\.py", re.DOTALL)
_APP = re.compile(r"synapse\.app\.[a-z]\w*")
_NOT_SERVERS = frozenset(
    f"synapse.app.{name}"
    for name in ("admin_cmd", "complement_fork_proxied_reactor", "complement_fork_starter", "phone_stats_home")
)
_INTERPRETER = re.compile(r"(?:python|pypy)[0-9.]*[a-z]{0,2}(?:-dbg)?")
# Letters of CPython's options that have a value: the rest of the word, or else the next word.
_WITH_VALUE = "cmWX"
# The second one is an option of PyPy.
_LONG_WITH_VALUE = frozenset({"--check-hash-based-pycs", "--jit"})
_LOADER = re.compile(r"ld(?:-[\w.-]+)?\.so(?:\.\d+)*")
_LOADER_WITH_VALUE = frozenset(
    f"--{name}"
    for name in (
        "argv0",
        "audit",
        "glibc-hwcaps-mask",
        "glibc-hwcaps-prepend",
        "inhibit-rpath",
        "library-path",
        "preload",
    )
)
# All options that Synapse adds to its parser: argparse accepts any beginning of a long one that fits no other option.
_SHARED_FLAGS = (
    ("--no-secrets-in-config",),
    ("-n", "--no-redirect-stdio"),
    ("--enable-registration",),
    ("--print-pidfile",),
)
_SHARED_WITH_VALUE = (("-d", "--database-path"), ("-f", "--log-file"), ("--manhole",))
_MAIN_FLAGS = (("--generate-missing-and-run",), ("--open-private-ports",), ("--enable-metrics",))
_MAIN_WITH_VALUE = (
    ("-H", "--server-name"),
    ("--report-stats",),
    ("--config-directory", "--keys-directory"),
    ("--data-directory",),
)
_WORKER_WITH_VALUE = (("--keys-directory",),)
# With these options the process writes files or text, and exits.
_HELP = ("-h", "--help")
_GENERATING = (("--generate-config",), ("--generate-missing-configs", "--generate-keys"))


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """How a process of Synapse was started: the module that it runs, and the values of its `--config-path` options.

    `daemonized`: with -D. `interpreter`: its Python, as the first word of the command line or, if that is not the name
    of a Python, as the kernel names the program.
    """

    app: str
    config_path: tuple[str, ...]
    daemonized: bool = False
    interpreter: str = "python"


def parse_command_line(
    arguments: t.Sequence[str], program: t.Callable[[], str | None] = lambda: None
) -> CommandLine | None:
    """Return how Synapse was started, or None if these are not the arguments of a server process that can run.

    A wrapper that starts Synapse (sudo, a shell) has the same words in its arguments, but is not a Python interpreter.
    `program`: returns the path of the program that really runs, or None; its errors are not caught. It is called only
    if the arguments are those of Synapse, and the first of them, which can be any text, is not the name of a Python.
    """
    if len(arguments) > _MOST_WORDS:
        return None
    words = _loaded(arguments)
    if not words:
        return None
    found = _module(words)
    if found is None:
        return None
    app, options = found
    values = _read_options(app, options)
    if values is None:
        return None
    interpreter = words[0] if _is_python(words[0]) else program()
    if interpreter is None or not _is_python(interpreter):
        return None
    paths = tuple(path for path in values.config_path or () if path)
    return CommandLine(app, paths, values.daemonize, interpreter)


def _is_python(path: str) -> bool:
    return _INTERPRETER.fullmatch(os.path.basename(path)) is not None


def _loaded(arguments: t.Sequence[str]) -> t.Sequence[str]:
    """Return the arguments of the program that the dynamic loader starts, if it is called like a program."""
    if not arguments or not _LOADER.fullmatch(os.path.basename(arguments[0])):
        return arguments
    position = 1
    while position < len(arguments) and arguments[position].startswith("--"):
        position += 2 if arguments[position] in _LOADER_WITH_VALUE else 1
    return arguments[position:]


def _module(words: t.Sequence[str]) -> tuple[str, t.Sequence[str]] | None:
    """Return the module of Synapse that a Python with these words runs, and the options of the module."""
    position = 1
    while position < len(words) and words[position].startswith("-"):
        option = words[position]
        position += 1
        if option == "-":
            # It reads its program from standard input.
            return None
        if option == "--":
            break
        if option.startswith("--"):
            position += option in _LONG_WITH_VALUE
            continue
        letter = next((index for index in range(1, len(option)) if option[index] in _WITH_VALUE), None)
        if letter is None:
            continue
        value = option[letter + 1 :]
        if not value:
            value = words[position] if position < len(words) else ""
            position += 1
        if option[letter] in "cm":
            return _server(value if option[letter] == "m" else "", words[position:])
    return _server(_app_of_script(words[position]), words[position + 1 :]) if position < len(words) else None


def _app_of_script(path: str) -> str:
    name = os.path.basename(path)
    wrapped = _WRAPPED.fullmatch(name)
    file = _FILE.fullmatch(path)
    return f"synapse.app.{file['name']}" if file else _SCRIPTS.get(wrapped["name"] if wrapped else name, "")


def _server(module: str, options: t.Sequence[str]) -> tuple[str, t.Sequence[str]] | None:
    return (module, options) if _APP.fullmatch(module) and module not in _NOT_SERVERS else None


class _NotAccepted(Exception):
    """Synapse does not accept these options."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> t.NoReturn:
        raise _NotAccepted(message)


def _read_options(app: str, options: t.Sequence[str]) -> argparse.Namespace | None:
    """Return what the options set, or None if Synapse exits at once with them.

    Options of later versions are ignored.
    """
    is_main = app == MAIN_APP
    parser = _Parser(prog="", add_help=False)
    parser.add_argument("-c", "--config-path", action="append")
    parser.add_argument("-D", "--daemonize", action="store_true")
    for names in _SHARED_FLAGS + (_MAIN_FLAGS if is_main else ()):
        parser.add_argument(*names, action="store_true")
    for names in _SHARED_WITH_VALUE + (_MAIN_WITH_VALUE if is_main else _WORKER_WITH_VALUE):
        parser.add_argument(*names)
    if is_main:
        # It accepts no value, because its type is an enumeration and its values are never text.
        parser.add_argument("--generate-mode", dest="exits", action="append")
    for names in (_HELP, *(_GENERATING if is_main else ())):
        parser.add_argument(*names, dest="exits", action="append_const", const=True)
    try:
        values, _ignored = parser.parse_known_args(list(options))
    except _NotAccepted:
        return None
    return None if values.exits else values
