# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the requests of paths.py find through a proxy that exists only in a test."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Found
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.paths import (
    MOST_REQUESTS,
    ask_paths,
    judge_paths,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    DIRECT,
    NoLog,
    Page,
    Proxy,
    World,
    subject_of,
    synapse,
)

FED = "/_matrix/federation"
MODES = ["direct", "alone", "log"]


def found_with(
    proxy: Proxy, mode: str = "alone", two_sites: bool = False, server: t.Callable[[str], Page] = synapse
) -> tuple[Found, World]:
    """Ask through a proxy. Without the log or a signer, it is unknown what only these show: this is left out.

    `server`: what the proxy makes of the answers, which Synapse itself does not give.
    """
    world = World(proxy, server, synapse)
    asked = ask_paths(subject_of(world, direct=mode == "direct", two_sites=two_sites))
    found = judge_paths(asked, world if mode == "log" else NoLog())
    assert len(world.sent) <= MOST_REQUESTS
    # At each site, one request that passed is sent again, and one that failed, or one of each group.
    assert len(world.sent) - len(set(world.sent)) <= (8 if two_sites else 5)
    assert all(place == DIRECT for place, _request in world.sent) or len(asked.tags) == len(set(asked.tags))
    return found._replace(unknown=tuple(one for one in found.unknown if one.name != "signature_broken")), world


def summary(found: Found) -> dict[str, tuple[str, tuple[str, ...]]]:
    assert len({(finding.name, finding.site, finding.severity) for finding in found.findings}) == len(found.findings)
    return {finding.name: (finding.severity, finding.groups) for finding in found.findings}
