# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses that nginx would refuse, or would understand otherwise, are refused with the name of their variable."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import check_values


def _faults(**values: object) -> list[str]:
    question: dict[str, t.Any] = {"addresses": [], "admin_networks": [], "names": [], **values}
    return check_values.value_faults(question)


@pytest.mark.parametrize("value", ["1.2.3", "010.0.0.1", "...", "999.0.0.1", "ff", "127.0.0.1/8"])
def test_a_wrong_address_is_refused(value: str) -> None:
    (sentence,) = _faults(addresses=["::1", value])
    assert sentence == f"synapse_reverse_proxy_listen_addresses contains {value}, which is not an IP address."


@pytest.mark.parametrize("value", ["127.0.0.1/33", "::/129", "300.1.1.1", "ff", "127.1", "1.2.3", "..."])
def test_a_wrong_network_is_refused(value: str) -> None:
    (sentence,) = _faults(admin_networks=["10.0.0.0/8", value])
    assert sentence.startswith(f"synapse_reverse_proxy_allow_admin_from contains {value}, which is not an IP address")


@pytest.mark.parametrize(
    "value", ["0.0.0.0/0", "::/0", "128.0.0.0/1", "0.0.0.0/1", "8000::/1", "2000::/3", "64.0.0.0/2"]
)
def test_the_whole_internet_gets_no_admin_api(value: str) -> None:
    (sentence,) = _faults(admin_networks=[value])
    assert sentence.startswith(f"synapse_reverse_proxy_allow_admin_from contains {value}, which is a large part of")


@pytest.mark.parametrize("value", ["999.1.1.1", "1.2.3", "5", "[1.2]", "[::g]"])
def test_a_name_that_is_nearly_an_address_is_refused(value: str) -> None:
    (sentence,) = _faults(names=[value])
    assert sentence.startswith(f"{value} is not a host name, and not an IP address.")


def test_an_address_that_is_listed_twice_is_refused() -> None:
    found = _faults(addresses=["::1", "127.0.0.1", "::1"])
    assert found == ["synapse_reverse_proxy_listen_addresses contains ::1 twice."]


def test_right_values_are_accepted() -> None:
    names = ["a.example", "192.0.2.1", "[2001:db8::1]", "1a.example", "a1"]
    networks = ["10.0.0.0/8", "192.0.2.1", "fc00::/7", "::1", "192.0.2.7/24"]
    assert _faults(addresses=["0.0.0.0", "::", "192.0.2.1"], admin_networks=networks, names=names) == []
