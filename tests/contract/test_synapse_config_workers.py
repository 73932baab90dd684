# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Synapse's own parser says about the configurations of workers. No Synapse is started."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import unstarted, without_server, write
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    play,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.parsed_configuration import (
    LOG,
    expectation,
    refusal,
    say,
    write_accepted,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return unstarted(tmp_path)


def _prepare_worker(place: Place) -> None:
    """Write what the main process shares with its workers."""
    shared = (
        "redis: {enabled: true}\nworker_replication_secret: hush-between-them\n"
        "instance_map: {main: {host: 127.0.0.1, port: 9093}}\n"
    )
    write_accepted(place, **{"80-shared": shared})
    write(place.directory / "worker.log.yaml", LOG)
    write(place.directory / "worker1.yaml", json.dumps(_worker_settings(place)))


def _worker_settings(place: Place, **settings: t.Any) -> dict[str, t.Any]:
    listener = {"type": "http", "port": 8083, "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}]}
    return {
        "worker_app": "synapse.app.generic_worker",
        "worker_name": "worker1",
        "worker_listeners": [listener, {"type": "metrics", "port": 9101, "bind_addresses": ["127.0.0.1"]}],
        "worker_log_config": f"{place.directory}/worker.log.yaml",
        **settings,
    }


def _worker(*, name: str = "worker1.yaml", **settings: t.Any) -> t.Callable[[Place], Parameters]:
    """Declare the file of a worker."""

    def parameters(place: Place) -> Parameters:
        path = f"{place.directory}/{name}"
        paths = [*place.server.config_path, path]
        return say(config_path=paths, path=path, force=True, settings=_worker_settings(place, **settings))(place)

    return parameters


def _shared(settings: dict[str, t.Any]) -> t.Callable[[Place], Parameters]:
    """Declare a file that the main process shares with a worker, as the worker reads it."""

    def parameters(place: Place) -> Parameters:
        paths = [*place.server.config_path, f"{place.directory}/worker1.yaml"]
        return say(config_path=paths, settings=settings)(place)

    return parameters


_ALL = {"worker_app": "synapse.app.generic_worker", "instance_map": {"main": {"host": "127.0.0.1", "port": 9093}}}
_REFUSALS = (
    refusal(
        "the settings of a worker for all processes",
        parameters=say(settings=_ALL),
        message="main process .* name the file itself in config_path",
    ),
    *(
        refusal(f"a worker with {name}", prepare=_prepare_worker, parameters=parameters, message=says)
        for name, parameters, says in (
            (
                "a program that does not exist",
                _worker(worker_app="synapse.app.worker"),
                "has no worker synapse.app",
            ),
            ("a wrong listener", _worker(worker_listeners=[{"type": "nonsense", "port": 1}]), "manhole"),
            ("no log configuration", _worker(worker_log_config="/no_such_file"), "worker_log_config /no_such_file"),
            ("no way to the main process", _shared({"instance_map": {}}), "instance_map"),
        )
    ),
)
_ACCEPTED = (
    expectation("a new worker", prepare=_prepare_worker, parameters=_worker(name="worker2.yaml")),
    expectation("another worker", prepare=_prepare_worker, parameters=_worker(worker_name="worker3")),
    expectation("a worker and a shared file", prepare=_prepare_worker, parameters=_shared({"presence": {}})),
)


@pytest.mark.parametrize("case", named(_REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


@pytest.mark.parametrize("case", named(_ACCEPTED))
def test_accepted(place: Place, case: Expectation) -> None:
    prove(place, case)
    assert not (place.directory / "new.log").exists()


@pytest.mark.parametrize("app", ["synapse.app.generic_worker", "synapse.app.worker"])
def test_information_about_a_worker(place: Place, app: str) -> None:
    _prepare_worker(place)
    write(place.directory / "worker1.yaml", json.dumps(_worker_settings(place, worker_app=app)))
    options = ("config_path", "synapse_python", "working_directory")
    parameters = {name: value for name, value in _worker()(place).items() if name in options}
    done = play(place, "synapse_config_info", without_server(**parameters, validate=True), token=False)
    is_right = app == "synapse.app.generic_worker"
    assert done["validation"]["accepted"] is is_right
    assert done["config"]["faults"] == []
    assert is_right or "has no worker" in done["validation"]["complaint"]
