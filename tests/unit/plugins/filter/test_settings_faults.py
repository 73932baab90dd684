# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter as Ansible finds it, and its documentation compared with what it returns."""

from __future__ import annotations

import typing as t

import pytest
import yaml

pytest.importorskip("ansible.errors", reason="Filters run on the controller only, with the whole of ansible-core.")

from ansible.errors import AnsibleFilterError

from ansible_collections.matrix_ops.synapse.plugins.filter import settings_faults as plugin


@pytest.fixture
def find() -> t.Callable[..., list[dict[str, t.Any]]]:
    """The filter, by its name."""
    return plugin.FilterModule().filters()["settings_faults"]


@pytest.mark.parametrize(
    ("settings", "setting", "kind"),
    [
        ({"max_upload_size": "lots"}, "max_upload_size", "refused"),
        ({"presence": {"enabled": "false"}}, "presence.enabled", "misread"),
        ({"registration_shared_secret": 123456789}, "registration_shared_secret", "secret"),
        ({"media_store_providers": []}, "media_store_providers", "unknown"),
    ],
)
def test_each_kind(
    find: t.Callable[..., list[dict[str, t.Any]]], settings: dict[str, t.Any], setting: str, kind: str
) -> None:
    (fault,) = find(settings, name="my_settings")
    assert (fault["setting"], fault["kind"]) == (setting, kind)
    assert fault["message"].startswith(f"{setting} in my_settings is ")
    assert kind in yaml.safe_dump(yaml.safe_load(plugin.RETURN))


def test_a_variable_is_corrected_where_it_is_declared(find: t.Callable[..., list[dict[str, t.Any]]]) -> None:
    (fault,) = find({"presence": {"enabled": "false"}})
    assert fault["message"].endswith(" If an expression gives the value, add the filter bool.")


def test_settings_without_faults(find: t.Callable[..., list[dict[str, t.Any]]]) -> None:
    assert find({}) == find({"max_upload_size": "50M"}, {"turn_shared_secret": "123456789"}) == []


def test_secrets_are_merged_and_never_shown(find: t.Callable[..., list[dict[str, t.Any]]]) -> None:
    settings = {"email": {"smtp_host": "mail.example", "notif_from": "x@example.org"}, "max_upload_size": "50M"}
    found = find(settings, {"email": {"smtp_pass": 1234567}, "max_upload_size": "quite-a-lot"}, "a", "b")
    assert [(fault["setting"], fault["kind"]) for fault in found] == [
        ("max_upload_size", "refused"),
        ("email.smtp_pass", "secret"),
    ]
    assert all(" in b " in fault["message"] for fault in found)
    assert not any("1234567" in fault["message"] or "quite-a-lot" in fault["message"] for fault in found)


@pytest.mark.parametrize("secret", ["hush" * 20, 'hü"sh-hush', "abc", "5e7", 12.5])
def test_secrets_are_not_shown_in_another_form(find: t.Callable[..., list[dict[str, t.Any]]], secret: object) -> None:
    for secrets in ({"max_image_pixels": secret}, {"listeners": [{"type": secret}]}):
        (fault,) = find({}, secrets)
        assert fault["message"].startswith(f"{fault['setting']} in secrets has a value")
        assert not any(form in fault["message"] for form in ("hush", "sh-", "abc", "5e7", "50000000", "12.5"))


@pytest.mark.parametrize(("settings", "secrets"), [(None, {}), ("a", {}), ([{"a": 1}], {}), ({}, "a")])
def test_a_value_that_is_no_dictionary(
    find: t.Callable[..., list[dict[str, t.Any]]], settings: object, secrets: object
) -> None:
    with pytest.raises(AnsibleFilterError, match="reads a dictionary of settings, but (settings|secrets) is none"):
        find(settings, secrets)


def test_each_value_is_documented_with_its_type(find: t.Callable[..., list[dict[str, t.Any]]]) -> None:
    documented = yaml.safe_load(plugin.RETURN)["_value"]["contains"]
    (fault,) = find({"max_upload_size": "lots"})
    assert {name: type(value).__name__ for name, value in fault.items()} == {
        name: value["type"] for name, value in documented.items()
    }
