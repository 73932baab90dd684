# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._ssh_login import shares_login


@pytest.mark.parametrize(
    "arguments",
    [
        "-C -o ControlMaster=auto -o ControlPersist=60s",
        "-o ControlPersist=yes -o ControlMaster=yes",
        "-oControlMaster=auto -oControlPersist=10m",
        "-o 'ControlMaster auto' -o 'ControlPersist = 60'",
        "-o controlmaster=AUTO -o CONTROLPERSIST=1h",
        "-M -o ControlPersist=60s",
        # For ssh, zero is for ever.
        "-o ControlMaster=auto -o ControlPersist=0",
        "-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/run/ssh/%C",
        "-o ControlMaster=auto -o ControlPersist=60s -S /run/ssh/%C",
        # The first one counts.
        "-o ControlMaster=auto -o ControlPersist=60s -o ControlPersist=no",
    ],
)
def test_one_login_is_shared(arguments: str) -> None:
    assert shares_login(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "-C",
        "-o ControlMaster=no -o ControlPersist=no",
        "-o ControlMaster=auto -o ControlPersist=no",
        "-o ControlMaster=no -o ControlPersist=60s",
        "-o ControlMaster=auto",
        "-o ControlPersist=60s",
        # It asks before each use.
        "-o ControlMaster=autoask -o ControlPersist=60s",
        "-o ControlPersist=no -o ControlMaster=auto -o ControlPersist=60s",
        "-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=none",
        "-o ControlMaster=auto -o ControlPersist=60s -S none",
        "-o ProxyCommand='ssh -o ControlMaster=auto -o ControlPersist=60s jump'",
        "-o ControlMaster=auto -o ControlPersist=60s -o 'open",
        "-o",
    ],
)
def test_each_connection_has_a_login_of_its_own(arguments: str) -> None:
    assert not shares_login(arguments)
