# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The database of a server that has only one, also if the configuration sets it as `databases` with one entry."""

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import (
    DatabaseSettings,
    find_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError


def find_only_database(
    configuration: Configuration, refusal: str, working_directory: str | None = None
) -> DatabaseSettings:
    """Return where the database with all data stores is. See `find_database` for `working_directory` and the errors.

    Raises ConfigurationError with `refusal`, the end of a sentence about several databases, if the data is in several.
    """
    several = configuration.settings.get("databases")
    if isinstance(several, dict) and len(several) > 1:
        raise ConfigurationError(f"{configuration.source_of('databases')} sets several databases, {refusal}")
    # Synapse does not start if one of them has no database.
    find_database(configuration, working_directory, "state")
    return find_database(configuration, working_directory)
