# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_asked import Asked
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_logged import as_logged, with_log
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.path_probes import probes_of
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._proxy.proxied_synapse import (
    NAME,
    World,
    intact,
    nginx,
    subject_of,
)


def test_tokens_are_hidden_as_synapse_hides_them() -> None:
    assert as_logged("/a?access_token=x&b=c") == "/a?access_token=<redacted>&b=c"
    assert as_logged("/a?b&access%5ftoken=x") == "/a?b&access%5ftoken=<redacted>"
    assert as_logged("/access_token=x") == "/access_token=x"


def test_the_log_tells_what_arrived() -> None:
    probe = probes_of("key", NAME)[0]
    for proxy, kind in ((intact, "same"), (nginx, "decoded")):
        world = World(proxy)
        row = Asked("client", probe, world.send(subject_of(world).sites[0].place, probe.request))
        outcome = with_log(row, world)
        assert (outcome.change.kind, outcome.is_logged) == (kind, True)
    missing = with_log(row._replace(answer=row.answer._replace(tag="f")), world)
    assert not missing.is_logged
    assert missing == row.outcome
