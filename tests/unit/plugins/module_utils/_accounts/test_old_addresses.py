# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses that no API can remove; what follows from them for an account is tested in test_declared.py."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.old_addresses import (
    is_removable,
    kept_beside,
    left_after_deactivation,
    warning_of_left,
)


def email(address: str) -> dict[str, str]:
    return {"medium": "email", "address": address}


@pytest.mark.parametrize(
    ("address", "removable"),
    [
        ("a@x.org", True),
        ("A@x.org", False),
        ("a@X.org", False),
        (" a@x.org", False),
        ("a@x.org\n", False),
        ("straße@x.org", False),
        ("strasse@straße.test", True),
        ("a", False),
        ("a@b@c", False),
        # Synapse deletes these, although no new one is like them.
        ("@", True),
        ("a b@x.org", True),
    ],
)
def test_is_removable_in_the_form_that_synapse_gives_it(address: str, removable: bool) -> None:
    assert is_removable(email(address)) is removable
    # Addresses of other kinds are not converted.
    assert is_removable({"medium": "email_old", "address": address})
    assert is_removable({"medium": "msisdn", "address": f"+{address}"})


def test_only_old_spellings_of_declared_ones_are_kept() -> None:
    stored = [email(address) for address in ("A@x.org", "a@x.org", "B@x.org", "broken")]
    assert kept_beside([email("a@x.org")], stored) == [email("A@x.org")]
    assert kept_beside([], stored) == []


def test_what_is_left_is_named_with_its_removal() -> None:
    left = left_after_deactivation([email("A@x.org"), email("a@x.org"), email("B@x.org")])
    assert left == [email("A@x.org"), email("B@x.org")]
    said = warning_of_left("@alice:x.org", left)
    assert "@alice:x.org keeps A@x.org, B@x.org after its deactivation" in said
    for address in ("A@x.org", "B@x.org"):
        sql = "DELETE FROM user_threepids WHERE user_id = '@alice:x.org' AND medium = 'email' AND address = '{}'."
        assert sql.format(address) in said
