# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.settings import read_settings, signing_key
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Settings


def configured(**settings: t.Any) -> Configuration:
    return Configuration((ConfigurationFile("/etc/synapse/homeserver.yaml", {"server_name": "a.test", **settings}),))


def test_the_defaults_of_synapse() -> None:
    assert read_settings(configured(), None) == Settings(50 * 1024**2, None, None, False)


def test_what_is_set() -> None:
    listener = {"type": "http", "port": 8008, "x_forwarded": True}
    found = read_settings(
        configured(max_upload_size="10M", public_baseurl="https://m.test/", listeners=[listener]), 8008
    )
    assert found == Settings(10 * 1024**2, "https://m.test/", True, False)


@pytest.mark.parametrize("size", ["much", "", True, [], "10m"])
def test_a_size_that_synapse_refuses_is_not_known(size: t.Any) -> None:
    assert read_settings(configured(max_upload_size=size), None).max_upload_size is None


@pytest.mark.parametrize(
    ("port", "forwarded"),
    [(8008, True), (8009, False), (1, None), (None, None)],
)
def test_x_forwarded_is_that_of_the_listener(port: int | None, forwarded: bool | None) -> None:
    listeners = [
        {"type": "http", "port": 8008, "x_forwarded": True},
        {"type": "http", "port": 8009},
        {"type": "metrics", "port": 1},
        "nonsense",
    ]
    assert read_settings(configured(listeners=listeners), port).x_forwarded is forwarded


@pytest.mark.parametrize(("declared", "forwarded"), [({}, True), ({"x_forwarded": False}, False)])
def test_synapse_believes_the_proxy_behind_a_unix_socket(declared: dict[str, t.Any], forwarded: bool) -> None:
    listeners = [{"type": "http", "path": "/run/synapse.sock", **declared}, {"type": "metrics", "port": 9000}]
    assert read_settings(configured(listeners=listeners), 8008).x_forwarded is forwarded


def test_listeners_that_agree_need_no_port() -> None:
    assert read_settings(configured(listeners=[{"type": "http", "port": 1, "x_forwarded": True}]), 8008).x_forwarded


@pytest.mark.parametrize(
    ("settings", "enabled"),
    [
        ({"cas_config": {"server_url": "https://cas.test"}}, True),
        ({"cas_config": {"enabled": False}}, False),
        ({"saml2_config": {"sp_config": {}}}, True),
        ({"oidc_config": {"issuer": "https://i.test"}}, False),
        ({"oidc_config": {"enabled": True}}, True),
        ({"oidc_providers": [{"idp_id": "a"}]}, True),
        ({"oidc_providers": []}, False),
    ],
)
def test_single_sign_on(settings: dict[str, t.Any], enabled: bool) -> None:
    assert read_settings(configured(**settings), None).single_sign_on is enabled


def test_the_signing_key_or_its_file() -> None:
    assert signing_key(configured(signing_key="ed25519 a_x y")) == ("ed25519 a_x y", None)
    assert signing_key(configured(signing_key_path="/k")) == (None, "/k")
    assert signing_key(configured()) == (None, "/etc/synapse/a.test.signing.key")


@pytest.mark.parametrize("baseurl", ["", None, 5])
def test_a_public_baseurl_that_is_none(baseurl: t.Any) -> None:
    assert read_settings(configured(public_baseurl=baseurl), None).public_baseurl is None


@pytest.mark.parametrize("key", ["", None, 5, ["ed25519 a_x y"]])
def test_a_signing_key_that_is_none(key: t.Any) -> None:
    # Synapse does not start with it, and never reads the file then.
    assert signing_key(configured(signing_key=key, signing_key_path="/k")) == (None, None)
