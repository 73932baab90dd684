# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that an administrator has tuned is never made worse."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import server_settings
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.server_settings import MIB, Server

_MAIN, _OURS = "/etc/postgresql/15/main/postgresql.conf", "/etc/postgresql/15/main/conf.d/matrix_ops-synapse.conf"
_UNITS = {"shared_buffers": "8kB", "effective_cache_size": "8kB", "maintenance_work_mem": "kB", "work_mem": "kB"}
_DEFAULTS = {
    "shared_buffers": 16384,
    "effective_cache_size": 524288,
    "maintenance_work_mem": 65536,
    "work_mem": 4096,
    "max_connections": 100,
    "superuser_reserved_connections": 3,
}
_PACKAGED = [("shared_buffers", "128MB", _MAIN), ("max_connections", "100", _MAIN)]
_GIB = 1024 * MIB


def _server(written: t.Sequence[tuple[str, str, str]] = (), **current: t.Any) -> Server:
    rows = {
        name: {"setting": str(value), "unit": _UNITS.get(name), "boot_val": str(value), "source": "default"}
        for name, value in _DEFAULTS.items()
    }
    for name, values in current.items():
        rows[name].update(values)
    rows["config_file"] = {"setting": _MAIN, "unit": None}
    files = [
        {"name": name, "setting": value, "sourcefile": path, "sourceline": 7}
        for name, value, path in [*_PACKAGED, *written]
    ]
    return Server(rows, files)


def _choose(server: Server, memory: int = 8 * _GIB, connections: int = 10, **ours: int) -> dict[str, int]:
    sizes = server_settings.wanted_sizes(memory, 60, 100)
    return server_settings.choose(server, _OURS, sizes, connections, ours)


def test_sizes_follow_the_memory() -> None:
    assert _choose(_server()) == {
        "shared_buffers": 1024 * MIB,
        "maintenance_work_mem": 224 * MIB,
        "work_mem": 12 * MIB,
    }


@pytest.mark.parametrize("memory", [64 * MIB, 512 * MIB, _GIB])
def test_a_small_host_keeps_what_is_packaged(memory: int) -> None:
    assert "work_mem" not in _choose(_server(), memory)
    assert all(value > 64 * MIB for value in _choose(_server(), memory).values())


def test_sizes_have_an_upper_limit() -> None:
    chosen = _choose(_server(), 1024 * _GIB)
    assert {name: value // MIB for name, value in chosen.items() if name != "effective_cache_size"} == {
        "shared_buffers": 8192,
        "maintenance_work_mem": 1024,
        "work_mem": 64,
    }


@pytest.mark.parametrize(
    ("written", "current"),
    [
        ([("shared_buffers", "256MB", _MAIN)], {}),
        # The same as the packaged value, but by somebody's choice.
        ([("shared_buffers", "128MB", "/etc/postgresql/15/main/conf.d/mine.conf")], {}),
        ([("shared_buffers", "64MB", "/var/lib/postgresql/15/main/postgresql.auto.conf")], {}),
        ([], {"shared_buffers": {"source": "command line"}}),
    ],
)
def test_what_an_administrator_has_set_stays(written: list[tuple[str, str, str]], current: dict[str, t.Any]) -> None:
    assert "shared_buffers" not in _choose(_server(written, **current))
    assert "work_mem" in _choose(_server(written, **current))


def test_what_this_role_has_written_is_not_that_of_an_administrator() -> None:
    written = [("shared_buffers", "1024MB", _OURS)]
    server = _server(written, shared_buffers={"setting": "131072", "source": "configuration file"})
    assert _choose(server, shared_buffers=1024 * MIB)["shared_buffers"] == 1024 * MIB


@pytest.mark.parametrize(("present", "stays"), [(1024, True), (896, True), (1280, True), (512, False), (2048, False)])
def test_a_size_that_is_near_stays(present: int, stays: bool) -> None:
    chosen = _choose(_server(), shared_buffers=present * MIB)["shared_buffers"]
    assert (chosen == present * MIB) == (stays or present == 1024)


def test_connections_are_raised_only_if_they_are_needed() -> None:
    assert "max_connections" not in _choose(_server(), connections=70)
    assert _choose(_server(), connections=200)["max_connections"] == 223
    # One worker less is no reason for a restart.
    assert _choose(_server(), connections=190, max_connections=223)["max_connections"] == 223


def test_too_few_connections_of_an_administrator_are_refused() -> None:
    server = _server([("max_connections", "40", _MAIN)], max_connections={"setting": "40"})
    assert server_settings.too_few(server, _OURS, 37) == ""
    message = server_settings.too_few(server, _OURS, 38)
    assert f"40 in {_MAIN} line 7" in message and "at least 61" in message
    assert server_settings.too_few(_server(), _OURS, 500) == ""


def test_more_connections_than_a_server_can_have() -> None:
    """With those for others, PostgreSQL would not start."""
    assert server_settings.impossible(261980) == ""
    assert "more than 261980 for it. Reduce synapse_homeserver_postgresql_cp_max" in server_settings.impossible(261981)


def test_the_file_is_read_as_it_was_written() -> None:
    chosen = {"shared_buffers": 3584 * MIB, "max_connections": 223}
    text = server_settings.text_of(chosen)
    assert text.splitlines()[1:] == ["shared_buffers = 3584MB", "max_connections = 223"]
    assert server_settings.parse(text) == chosen
    assert server_settings.text_of({}) == ""


@pytest.mark.parametrize(
    ("value", "unit", "size"),
    [
        ("16384", "8kB", 128 * MIB),
        ("128MB", "8kB", 128 * MIB),
        ("1GB", "kB", _GIB),
        ("100", None, 100),
        ("on", None, -1),
    ],
)
def test_sizes_with_units(value: str, unit: str, size: int) -> None:
    assert server_settings.in_bytes(value, unit) == size
