# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done on a server follows from what is there."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import scram, server_plan
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.server_settings import MARK

Row = dict[str, t.Any]

_PATH = "/etc/postgresql/15/main/conf.d/matrix_ops-synapse.conf"
_QUESTION = {
    "state": "present",
    "user": "synapse",
    "database": "data",
    "password": "secret",
    "administrator": "postgres",
    "created_by": "createdb x",
    "prefix": "prefix",
    "path": _PATH,
    "connections": 10,
    "memory": 8 * 1024**3,
    "share": 60,
    "tunes": True,
}
_ROLE = {"rolcanlogin": True, "rolsuper": False, "rolconnlimit": -1, "expired": False}
_DATABASE = {"datname": "data", "encoding": "UTF8", "datcollate": "C", "datctype": "C", "owner": "other"}
_SUPERUSER = {"rolsuper": True, "rolcreaterole": True, "rolcreatedb": True}


def _setting(setting: int | str, context: str = "user", unit: str | None = None, **values: t.Any) -> Row:
    return {
        "setting": str(setting),
        "unit": unit,
        "context": context,
        "source": "default",
        "boot_val": str(setting),
        "pending_restart": False,
        **values,
    }


def _server(**values: t.Any) -> Row:
    settings = {
        "shared_buffers": _setting(16384, "postmaster", "8kB"),
        "effective_cache_size": _setting(524288, unit="8kB"),
        "maintenance_work_mem": _setting(65536, unit="kB"),
        "work_mem": _setting(4096, unit="kB"),
        "max_connections": _setting(100, "postmaster"),
        "superuser_reserved_connections": _setting(3, "postmaster"),
        "config_file": _setting("/etc/postgresql/15/main/postgresql.conf"),
    }
    found = {"settings": settings, "written": [], "rights": _SUPERUSER, "role": _ROLE, "database": _DATABASE}
    return {**found, "password": True, "can_create": True, "member": False, **values}


def _access(question: Row | None = None, **values: t.Any) -> server_plan.Plan:
    plan = server_plan.Plan()
    server_plan.plan_access(plan, {**_QUESTION, **(question or {})}, _server(**values))
    return plan


def _settings(present: str | None = None, question: Row | None = None, **values: t.Any) -> server_plan.Plan:
    plan = server_plan.Plan()
    server_plan.plan_settings(plan, {**_QUESTION, **(question or {})}, _server(**values), present)
    return plan


def test_a_user_and_a_database_that_are_right_stay() -> None:
    plan = _access()
    assert (plan.wrong, plan.steps, plan.password) == ([], [], "")


def test_a_user_and_a_database_are_created() -> None:
    plan = _access(role=None, database=None, password=None, can_create=None)
    assert plan.wrong == []
    assert (plan.creates_role, plan.creates_database, plan.joins) == (True, True, False)
    assert scram.is_stored("secret", plan.password, "synapse")
    assert plan.steps == ["The user synapse is created.", "The database data of the user synapse is created."]


def test_a_user_without_a_password_is_created() -> None:
    plan = _access({"password": ""}, role=None, password=None)
    assert (plan.creates_role, plan.password) == (True, "")


def test_another_password_is_set() -> None:
    plan = _access(password=False)
    assert (plan.creates_role, plan.steps) == (False, ["The password of the user synapse is set."])
    assert scram.is_stored("secret", plan.password, "synapse")


def test_a_password_that_the_administrator_cannot_see_stays() -> None:
    assert _access(password=None).steps == []


def test_an_administrator_who_is_no_superuser_joins_the_owner() -> None:
    rights = {"rolsuper": False, "rolcreaterole": True, "rolcreatedb": True}
    assert _access(rights=rights, database=None, can_create=None).joins
    assert not _access(rights=rights, database=None, can_create=None, member=True).joins


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"database": {**_DATABASE, "datcollate": "en_US.UTF-8"}}, "locale en_US.UTF-8/C, but .* with createdb x and"),
        ({"can_create": False}, 'belongs to other. .*: ALTER DATABASE "data" OWNER TO "synapse";'),
        ({"role": {**_ROLE, "rolcanlogin": False}}, 'may not log in. Set prefix_user .*: ALTER ROLE "synapse" LOGIN;'),
        ({"role": {**_ROLE, "rolconnlimit": 2}}, 'is 2, but .* 10 .*: ALTER ROLE "synapse" CONNECTION LIMIT 10;'),
        ({"role": {**_ROLE, "expired": True}}, "has expired .* ALTER ROLE \"synapse\" VALID UNTIL 'infinity';"),
        ({"role": {**_ROLE, "rolsuper": True}, "password": False}, "^prefix_password is not the password .*superuser"),
        (
            {"rights": {"rolsuper": False, "rolcreaterole": False, "rolcreatedb": False}, "database": None},
            "postgres lacks CREATEROLE and CREATEDB to do this: The database data .* createdb x",
        ),
    ],
)
def test_what_is_refused(values: Row, wrong: str) -> None:
    plan = _access(**values)
    assert len(plan.wrong) == 1
    assert re.search(wrong, plan.wrong[0])


