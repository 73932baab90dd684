# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creates and starts the cluster of PostgreSQL that Synapse uses, once the packages are installed."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files import look_at_postgresql, postgresql_host
from ansible_collections.matrix_ops.synapse.roles.synapse_postgresql.files.child_process import require


def answer(question: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the plan for the running server; raises `OSError` if it does not start. See look_at_postgresql.py."""
    if question["server"] == "distribution":
        prepare(question["arguments"]["port"])
    return look_at_postgresql.answer(question)


def prepare(port: int) -> None:
    """Make a cluster with this port run, now and after a restart of the host."""
    clusters = postgresql_host.find_clusters()
    if not clusters:
        postgresql_host.create_cluster(port)
    elif port not in [cluster.port for cluster in clusters] and len(clusters) == 1:
        # The look before has found no cluster: this is the one that the package has just created.
        cluster = clusters[0]
        require(["pg_conftool", cluster.version, cluster.name, "set", "port", str(port)])
        require(["systemctl", "restart", cluster.unit])
    require(["systemctl", "enable", "--now", "--quiet", postgresql_host.SERVICE])
    for cluster in postgresql_host.find_clusters():
        if cluster.port == port and not cluster.online:
            require(["systemctl", "start", cluster.unit])
