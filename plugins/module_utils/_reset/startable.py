# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether Synapse would start again with its configuration, which may have changed since it was started."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import (
    new_signing_key,
    reader_named,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import secret_values
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._reset.place import Place


def require_startable(
    config_path: t.Sequence[str], synapse_python: str, configuration: Configuration, place: Place
) -> None:
    """Raise ConfigurationError if Synapse's own parser refuses the configuration. Changes nothing.

    `place`: the user and the working directory of Synapse. A missing signing key is no fault, because Synapse makes it.
    """
    parser = Parser(
        tuple(config_path),
        synapse_python,
        place.working_directory or "/",
        None if place.uid is None else reader_named(str(place.uid)),
        is_guess=place.working_directory is None,
    )
    verdict = parser.judge(new_key=new_signing_key(configuration) is not None)
    if not verdict.accepted:
        hidden = verdict.hiding(secret_values(configuration.settings))
        raise ConfigurationError(f"{parser.sentence(hidden)} Nothing was stopped or dropped. {parser.advice(hidden)}")
