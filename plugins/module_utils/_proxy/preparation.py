# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Which server is examined, and where: from the task, the configuration, Synapse itself, and what is public."""

from __future__ import annotations

import email.utils
import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._address import Address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._connection_options import is_loopback
from ansible_collections.matrix_ops.synapse.plugins.module_utils._deadline import Deadline
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import (
    NotConnected,
    addresses_of,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.delegation import Delegation, resolve
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Answer, Place, text_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import Unknown, quoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.identity import KEY
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.public_url import client_place, place_of
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.recognition import proxy_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import parse_server_name, shown
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
_NO_ENDPOINT = "M_UNRECOGNIZED"
_FIX_DIRECT = (
    "Run the task on the host of Synapse, and set base_url to the URL of its listener, such as http://127.0.0.1:8008,"
    " or unix_socket to its path."
)
_NOT_FEDERATING = Unknown(
    "delegation",
    "Synapse does not serve other servers at base_url or at the public URL, so nothing was examined for them.",
    "Add federation to the resources of a listener in homeserver.yaml, if other servers are to reach this one.",
)


class Declared(t.NamedTuple):
    """What the task says. See the options of the module synapse_proxy_info."""

    base_url: str
    public_url: str | None
    server_name: str | None
    config_path: t.Sequence[str]
    synapse_python: str
    token: str
    unix_socket: str = ""


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
    if declared.server_name:
        parse_server_name(declared.server_name)
    public = place_of(declared.public_url, "public_url") if declared.public_url else None
    base = place_of(declared.base_url, "base_url")._replace(unix_socket=declared.unix_socket)
    _require_addresses(sender.connect_to)
    settings = read_settings(configuration, base.port, base.unix_socket) if configuration else Settings()
    reference, unknown = _reference(sender, base)
    server_name = _server_name(declared, configuration, reference, sender, public)
    delegation = resolve(server_name, sender, records)
    host = parse_server_name(server_name).host
    asks = not declared.public_url and not settings.public_baseurl
    client_file = fetch_client_file(sender, host) if asks else None
    client = client_place(
        declared.public_url, settings.public_baseurl, client_file.content if client_file else None, host
    )
    if delegation.place and delegation.place != client:
        sender.connect_also(delegation.connect_to_with(sender.connect_to))
        # Other servers leave the port out if it is none of the server name or of the well-known file.
        sender.name_host(delegation.place, delegation.host_header)
    is_federating = reference is None or reference.errcode != _NO_ENDPOINT
    direct = base if reference is not None and base != client else None
    if not is_federating and _name_at(sender, client):
        # The proxy knows another listener, which serves other servers. This one cannot be compared with it.
        is_federating, direct = True, None
        unknown = (*unknown, _not_direct(f"The listener at {base.named} does not serve other servers."))
    elif not is_federating:
        unknown = (*unknown, _NOT_FEDERATING)
    if reference is not None and base == client:
        unknown = (*unknown, _not_direct(f"base_url {base.url} is the public URL itself."))
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
    got = sender.send(base, KEY)
    if not isinstance(got, Answer) or not (text_of(got.json.get("server_name")) or got.errcode):
        return None, (_not_direct(f"Synapse itself was not found at {base.named}: {quoted(got)}."),)
    proxy = proxy_name([got])
    if proxy:
        return None, (_not_direct(f"At base_url {base.named}, {proxy} answers, and not Synapse itself."),)
    return got, ()


def _not_direct(reason: str) -> Unknown:
    return Unknown("direct", f"{reason} Only what is public was examined.", _FIX_DIRECT)


def _name_at(sender: Sender, public: Place | None) -> str:
    """Return the name of the server whose keys are at a place, "" if there are none."""
    got = sender.send(public, KEY) if public else None
    return text_of(got.json.get("server_name")) if isinstance(got, Answer) else ""


def _skew(base: Place, reference: Answer | None) -> float | None:
    if reference is None or base.unix_socket or is_loopback(base.host):
        return None
    try:
        told = email.utils.parsedate_to_datetime(reference.header("Date")).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return time.time() - told


def _server_name(
    declared: Declared,
    configuration: Configuration | None,
    reference: Answer | None,
    sender: Sender,
    public: Place | None,
) -> str:
    running = text_of(reference.json.get("server_name")) if reference else ""
    configured = configuration.server_name if configuration else ""
    name = declared.server_name or configured or running or _name_at(sender, public)
    if not name:
        raise InvalidInput(
            "The server name is not known, because no Matrix server answers at base_url or public_url. Set server_name,"
            " or config_path."
        )
    if running and running != name:
        address = Address(declared.base_url, declared.unix_socket)
        source = "server_name" if declared.server_name else "the server_name in config_path"
        raise InvalidInput(
            f"The server at {address} is {shown(running)}, but {source} is {name}. Set {address.option} to"
            f" the server {name}."
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
    return Signer(declared.synapse_python, server_name, key, path)
