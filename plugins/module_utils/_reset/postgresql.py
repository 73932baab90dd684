# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is in a PostgreSQL database, and how to drop what is Synapse's in one transaction.

Nothing is dropped with CASCADE: if anything else depends on a table of Synapse, PostgreSQL refuses, and everything
stays as it was. Relies on the system catalogs of PostgreSQL 14 and later.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import Database, DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.description import describe
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.identifier import quoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.schema_names import SchemaNames
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError

# How long a statement waits for another connection that uses a table, in milliseconds.
_LOCK_TIMEOUT = 20_000
# How long the connections of a Synapse that has ended may stay, and between two looks at them, in seconds.
_PATIENCE = 5.0
_PAUSE = 0.1
_SHOWN = 5
_OTHERS = """
    SELECT application_name, COALESCE('at ' || host(client_addr), 'on the host of PostgreSQL'), COUNT(*)
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = session_user AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
    GROUP BY 1, 2 ORDER BY 3 DESC
"""
_OTHER_SCHEMAS = """
    space.nspname NOT IN ('pg_catalog', 'information_schema') AND space.nspname !~ '^pg_(toast|temp)'
"""
# Without what belongs to an extension, and without the sequences that belong to a column of a table.
_RELATIONS = f"""
    SELECT space.nspname, relation.relname, relation.relkind, pg_get_userbyid(relation.relowner),
        pg_has_role(relation.relowner, 'USAGE'), pg_table_is_visible(relation.oid)
    FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relation.relnamespace
    WHERE relation.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND {_OTHER_SCHEMAS} AND NOT EXISTS (
        SELECT FROM pg_depend AS belongs
        WHERE belongs.classid = 'pg_class'::regclass AND belongs.objid = relation.oid AND (
            belongs.deptype = 'e'
            OR relation.relkind = 'S' AND belongs.refclassid = 'pg_class'::regclass AND belongs.deptype IN ('a', 'i')
        )
    )
    ORDER BY 1, 2
"""
_FUNCTIONS = f"""
    SELECT space.nspname, routine.proname, pg_get_function_identity_arguments(routine.oid),
        pg_get_userbyid(routine.proowner), pg_has_role(routine.proowner, 'USAGE'),
        pg_function_is_visible(routine.oid), routine.prokind
    FROM pg_proc AS routine JOIN pg_namespace AS space ON space.oid = routine.pronamespace
    WHERE {_OTHER_SCHEMAS} AND NOT EXISTS (
        SELECT FROM pg_depend AS belongs
        WHERE belongs.classid = 'pg_proc'::regclass AND belongs.objid = routine.oid AND belongs.deptype = 'e'
    )
    ORDER BY 1, 2, 3
"""
_PLACE = "SELECT current_schema()::text, has_schema_privilege(current_schema(), 'CREATE'), current_user::text"
_KINDS = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized view",
    "S": "sequence",
    "f": "foreign table",
}


@dataclasses.dataclass(frozen=True)
class Found:
    """An object in the database. `sql`: its quoted name, for a function with its arguments."""

    kind: str
    name: str
    sql: str
    owner: str
    may_drop: bool

    @property
    def shown(self) -> str:
        """The object in a message."""
        return f"the {self.kind} {self.name}"


class Inventory(t.NamedTuple):
    """The objects of Synapse, and those of others."""

    own: list[Found]
    foreign: list[Found]


def take_inventory(database: Database, names: SchemaNames) -> Inventory:
    """Return what is in the database. `names`: what Synapse creates. Reads only."""
    own: list[Found] = []
    foreign: list[Found] = []
    for schema, name, kind, owner, may_drop, visible in database.rows(_RELATIONS):
        is_own = visible and kind in "rpS" and names.has_relation(name)
        shown = name if visible else f"{schema}.{name}"
        found = Found(_KINDS[kind], shown, f"{quoted(schema)}.{quoted(name)}", owner, bool(may_drop))
        (own if is_own else foreign).append(found)
    for schema, name, arguments, owner, may_drop, visible, kind in database.rows(_FUNCTIONS):
        is_own = visible and kind == "f" and name in names.functions
        shown = name if visible else f"{schema}.{name}"
        found = Found("function", shown, f"{quoted(schema)}.{quoted(name)}({arguments})", owner, bool(may_drop))
        (own if is_own else foreign).append(found)
    return Inventory(own, foreign)


