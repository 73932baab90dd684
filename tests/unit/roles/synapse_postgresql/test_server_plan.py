# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done on a server follows from what is there."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import server_plan
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.server_settings import MARK

Row = dict[str, t.Any]

_PATH = "/etc/postgresql/15/main/conf.d/matrix_ops-synapse.conf"
_QUESTION = {
    "state": "present",
    "path": _PATH,
    "connections": 10,
    "memory": 8 * 1024**3,
    "share": 60,
    "tunes": True,
}


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
    return {"settings": settings, "written": [], **values}


def _settings(present: str | None = None, question: Row | None = None, **values: t.Any) -> server_plan.Plan:
    plan = server_plan.Plan()
    server_plan.plan_settings(plan, {**_QUESTION, **(question or {})}, _server(**values), present)
    return plan


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


_MAIN, _MINE = "/etc/postgresql/15/main/postgresql.conf", "/etc/postgresql/15/main/conf.d/mine.conf"
_ALTERED = "/var/lib/postgresql/15/main/postgresql.auto.conf"


@pytest.mark.parametrize("place", [_MAIN, _MINE, _ALTERED])
@pytest.mark.parametrize("waits", [True, False])
def test_what_an_administrator_sets_later_stays_without_a_restart(place: str, waits: bool) -> None:
    """With `waits`, PostgreSQL was not restarted since, and needs a restart, which is not for this role to do."""
    rows = [
        {"name": "shared_buffers", "setting": value, "sourcefile": path, "sourceline": 1, "error": None}
        for value, path in (("1024MB", _PATH), ("2GB", place))
    ]
    others = [{**rows[0], "name": name, "setting": "1MB"} for name in ("maintenance_work_mem", "work_mem")]
    text, now = _written()
    now["shared_buffers"] = {**now["shared_buffers"], "pending_restart": waits}
    now["shared_buffers"]["setting"] = "131072" if waits else "262144"
    plan = _settings(text, settings=now, written=[*rows, *others])
    assert (plan.wrong, plan.steps[1:], plan.settings["restarts"]) == ([], ["PostgreSQL reads its files again."], False)
    assert "shared_buffers" not in plan.settings["text"]
    again = _settings(plan.settings["text"], settings=now, written=[rows[1], *others])
    assert (again.wrong, again.steps) == ([], [])


def test_what_an_administrator_removes_from_the_file_of_the_role_is_restored_without_a_restart() -> None:
    text, now = _written()
    plan = _settings(text.replace("shared_buffers = 1024MB\n", ""), settings=now)
    assert (plan.settings["text"], plan.steps[1:]) == (text, ["PostgreSQL reads its files again."])


def test_a_packaged_value_that_is_read_after_the_file_of_the_role_counts() -> None:
    row = {"name": "shared_buffers", "setting": "128MB", "sourcefile": _MAIN, "sourceline": 9, "error": None}
    assert "shared_buffers" in _settings(written=[row], included_at=10).settings["text"]
    assert "shared_buffers" in _settings(written=[row]).settings["text"]
    assert "shared_buffers" not in _settings(written=[row], included_at=8).settings["text"]


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
    waits = _setting(131072, "postmaster", "8kB", pending_restart=True, boot_val="16384")
    now = {**_server()["settings"], "shared_buffers": waits}
    assert _settings(None, absent, settings=now, written=rows).steps == ["PostgreSQL is restarted."]
    now = {**_server()["settings"], "work_mem": _setting(12288, unit="kB", source="configuration file")}
    assert _settings(None, absent, settings=now, written=rows).steps == ["PostgreSQL reads its files again."]
    unread = [{"name": None, "setting": None, "sourcefile": "/a", "sourceline": 1, "error": "syntax error"}]
    assert _settings(None, absent, settings=now, written=unread).steps == []
