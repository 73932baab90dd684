# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which server is examined, and where: from the task, the configuration, Synapse itself, and what is public."""

from __future__ import annotations

import email.utils
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import is_loopback
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import (
    Deadline,
    NotConnected,
    addresses_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.delegation import Delegation, resolve
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, Place, Request, text_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Unknown, quoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.public_url import client_place, place_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import parse_server_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.service_records import Records
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.settings import read_settings, signing_key
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.signing import Signer
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import (
    CLIENT,
    FEDERATION,
    GROUPS,
    Settings,
    Site,
    Subject,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.well_known_file import (
    Fetched,
    fetch_client_file,
)

# In seconds.
_LONGEST_LOOKUP = 5.0
KEY_PATH = "/_matrix/key/v2/server"


class Declared(t.NamedTuple):
    """What the task says. See the options of the module synapse_proxy_info."""

    base_url: str
    public_url: str | None
    server_name: str | None
    config_path: t.Sequence[str]
    synapse_python: str
    token: str


class Prepared(t.NamedTuple):
    """What is examined. `client`: the public URL.

    `skew_seconds`: how much the clock of this host differs from that of the host of Synapse, if it is another.
    """

    subject: Subject
    client: Place
    delegation: Delegation
    client_file: Fetched | None
    skew_seconds: float | None
    unknown: tuple[Unknown, ...]


def prepare(declared: Declared, sender: Sender, records: Records) -> Prepared:
    """Find out what to examine, with a few requests. Raises InvalidInput, ConfigurationError and MissingLibrary."""
    configuration = read_configuration(declared.config_path) if declared.config_path else None
    if declared.public_url:
        place_of(declared.public_url, "public_url")
    _require_addresses(sender.connect_to)
    base = place_of(declared.base_url, "base_url")
    settings = read_settings(configuration, base.port) if configuration else Settings()
    reference, unknown = _reference(sender, base)
    server_name = _server_name(declared, configuration, reference)
    delegation = resolve(server_name, sender, records)
    sender.connect_also(delegation.connect_to_with(sender.connect_to))
    host = parse_server_name(server_name).host
    asks = not declared.public_url and not settings.public_baseurl
    client_file = fetch_client_file(sender, host) if asks else None
    client = client_place(
        declared.public_url, settings.public_baseurl, client_file.content if client_file else None, host
    )
    if delegation.place and delegation.place != client:
        # Other servers leave the port out if it is none of the server name or of the well-known file.
        sender.name_host(delegation.place, delegation.host_header)
    is_federating = reference is None or reference.errcode != "M_UNRECOGNIZED"
    direct = base if reference is not None and base != client else None
    subject = Subject(
        server_name=server_name,
        sites=_sites(client, delegation.place if is_federating else None),
        sender=sender,
        direct=direct,
        settings=settings,
        token=declared.token,
        signer=_signer(declared, configuration, server_name) if is_federating else None,
        is_federating=is_federating,
    )
    return Prepared(subject, client, delegation, client_file, _skew(base, reference), unknown)


def _require_addresses(connect_to: t.Mapping[str, str]) -> None:
    """Raise InvalidInput if the task says to connect to a name that does not exist."""
    for target in dict.fromkeys(connect_to.values()):
        try:
            addresses_of(target, Deadline(_LONGEST_LOOKUP))
        except NotConnected as error:
            raise InvalidInput(f"connect_to contains {target!r}, but {error.reason}.") from error


def _reference(sender: Sender, base: Place) -> tuple[Answer | None, tuple[Unknown, ...]]:
    """Return the answer of Synapse itself to the request for its keys."""
    got = sender.send(base, Request(KEY_PATH))
    if isinstance(got, Answer) and (text_of(got.json.get("server_name")) or got.errcode):
        return got, ()
    return None, (
        Unknown(
            "direct",
            f"Synapse itself was not found at {base.url}: {quoted(got)}. Only what is public was examined.",
            "Run the task on the host of Synapse, or set base_url to the URL of its listener.",
        ),
    )


def _skew(base: Place, reference: Answer | None) -> float | None:
    if reference is None or is_loopback(base.host):
        return None
    try:
        told = email.utils.parsedate_to_datetime(reference.header("Date")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return time.time() - told


def _server_name(declared: Declared, configuration: Configuration | None, reference: Answer | None) -> str:
    running = text_of(reference.json.get("server_name")) if reference else ""
    configured = configuration.server_name if configuration else ""
    name = declared.server_name or configured or running
    if not name:
        raise InvalidInput(
            "The server name is not known, because Synapse itself does not answer at base_url. Set server_name, or"
            " config_path."
        )
    if running and running != name:
        source = "server_name" if declared.server_name else "the server_name in config_path"
        raise InvalidInput(
            f"The server at base_url {declared.base_url} is {running}, but {source} is {name}. Set base_url to the"
            f" server {name}."
        )
    return name


def _sites(client: Place, federation: Place | None) -> tuple[Site, ...]:
    if federation is None:
        return (Site(CLIENT, client, GROUPS[CLIENT]),)
    if federation == client:
        return (Site(CLIENT, client, (*GROUPS[CLIENT], *GROUPS[FEDERATION])),)
    return (Site(CLIENT, client, GROUPS[CLIENT]), Site(FEDERATION, federation, GROUPS[FEDERATION]))


def _signer(declared: Declared, configuration: Configuration | None, server_name: str) -> Signer | None:
    if configuration is None:
        return None
    key, path = signing_key(configuration)
    return Signer(declared.synapse_python, server_name, key, path) if key or path else None