def require_droppable(database: Database, names: SchemaNames) -> None:
    """Raise InvalidInput if the database has objects of others, or objects that its user may not drop."""
    inventory = take_inventory(database, names)
    if inventory.foreign:
        raise InvalidInput(
            f"{_capital(database.settings.shown)} also contains what does not come from Synapse:"
            f" {_listed(inventory.foreign)}. Nothing was dropped, because another program may need it. Move it to a"
            " database of its own, or drop it yourself. Extensions may stay."
        )
    denied = [found for found in inventory.own if not found.may_drop]
    if denied:
        raise InvalidInput(
            f"{_capital(database.settings.shown)} contains what the user of Synapse does not own and so cannot drop:"
            f" {_listed(denied)}, which belongs to {denied[0].owner}. Give it to the user in"
            f" {database.settings.source} with ALTER TABLE … OWNER TO …, or with REASSIGN OWNED."
        )


def require_fillable(database: Database) -> None:
    """Raise InvalidInput if Synapse could not create its tables again in the database. Reads only."""
    shown = _capital(database.settings.shown)
    [(schema, may_create, user)] = database.rows(_PLACE)
    if not may_create:
        missing = "has no schema" if schema is None else f"does not let {user} create tables in the schema {schema}"
        grant = "" if schema is None else f" Run GRANT CREATE ON SCHEMA {quoted(schema)} TO {quoted(user)} in it."
        raise InvalidInput(f"{shown} {missing}, so Synapse would not start again. Nothing was dropped.{grant}")
    described = describe(database)
    if not described["accepted"]:
        raise InvalidInput(
            f"Synapse would not start with an empty {database.settings.shown[4:]}. {' '.join(described['problems'])}"
            " Nothing was dropped. Create a database with the encoding UTF8 and the locale C, and set it in"
            f" {database.settings.source}."
        )


def drop_contents(settings: DatabaseSettings, names: SchemaNames) -> None:
    """Drop what is Synapse's in one transaction.

    Raises what `require_droppable` and `Database` raise, and SynapseError if another connection uses a table for too
    long. Nothing is dropped then, unless the connection was lost at the end of the transaction.
    """
    with Database(settings, writable=True) as database:
        database.rows("SELECT set_config('lock_timeout', ?, true)", f"{_LOCK_TIMEOUT}ms")
        _require_alone(database)
        require_droppable(database, names)
        own = take_inventory(database, names).own
        for kind in ("table", "sequence", "function"):
            listed = [found.sql for found in own if found.kind == kind]
            if listed:
                _execute(database, f"DROP {kind.upper()} {', '.join(listed)}")


def _require_alone(database: Database) -> None:
    """Raise SynapseError if another program is connected as the same user: a Synapse that this module does not stop."""
    end = time.monotonic() + _PATIENCE
    while others := database.rows(_OTHERS):
        if time.monotonic() > end:
            name, place, count = others[0]
            raise SynapseError(
                f"{_capital(database.settings.shown)} is used by another program, with the user of Synapse: {count}"
                f" connections of {name or 'a program without a name'} {place}. Nothing was dropped, because it may be"
                " the Synapse of another host, or one with another configuration. Check that the database in"
                f" {database.settings.source} is the right one, end what uses it, and run the task again."
            )
        time.sleep(_PAUSE)
        database.rows("SELECT pg_stat_clear_snapshot()")


def _execute(database: Database, statement: str) -> None:
    try:
        database.write(statement)
    except SynapseError as error:
        if "lock timeout" in error.message or "deadlock" in error.message:
            raise SynapseError(
                f"Another program uses {database.settings.shown} and does not let go of it within"
                f" {_LOCK_TIMEOUT // 1000} seconds. Check for a worker of Synapse on another host, a backup, or an open"
                " psql with SELECT * FROM pg_stat_activity, and end it."
            ) from error
        raise


def _listed(found: t.Sequence[Found]) -> str:
    shown = ", ".join(each.shown for each in found[:_SHOWN])
    more = len(found) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
