# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_runtime_info returns for a server that does not run with the current content of its files.

Each case brings the server into the state that it needs. They are in the order that needs the fewest restarts.
"""

from __future__ import annotations

import json
import re
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import write
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Refusal, prove_refusal
from ansible_collections.matrix_ops.synapse.tests.contract.runtime_cases import (
    MODULE,
    Restarts,
    as_configured,
    jemalloc,
    look,
    main_process,
    outdated,
    parameters,
    shown,
    sized,
)
from ansible_collections.matrix_ops.synapse.tests.contract.waiting import until

_CACHES = ["caches"]
_FRESHNESS = ["freshness"]
# Drop-ins, and the factors that some caches must have after a reload.
_FACTORS: tuple[tuple[str, dict[str, t.Any], dict[str, float]], ...] = (
    (
        "one for all",
        {"global_factor": 0.1},
        {"*getEvent*": 0.1, "get_user_by_access_token": 0.1},
    ),
    (
        "some of their own",
        {"global_factor": 1.37, "per_cache_factors": {"GetEvent": 2.5, "get_user_by_access_token": 3}},
        {"*getEvent*": 2.5, "get_user_by_access_token": 3.0, "is_server_admin": 1.37},
    ),
    (
        "none",
        {},
        {"*getEvent*": 0.5, "get_user_by_access_token": 0.5},
    ),
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(engine, marks=pytest.mark.xdist_group(f"runtime {engine}")) for engine in servers.ENGINES],
)
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Restarts]:
    """A server that these cases restart."""
    with servers.own_servers(request.param) as [server]:
        yield Restarts(server, tmp_path_factory.mktemp("own"))


def test_size_that_waits_for_a_restart(own: Restarts) -> None:
    own.plain()
    write(own.drop_in, "event_cache_size: 20K\n")
    seen = look(own.place, gather=_CACHES)
    wrong = {name: cache for name, cache in sized(seen).items() if cache.get("as_configured") is False}
    assert list(wrong) == ["*getEvent*"]
    assert (wrong["*getEvent*"]["max_size"], wrong["*getEvent*"]["expected_max_size"]) == (5120, 10240)


def test_metrics_that_are_turned_off(own: Restarts) -> None:
    own.plain()
    write(own.drop_in, "enable_metrics: false\n")
    seen = look(own.place)
    assert [unknown["name"] for unknown in seen["unknown"]] == ["caches", "activity"]
    assert "enable_metrics is not true" in seen["unknown"][0]["reason"]
    assert not {"caches", "metrics_url"} & main_process(seen).keys()
    assert main_process(seen)["unknown"] == seen["unknown"]


def test_factor_that_is_not_a_number(own: Restarts) -> None:
    own.plain()
    write(own.drop_in, "caches: {global_factor: much}\n")
    message = rf"caches.global_factor in {re.escape(str(own.drop_in))} is not a number"
    prove_refusal(own.place, Refusal("", MODULE, parameters, message, state=shown, token=False))
    # Without the caches it is possible.
    assert look(own.place, gather=_FRESHNESS)["unknown"] == []


def test_restart_that_was_lost(own: Restarts) -> None:
    own.plain()
    write(own.late, "enable_registration: false\n")
    seen = look(own.place, gather=_FRESHNESS)
    assert outdated(seen) == [str(own.late)]
    [found] = main_process(seen)["outdated_by"]
    assert found["kind"] == "configuration"
    assert re.match(
        rf"{re.escape(str(own.late))} was changed at .*, after the process was started at ", found["reason"]
    )
    assert seen["unknown"] == []


def test_time_in_the_future_and_a_restart_that_was_recorded_and_lost(own: Restarts) -> None:
    own.plain()
    own.write_late()
    before = look(own.place, gather=_FRESHNESS)
    assert outdated(before) == [str(own.late)]
    assert "a time in the future, 2038-07-" in main_process(before)["outdated_by"][0]["reason"]
    own.write_record(before)
    noted = look(own.place, gather=_FRESHNESS, restart_record=str(own.record))
    assert main_process(noted)["outdated_by"] == main_process(before)["outdated_by"]
    assert noted["unknown"] == []


def test_new_file_is_not_read_at_a_reload(own: Restarts) -> None:
    own.plain()
    write(own.drop_in, "caches: {global_factor: 0.3}\n")
    own.reload()
    seen = look(own.place)
    assert seen["cache_settings"]["global_factor"] == 0.3
    assert main_process(seen)["changed_for_reload"] == [str(own.drop_in)]
    assert as_configured(seen) == {False}


def test_restart_that_was_recorded(own: Restarts) -> None:
    own.plain()
    before = look(own.place, gather=[])
    own.recorded()
    seen = look(own.place, gather=_FRESHNESS, restart_record=str(own.record))
    assert main_process(seen)["pid"] != main_process(before)["pid"]
    assert outdated(seen) == []
    assert seen["unknown"] == []


def test_new_file_is_read_at_a_restart(own: Restarts) -> None:
    own.recorded(untouched=True)
    seen = look(own.place, gather=_CACHES)
    assert as_configured(seen) == {True}
    assert {cache["factor"] for cache in sized(seen).values()} == {0.3}


def test_restart_without_its_record(own: Restarts) -> None:
    own.recorded()
    seen = look(own.place, gather=_FRESHNESS)
    assert outdated(seen) == [str(own.late)]
    assert seen["unknown"] == []


@pytest.mark.parametrize(("caches", "expected"), [row[1:] for row in _FACTORS], ids=[row[0] for row in _FACTORS])
def test_factors_that_are_changed(own: Restarts, caches: dict[str, t.Any], expected: dict[str, float]) -> None:
    own.recorded()
    write(own.drop_in, json.dumps({"caches": caches}))
    before = look(own.place)
    assert before["cache_settings"]["global_factor"] == caches.get("global_factor", 0.5)
    assert as_configured(before) == {False}
    # A restart is not necessary.
    assert str(own.drop_in) not in outdated(before)
    assert main_process(before)["changed_for_reload"] == [str(own.drop_in)]
    own.reload()
    after = until(lambda: look(own.place, gather=_CACHES), lambda found: as_configured(found) == {True})
    factors = {name: cache["factor"] for name, cache in sized(after).items()}
    assert {name: factors[name] for name in expected} == expected


def test_file_that_was_removed(own: Restarts) -> None:
    own.recorded(complete=False)
    own.late.unlink(missing_ok=True)
    seen = look(own.place, gather=_FRESHNESS, restart_record=str(own.record))
    assert outdated(seen) == [str(own.late)]
    assert "does not exist any more" in main_process(seen)["outdated_by"][0]["reason"]
    assert seen["unknown"] == []


def test_record_that_other_users_can_write_to(own: Restarts, tmp_path: Path) -> None:
    own.recorded(complete=False)
    own.late.unlink(missing_ok=True)
    record = Path(shutil.copy(own.record, tmp_path / "record.json"))
    record.chmod(0o666)
    seen = look(own.place, gather=_FRESHNESS, restart_record=str(record))
    assert outdated(seen) == [str(own.directory)]
    assert [unknown["name"] for unknown in seen["unknown"]] == ["restart_record"]


def test_environment_that_changes_its_memory(own: Restarts, tmp_path: Path) -> None:
    library = jemalloc(tmp_path)
    environment = {
        "LD_PRELOAD": str(library),
        "PYTHONMALLOC": "malloc",
        "SYNAPSE_CACHE_FACTOR": "8",
        "SYNAPSE_CACHE_FACTOR_GET_USER_BY_ACCESS_TOKEN": "4",
    }
    before = look(own.place, gather=[])
    own.with_environment(environment, "event_cache_size: 20K\n")
    seen = look(own.place)
    main, caches = main_process(seen), sized(seen)
    assert main["pid"] != main_process(before)["pid"]
    assert as_configured(seen) == {True}
    assert caches["*getEvent*"]["max_size"] == 10240
    # The bare variable has no effect (Synapse 1.60 and newer), the one for a single cache has.
    other = {name: cache["factor"] for name, cache in caches.items() if cache["factor"] != 0.5}
    assert other == {"get_user_by_access_token": 4.0}
    assert main["environment"] == environment
    assert main["jemalloc"]["loaded"] is True
    assert Path(main["jemalloc"]["library"]).name.startswith("libjemalloc")


def test_restart_after_every_kind_of_change(own: Restarts) -> None:
    own.clean()
    changed = {own.directory: "configuration"}
    for name, kind in (("log_config.yaml", "log_configuration"), ("signing.key", "secret")):
        path = Path(own.place.server.directory, name)
        path.write_text(path.read_text() + "\n")
        changed[path] = kind
    write(own.late, "enable_registration: false\n")
    own.late.unlink()
    found = main_process(look(own.place, gather=_FRESHNESS))["outdated_by"]
    assert {Path(one["path"]): one["kind"] for one in found} == changed
    own.restart()
    seen = look(own.place, gather=_FRESHNESS)
    assert outdated(seen) == []
    assert seen["unknown"] == []
