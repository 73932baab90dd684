# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Databases and listeners in the configuration: what Synapse 1.163 refuses, and what it takes for something else.

Relies on synapse/config/database.py and on parse_listener_def in synapse/config/server.py. Each rule is proven by a
contract test.
"""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.setting_kinds import (
    MODE,
    PORT,
    SWITCH,
    Judgement,
    shown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    KeyPath,
    Settings,
    masked,
)

_DIES = "and Synapse does not start with it"
_BOTH = "and Synapse does not start with both"
_TYPES = ("http", "metrics", "manhole")
_RESOURCES = frozenset(
    ("client", "consent", "federation", "health", "keys", "media", "metrics", "openid", "replication", "static")
)
_FORM = "write a name and args"


class Conflict(t.NamedTuple):
    """What is wrong with the settings at `key`. `says`: what follows "<setting> in <file>", as a whole sentence.

    `is_refused`: Synapse's parser refuses it. Otherwise Synapse takes it for something else, or with `ends_start` ends
    when it starts.
    `is_lacking`: something is missing in it, which another file may have. `other`: the top-level key of another
    setting, which is named with its file before `says`. `template`: see Judgement.
    """

    key: KeyPath
    says: str
    is_refused: bool = True
    is_lacking: bool = False
    other: str = ""
    template: str = ""
    ends_start: bool = False


def find_block_faults(settings: Settings) -> t.Iterator[Conflict]:
    """Yield what is wrong with the databases and the listeners in `settings`."""
    yield from _databases(settings)
    for key in ("listeners", "worker_listeners"):
        entries = settings.get(key)
        for number, listener in enumerate(entries if isinstance(entries, list) else ()):
            for found in _listener(listener, settings):
                where = (key, str(number))
                yield Conflict(
                    where, found.says, found.is_refused, template=found.template, ends_start=found.ends_start
                )


def _databases(settings: Settings) -> t.Iterator[Conflict]:
    one, several, path = (settings.get(key) for key in ("database", "databases", "database_path"))
    if one and several:
        yield Conflict(("databases",), f"are both set, {_BOTH}: remove one of them.", other="database")
    if several and path:
        yield Conflict(("databases",), f"are both set, {_BOTH}: remove database_path.", other="database_path")
    given = [key for key in ("database", "databases") if key in settings]
    if given and not one and not several and not path:
        yield Conflict((given[-1],), f"is empty, {_DIES}: {_FORM}.", is_lacking=True)
    if several and not isinstance(several, dict):
        yield Conflict(("databases",), f"is not a mapping, {_DIES}: write a name for each database, and its settings.")
    elif several:
        for name, database in several.items():
            yield from _database(("databases", str(name)), database)
    if isinstance(one, dict) and one:
        yield from _database(("database",), one)
        if path:
            says = "are both set, and Synapse ignores database_path: remove it."
            yield Conflict(("database_path",), says, is_refused=False, other="database")


def _database(key: KeyPath, database: t.Any) -> t.Iterator[Conflict]:
    if not isinstance(database, dict):
        yield Conflict(key, f"is not a mapping, {_DIES}: {_FORM}.")
        return
    engine = database.get("name", "sqlite3")
    if engine not in ("sqlite3", "psycopg2"):
        yield Conflict(
            (*key, "name"), f"is {shown(engine)}, {_DIES}: write psycopg2 for PostgreSQL, or sqlite3 for SQLite."
        )
        return
    arguments = database.get("args", {})
    if not isinstance(arguments, dict):
        # With PostgreSQL, only the start fails.
        says = f"is not a mapping, {_DIES}: write the arguments of the database there."
        is_refused = engine == "sqlite3"
        yield Conflict((*key, "args"), says, is_refused, is_lacking=True, ends_start=not is_refused)
    elif engine == "psycopg2":
        yield from _pool(key, arguments)
    elif "name" not in database:
        says = (
            "has no name, without which Synapse does not start: write psycopg2 for PostgreSQL, or sqlite3 for SQLite."
        )
        yield Conflict(key, says, is_refused=False, is_lacking=True, ends_start=True)
    elif not arguments.get("database"):
        says = (
            "is SQLite and names no file in args.database, without which Synapse does not start: write its path there."
        )
        yield Conflict(key, says, is_refused=False, is_lacking=True, ends_start=True)


def _pool(key: KeyPath, arguments: Settings) -> t.Iterator[Conflict]:
    for name in ("cp_min", "cp_max"):
        value = arguments.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            says = f"is {shown(value)}, {_DIES}: write a whole number, without quotes."
            template = "int" if isinstance(value, str) else ""
            yield Conflict((*key, "args", name), says, is_refused=False, template=template, ends_start=True)
        elif name == "cp_max" and value == 0:
            says = "is 0, and then Synapse never gets a connection to the database: write 10, for example."
            yield Conflict((*key, "args", name), says, is_refused=False)


def _listener(listener: t.Any, settings: Settings) -> t.Iterator[Judgement]:
    """Yield what is wrong with a listener. `says`: what follows "<listener> in <file>"."""
    if not isinstance(listener, dict):
        yield Judgement(True, f"is not a mapping, {_DIES}: write at least type and port.")
        return
    kind, port, path = (listener.get(key) for key in ("type", "port", "path"))
    if kind not in _TYPES:
        says = f"has no type, {_DIES}" if kind is None else f"has type as {shown(kind)}, {_DIES}"
        yield Judgement(True, f"{says}: write http, metrics or manhole.")
        return
    if port is None and path is None:
        yield Judgement(True, f"has neither a port nor a path, {_DIES}: set one of them.")
    elif path is not None and not isinstance(path, str):
        yield Judgement(True, f"has a path that is not text, {_DIES}: write the path of a Unix socket.")
    elif port and path:
        yield Judgement(True, f"has a port and a path, {_DIES}: remove one of them.")
    elif port is not None and not (path and isinstance(port, int)):
        yield from _judged(listener, "port", PORT.judge(port))
    if not path and not isinstance(listener.get("bind_addresses", []), list):
        says = f"has bind_addresses that are not a list, {_DIES}: write a list such as ['127.0.0.1']."
        yield Judgement(True, says)
    if path and "mode" in listener:
        yield from _judged(listener, "mode", MODE.judge(listener["mode"]))
    if kind == "http":
        yield from _resources(listener.get("resources", []))
        yield from _judged(listener, "x_forwarded", SWITCH.judge(listener.get("x_forwarded")))
    if listener.get("tls") and not path:
        yield from _tls(listener, settings)


def _judged(listener: Settings, key: str, judgement: Judgement | None) -> t.Iterator[Judgement]:
    if judgement:
        yield judgement._replace(says=f"has {key} as {shown(listener[key])}{judgement.says}")


def _tls(listener: Settings, settings: Settings) -> t.Iterator[Judgement]:
    """Judge a listener for which Synapse takes tls for true."""
    missing = [key for key in ("tls_certificate_path", "tls_private_key_path") if not settings.get(key)]
    is_refused = bool(missing) and not settings.get("no_tls")
    misread = SWITCH.judge(listener["tls"])
    if misread:
        yield from _judged(listener, "tls", misread._replace(is_refused=is_refused))
    elif is_refused:
        are, them = ("are", "them") if len(missing) > 1 else ("is", "it")
        says = f"has tls, but {' and '.join(missing)} {are} not set, {_DIES}: set {them}, or set tls to false."
        yield Judgement(True, says)


def _resources(resources: t.Any) -> t.Iterator[Judgement]:
    if not isinstance(resources, list) or not all(isinstance(resource, dict) for resource in resources):
        if resources not in ("", {}):
            says = f"has resources that are not a list of mappings, {_DIES}: write - names: [client, federation]."
            yield Judgement(True, says)
        return
    for resource in resources:
        unknown = sorted(str(key) for key in resource if key not in ("names", "compress"))
        if unknown:
            says = f"has resources with {', '.join(unknown)}, {_DIES}: a resource only has names and compress."
            yield Judgement(True, says)
        names = resource.get("names", [])
        if not isinstance(names, list):
            says = f"has resources whose names are not a list, {_DIES}: write names: [client, federation]."
            yield Judgement(True, says)
            continue
        wrong = [name for name in map(str, masked({"": names})[""]) if name not in _RESOURCES]
        if wrong:
            says = f"has the unknown resources {', '.join(wrong)}, {_DIES}: use {', '.join(sorted(_RESOURCES))}."
            yield Judgement(True, says)
        if not isinstance(resource.get("compress", False), (bool, type(None))):
            says = f"has resources whose compress is not true or false, {_DIES}: write it without quotes."
            yield Judgement(True, says)
