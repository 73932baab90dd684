# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether files are the configuration of a worker. Each worker has its own file with worker_app, beside shared ones."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration


def is_of_worker(configuration: Configuration, config_path: t.Sequence[str]) -> bool:
    """Return whether the configuration in `config_path` is that of one worker.

    The file with worker_app must be named itself. The main process reads the shared directories too, and does not start
    with a file with worker_app in them.
    """
    if not configuration.worker_app:
        return False
    file = os.path.realpath(configuration.source_of("worker_app") or "")
    return any(os.path.realpath(path) == file for path in config_path)