def test_the_settings_are_written_with_a_restart() -> None:
    plan = _settings()
    assert plan.wrong == []
    assert plan.settings["restarts"]
    assert plan.settings["text"].startswith(f"{MARK}\nshared_buffers = 1024MB\n")
    assert plan.steps[1] == "PostgreSQL is restarted."


def _written(**values: t.Any) -> tuple[str, Row]:
    text = f"{MARK}\nshared_buffers = 1024MB\nmaintenance_work_mem = 224MB\nwork_mem = 12MB\n"
    now = {
        "shared_buffers": _setting(131072, "postmaster", "8kB", boot_val="16384", source="configuration file"),
        "maintenance_work_mem": _setting(229376, unit="kB", boot_val="65536", source="configuration file"),
        "work_mem": _setting(12288, unit="kB", boot_val="4096", source="configuration file"),
    }
    return text, {**_server()["settings"], **now, **values}


def test_settings_that_are_in_force_stay() -> None:
    text, now = _written()
    plan = _settings(text, settings=now)
    assert (plan.steps, plan.settings) == ([], {})


def test_a_restart_that_was_interrupted_is_done() -> None:
    text, now = _written(shared_buffers=_setting(16384, "postmaster", "8kB", pending_restart=True))
    plan = _settings(text, settings=now)
    assert (plan.wrong, plan.steps) == ([], ["PostgreSQL is restarted."])


def test_a_setting_without_a_restart_is_only_read() -> None:
    text, now = _written(work_mem=_setting(4096, unit="kB"))
    assert _settings(text.replace("work_mem = 12MB\n", "", 1), settings=now).steps[-1] == (
        "PostgreSQL reads its files again."
    )


def test_without_tuning_only_the_connections_are_ensured() -> None:
    assert _settings(question={"tunes": False}).settings == {}
    plan = _settings(question={"tunes": False, "connections": 100})
    assert plan.settings["text"] == f"{MARK}\nmax_connections = 123\n"


def test_absent_removes_the_file() -> None:
    text, now = _written()
    plan = _settings(text, {"state": "absent"}, settings=now)
    assert plan.settings == {"text": "", "present": text, "restarts": True}
    assert _settings(None, {"state": "absent"}).steps == []


def test_no_restart_with_what_others_have_changed() -> None:
    settings = {**_server()["settings"], "huge_pages": _setting("try", "postmaster", pending_restart=True)}
    assert "huge_pages that others have set also wait" in _settings(settings=settings).wrong[0]


def test_no_change_of_files_that_postgresql_cannot_read() -> None:
    row = {"name": "x", "setting": "y", "sourcefile": "/a.conf", "sourceline": 3, "error": "unrecognized parameter"}
    assert "/a.conf line 3: unrecognized parameter" in _settings(written=[row]).wrong[0]


def test_what_waits_for_a_restart_is_no_fault_and_is_not_restarted_with_the_settings_of_others() -> None:
    row = {"name": "shared_buffers", "setting": "1GB", "sourcefile": _PATH, "sourceline": 2, "error": "not applied"}
    text, now = _written(shared_buffers=_setting(16384, "postmaster", "8kB", pending_restart=True))
    plan = _settings(text, settings=now, written=[row])
    assert (plan.wrong, plan.steps[-1]) == ([], "PostgreSQL is restarted.")
    others = {**row, "name": "max_connections", "setting": "150", "sourcefile": "/other.conf"}
    now["max_connections"] = _setting(100, "postmaster", pending_restart=True)
    (wrong,) = _settings(text, settings=now, written=[row, others]).wrong
    assert "but max_connections that others have set also wait" in wrong


def test_a_removal_that_was_interrupted_is_completed() -> None:
    rows = [
        {"name": name, "setting": "1", "sourcefile": "/a", "sourceline": 1, "error": None} for name in ("port", "ssl")
    ]
    absent = {"state": "absent"}
    now = {**_server()["settings"], "shared_buffers": _setting(131072, "postmaster", "8kB", pending_restart=True)}
    assert _settings(None, absent, settings=now, written=rows).steps == ["PostgreSQL is restarted."]
    now = {**_server()["settings"], "work_mem": _setting(12288, unit="kB", source="configuration file")}
    assert _settings(None, absent, settings=now, written=rows).steps == ["PostgreSQL reads its files again."]
    unread = [{"name": None, "setting": None, "sourcefile": "/a", "sourceline": 1, "error": "syntax error"}]
    assert _settings(None, absent, settings=now, written=unread).steps == []
