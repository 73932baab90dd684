# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages are compared by name and version, with any spelling."""

from __future__ import annotations

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.requirement import (
    Requirement,
    parse_requirements,
    same_version,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.163", "1.163.0"),
        ("1.163.2", "v1.163.2"),
        ("1.164.0rc1", "1.164RC1"),
        ("1.164.0rc1", "1.164.0.rc-1"),
        ("1.0c2", "1.0rc2"),
        ("1.0a", "1.0alpha0"),
        ("1.0-1", "1.0.post1"),
        ("1.0.r1", "1.0.post1"),
        ("1.0.dev", "1.0dev0"),
        ("0!1.0", "1"),
        ("1.0", "1.0+local"),
        ("1.0+Ubuntu.1", "1.0+ubuntu-1"),
        ("0", "0.0"),
        ("2026.10.19.post1", "2026.10.19-1"),
        ("no version", "no version"),
        pytest.param("9" * 5000, "9" * 5000, id="more digits than Python makes a number of"),
    ],
)
def test_the_same_version(one: str, other: str) -> None:
    assert same_version(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.16", "1.160"),
        ("1.163.2", "1.163.20"),
        ("1.164.0", "1.164.0rc1"),
        ("1.0rc1", "1.0b1"),
        ("1.0", "1.0.post0"),
        ("1.0", "1.0.dev0"),
        ("1!1.0", "1.0"),
        ("1.0+a", "1.0"),
        ("1.0+a", "1.0+b"),
        ("10", "1"),
        ("no version", "1.0"),
        pytest.param("9" * 5000, "1.0", id="more digits than Python makes a number of"),
    ],
)
def test_different_versions(one: str, other: str) -> None:
    assert not same_version(one, other)


def test_requirements() -> None:
    synapse, driver = parse_requirements(["Matrix_Synapse==1.163", " psycopg2-binary ", "matrix_synapse==1.163"])
    assert (synapse.key, driver) == ("matrix-synapse", Requirement("psycopg2-binary", None))
    assert synapse.accepts("1.163.0") and not synapse.accepts("1.163.1") and not synapse.accepts(None)
    assert driver.accepts("2.9") and not driver.accepts(None)
    assert [str(each) for each in (synapse, driver)] == ["Matrix_Synapse==1.163", "psycopg2-binary"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-r/etc/passwd",
        "--index-url=http://x",
        "a>=1",
        "a==",
        "a==1.*",
        "a==one",
        "a[b]",
        "a @ http://x",
        "./a",
        "a b",
        "a;x",
        "==1",
    ],
)
def test_what_is_no_requirement(text: str) -> None:
    with pytest.raises(InvalidInput, match="packages contains"):
        parse_requirements([text])


def test_two_versions_of_one_package() -> None:
    with pytest.raises(InvalidInput, match="packages contains a-b==1 and A_B: remove one"):
        parse_requirements(["a-b==1", "A_B"])
