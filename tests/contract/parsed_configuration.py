# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration that Synapse accepts but with which none is started, and changes of it that its parser judges."""

from __future__ import annotations

import functools
import os
import typing as t

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    declared,
    look_at_files,
    write,
    write_beside,
    write_configuration,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Expectation, Parameters, Refusal

KEY = "ed25519 a_test CmxvX1YtBMpW3vpKW2pCLnbpkXEL1LpLpjoZ9PqhMEA\n"
# It would write a file.
LOG = (
    "{version: 1, formatters: {plain: {format: '%(message)s'}}, handlers: {file: {class:"
    " logging.handlers.TimedRotatingFileHandler, filename: new.log, formatter: plain}, buffer: {class:"
    " synapse.logging.handlers.PeriodicallyFlushingMemoryHandler, target: file, capacity: 10, flushLevel: 30}},"
    " root: {level: INFO, handlers: [buffer]}}\n"
)


def write_accepted(place: Place, **files: str) -> None:
    """Write a configuration that Synapse accepts, and more files beside the drop-in."""
    write_configuration(place)
    directory = place.directory
    write(directory / "signing.key", KEY)
    write_beside(
        place,
        {
            "00-paths.yaml": f"signing_key_path: {directory}/signing.key\nmedia_store_path: {directory}\n"
            "trusted_key_servers: []\nmacaroon_secret_key: hush-macaroon\n"
            "database: {name: sqlite3, args: {database: ':memory:'}}\n",
            **{f"{name.removesuffix('.yaml')}.yaml": text for name, text in files.items()},
        },
    )


def with_files(**files: str) -> t.Callable[[Place], None]:
    """Return what writes the same with these files beside the drop-in."""
    return lambda place: write_accepted(place, **files)


def say(**parameters: t.Any) -> t.Callable[[Place], Parameters]:
    """Return the parameters of synapse_config with the parser of Synapse."""

    def parameters_of(place: Place) -> Parameters:
        python = os.environ["CONTRACT_SYNAPSE_PYTHON"]
        return declared(place, **{"synapse_python": python, "working_directory": str(place.directory), **parameters})

    return parameters_of


refusal = functools.partial(
    Refusal, module="synapse_config", prepare=write_accepted, state=look_at_files, token=False, secrets=("hush",)
)
expectation = functools.partial(
    Expectation, module="synapse_config", prepare=write_accepted, state=look_at_files, token=False, secrets=("hush",)
)
