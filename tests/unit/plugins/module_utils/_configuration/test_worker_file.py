# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.worker_file import is_of_worker

_MAIN, _SHARED, _OWN = "/etc/x/homeserver.yaml", "/etc/x/conf.d/50.yaml", "/etc/x/workers/worker1.yaml"
_WORKER = {"worker_app": "synapse.app.generic_worker"}


@pytest.mark.parametrize(
    ("shared", "own", "config_path", "expected"),
    [
        ({}, _WORKER, [_MAIN, "/etc/x/conf.d", _OWN], True),
        # Written in another way.
        ({}, _WORKER, [_MAIN, "/etc/x/conf.d", "/etc/x/conf.d/../workers//worker1.yaml"], True),
        # The last file that sets it counts.
        (_WORKER, _WORKER, [_MAIN, "/etc/x/conf.d", _OWN], True),
        ({}, _WORKER, [_MAIN, "/etc/x/conf.d", "/etc/x/workers"], False),
        (_WORKER, {}, [_MAIN, "/etc/x/conf.d", _OWN], False),
        ({}, {}, [_MAIN, "/etc/x/conf.d", _OWN], False),
        ({}, {"worker_app": None}, [_MAIN, _SHARED, _OWN], False),
        (_WORKER, {"worker_app": "synapse.app.homeserver"}, [_MAIN, _SHARED, _OWN], False),
    ],
)
def test_whose_configuration_it_is(
    shared: dict[str, t.Any], own: dict[str, t.Any], config_path: list[str], expected: bool
) -> None:
    files = ((_MAIN, {"server_name": "x.test"}), (_SHARED, shared), (_OWN, own))
    configuration = Configuration(tuple(ConfigurationFile(path, settings) for path, settings in files))
    assert is_of_worker(configuration, config_path) is expected
