# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the tests of the HTTP client ask, and what every one of its errors has to be like."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _errors as errors
from ansible_collections.matrix_ops.synapse.plugins.module_utils._client import Client
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils.scripted_http import ScriptedServer

TOKEN = "syt_very_secret_token"


def client_of(server: ScriptedServer, **options: t.Any) -> Client:
    return Client(server.base_url, TOKEN, **options)


def failure_of(kind: type[errors.SynapseError], ask: t.Callable[[], object]) -> errors.SynapseError:
    """Return the error that `ask` raises, after a look at what every error has to be like."""
    with pytest.raises(kind) as caught:
        ask()
    error = caught.value
    # Not one of its subclasses either.
    assert error.__class__ is kind
    assert TOKEN not in f"{error} {error.details}"
    assert "\n" not in error.message
    assert error.message.rstrip().endswith(".")
    return error
