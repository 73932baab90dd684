# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the permissions of an existing directory are sufficient."""

from __future__ import annotations

import os
import pwd

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership

# Any account except root. Its permissions are only calculated.
SOMEBODY = next(entry for entry in pwd.getpwall() if entry.pw_uid and entry.pw_gid)
UID, GID, NAME = SOMEBODY.pw_uid, SOMEBODY.pw_gid, SOMEBODY.pw_name
FREE = 987654


@pytest.mark.parametrize(
    ("ownership", "found"),
    [
        (Ownership(0o750, NAME), Attributes(0o750, UID, 0)),
        (Ownership(0o750, NAME), Attributes(0o770, FREE, GID)),
        (Ownership(0o750, NAME), Attributes(0o777, FREE, FREE)),
        (Ownership(0o750, "root", str(GID)), Attributes(0o750, 0, GID)),
        (Ownership(0o750, "root", str(GID)), Attributes(0o755, FREE, FREE)),
        (Ownership(0o750, "root"), Attributes(0o000, FREE, FREE)),
        (Ownership(0o750, "not_yet", str(GID)), Attributes(0o770, 0, GID)),
    ],
)
def test_serves(ownership: Ownership, found: Attributes) -> None:
    ownership.require_of("/srv/x", found)


@pytest.mark.parametrize(
    ("ownership", "found", "said"),
    [
        (
            Ownership(0o750, NAME),
            Attributes(0o755, 0, 0),
            rf"root:root \(mode 0755\), so that {NAME} could not write there",
        ),
        (Ownership(0o750, NAME), Attributes(0o077, UID, GID), f"so that {NAME} could not write there"),
        (Ownership(0o750, NAME), Attributes(0o730, FREE, GID), f"so that {NAME} could not read there"),
        (Ownership(0o750, NAME), Attributes(0o766, FREE, FREE), f"so that {NAME} could not enter it: give"),
        (Ownership(0o750, "root", str(GID)), Attributes(0o700, 0, GID), f"the group {GID} could not read there"),
        (Ownership(0o750, "not_yet", "nor_this"), Attributes(0o770, FREE, FREE), "not_yet could not write there"),
        (Ownership(0o750, "not_yet", str(GID)), Attributes(0o750, FREE, GID), "not_yet could not write there"),
    ],
)
def test_does_not_serve(ownership: Ownership, found: Attributes, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"^/srv/x exists and belongs to .*{said}"):
        ownership.require_of("/srv/x", found)


def test_names_that_do_not_exist_yet() -> None:
    ownership = Ownership.of("0750", "not_yet", "nor_this")
    assert ownership.known() is None
    assert ownership.shown() == {"mode": "0750", "owner": "not_yet", "group": "nor_this"}
    with pytest.raises(InvalidInput, match="owner not_yet does not exist"):
        ownership.attributes()


def test_nobody_named_is_this_user() -> None:
    assert Ownership.of(0o755, "", "").attributes() == Attributes(0o755, os.geteuid(), os.getegid())
    assert Ownership(0o755, NAME).attributes() == Attributes(0o755, UID, GID)
    with pytest.raises(InvalidInput, match="octal digits"):
        Ownership.of("rwx", None, None)
