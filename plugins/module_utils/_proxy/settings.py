# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What the configuration of Synapse says that matters to a proxy, and the key with which the server signs."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import signing_key_path
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.size import parse_size
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Settings

# In bytes (synapse/config/repository.py, 1.163).
DEFAULT_MAX_UPLOAD_SIZE = 50 * 1024 * 1024
_SINGLE_SIGN_ON = ("cas_config", "saml2_config")


def read_settings(configuration: Configuration, port: int | None, unix_socket: str = "") -> Settings:
    """Return what the configuration says.

    `port` or `unix_socket`: where Synapse is asked; `x_forwarded` is that of its listener.

    Relies on synapse/config/{repository,server,cas,saml2,oidc}.py of Synapse 1.163.
    """
    settings = configuration.settings
    baseurl = settings.get("public_baseurl")
    return Settings(
        max_upload_size=_size(settings.get("max_upload_size")),
        public_baseurl=baseurl if isinstance(baseurl, str) and baseurl else None,
        x_forwarded=_is_forwarded(settings.get("listeners"), port, unix_socket),
        single_sign_on=_has_single_sign_on(settings),
    )


def signing_key(configuration: Configuration) -> tuple[str | None, str | None]:
    """Return the signing key in the configuration, or else the path of its file. Both can be None."""
    key = configuration.settings.get("signing_key")
    if isinstance(key, str) and key:
        return key, None
    return None, signing_key_path(configuration)


def _size(value: t.Any) -> int | None:
    if value is None:
        return DEFAULT_MAX_UPLOAD_SIZE
    try:
        return parse_size(value)
    except ValueError:
        # Synapse does not start with it.
        return None


def _is_forwarded(listeners: t.Any, port: int | None, unix_socket: str) -> bool | None:
    """Return x_forwarded of the HTTP listener on `port` or at `unix_socket`, or of all of them if they agree."""
    found = [
        listener
        for listener in (listeners if isinstance(listeners, list) else [])
        if isinstance(listener, dict) and listener.get("type") == "http"
    ]
    key, value = ("path", unix_socket) if unix_socket else ("port", port)
    chosen = [listener for listener in found if listener.get(key) == value] or found
    # Synapse also believes the proxy if the listener is a Unix socket, which shows no address of a client.
    values = {bool(listener.get("x_forwarded", bool(listener.get("path")))) for listener in chosen}
    return values.pop() if len(values) == 1 else None


def _has_single_sign_on(settings: dict[str, t.Any]) -> bool:
    sections = [settings.get(key) for key in _SINGLE_SIGN_ON]
    enabled = any(isinstance(section, dict) and section.get("enabled", True) for section in sections)
    oidc = settings.get("oidc_config")
    return enabled or bool(settings.get("oidc_providers")) or bool(isinstance(oidc, dict) and oidc.get("enabled"))
