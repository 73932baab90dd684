# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declared values are compared in the form in which Synapse shows them. Other values are refused."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._accounts.normal_form import (
    NORMAL_FORMS,
    normal_address,
    normal_external_id,
    normal_form,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_FORMS: list[t.Any] = [
    pytest.param("display_name", " Alice Example\n", "Alice Example", id="name-stripped"),
    pytest.param("display_name", "Alice  \t Example", "Alice  \t Example", id="name-inner-white-space-kept"),
    pytest.param("display_name", "\u00a0Alice\u2003", "Alice", id="name-stripped-of-any-white-space"),
    pytest.param("display_name", "\u200bAlice", "\u200bAlice", id="name-zero-width-space-is-none"),
    pytest.param("display_name", "   ", "", id="name-of-white-space-alone"),
    pytest.param("display_name", None, "", id="name-none"),
    pytest.param("display_name", "A\u0301", "A\u0301", id="name-keeps-its-unicode-form"),
    pytest.param("display_name", f" {'a' * 256} ", "a" * 256, id="name-counted-without-white-space"),
    pytest.param("display_name", "\U0001f600" * 256, "\U0001f600" * 256, id="name-counted-in-characters"),
    pytest.param("avatar_url", "mxc://Example.org/AbC", "mxc://Example.org/AbC", id="avatar-case-counts"),
    pytest.param("avatar_url", None, "", id="avatar-none"),
    pytest.param("user_type", "", "", id="type-empty"),
    pytest.param("user_type", None, "", id="type-none"),
    pytest.param("user_type", "Bot", "Bot", id="type-case-counts"),
    pytest.param("email", " Alice@Example.ORG\n", "alice@example.org", id="email"),
    pytest.param("email", "STRASSE.Stra\u00dfe@Example.org", "strasse.strasse@example.org", id="email-case-folded"),
    pytest.param("email", "a@STRA\u00dfE.example", "a@stra\u00dfe.example", id="email-domain-in-lower-case-alone"),
    pytest.param("msisdn", "+44 20 7946 0000", "442079460000", id="number-in-its-usual-form"),
    pytest.param("msisdn", "442079460000", "442079460000", id="number"),
    pytest.param("auth_provider", "OIDC-Google", "OIDC-Google", id="provider-case-counts"),
    pytest.param("external_id", " Alice ", " Alice ", id="external-id-white-space-counts"),
]


@pytest.mark.parametrize(("name", "value", "expected"), _FORMS)
def test_a_value_in_its_normal_form(name: str, value: str | None, expected: str) -> None:
    assert normal_form(name, value) == expected


@pytest.mark.parametrize(("name", "expected"), [(case.values[0], case.values[2]) for case in _FORMS])
def test_a_normal_form_is_stable(name: str, expected: str) -> None:
    assert normal_form(name, expected) == expected


def test_every_form_is_tested() -> None:
    assert {case.values[0] for case in _FORMS} == set(NORMAL_FORMS)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        pytest.param("display_name", "a" * 257, "longer than 256 characters", id="name-too-long"),
        pytest.param("avatar_url", "mxc://a/" + "b" * 1000, "longer than 1000 characters", id="avatar-too-long"),
        pytest.param("avatar_url", "https://example.org/a.png", "starts with mxc://", id="avatar-elsewhere"),
        pytest.param("avatar_url", "mxc://example.org/a\n", "white space", id="avatar-with-a-line-feed"),
        pytest.param("email", "alice", "is not a valid e-mail address", id="email-without-at"),
        pytest.param("email", "@example.org", "is not a valid e-mail address", id="email-without-localpart"),
        pytest.param("email", "alice@", "is not a valid e-mail address", id="email-without-domain"),
        pytest.param("email", "a@b@example.org", "is not a valid e-mail address", id="email-with-two-at"),
        pytest.param("email", "a b@example.org", "is not a valid e-mail address", id="email-with-a-gap"),
        pytest.param("email", "a" * 500 + "@example.org", "longer than 500 characters", id="email-too-long"),
        pytest.param("email", None, "is not a valid e-mail address", id="email-none"),
        pytest.param("msisdn", "++442079460000", "country code", id="number-with-two-signs"),
        pytest.param("msisdn", "\u0664\u0664", "as digits only", id="number-in-other-digits"),
        pytest.param("msisdn", "", "as digits only", id="number-empty"),
    ],
)
def test_value_that_synapse_cannot_show_is_refused(name: str, value: str | None, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        normal_form(name, value)


@pytest.mark.parametrize("name", sorted(NORMAL_FORMS))
@pytest.mark.parametrize(
    ("value", "reason"), [pytest.param("a\0b", "NUL", id="nul"), pytest.param("a\udcff", "UTF-8", id="bytes")]
)
def test_value_that_no_database_stores_is_refused(name: str, value: str | None, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        normal_form(name, value)


def test_an_address_keeps_its_medium() -> None:
    assert normal_address({"medium": "email", "address": "Alice@Example.org"}) == {
        "medium": "email",
        "address": "alice@example.org",
    }
    assert normal_address({"medium": "msisdn", "address": "+1 5"}) == {"medium": "msisdn", "address": "15"}


def test_an_external_id_has_no_other_keys() -> None:
    entry = {"auth_provider": "oidc", "external_id": "Alice", "comment": "x"}
    assert normal_external_id(entry) == {"auth_provider": "oidc", "external_id": "Alice"}
