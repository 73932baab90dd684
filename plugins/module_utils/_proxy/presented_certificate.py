# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Reading the certificate of a place, also one that is not accepted.

The standard library shows the content only of a certificate that it has verified, so one that is not trusted is
presented to it as its own authority. It is read, nothing is sent over such a connection.
"""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import (
    NO_AGREEMENT,
    NotConnected,
    shown,
    tls_context,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.exchange import Place
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import Sends
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender

# X509_V_FLAG_PARTIAL_CHAIN and X509_V_FLAG_NO_CHECK_TIME of OpenSSL, x509_vfy.h
_PARTIAL_CHAIN, _NO_CHECK_TIME = 0x80000, 0x200000
_SHORT = {
    "commonName": "CN",
    "countryName": "C",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "localityName": "L",
    "stateOrProvinceName": "ST",
}


# What ssl calls the versions that this host does not accept.
_OLD_VERSIONS = {"SSLv3": "SSL 3.0", "TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1"}


class Presented(t.NamedTuple):
    """A certificate. What is not known is "", () or None.

    `not_before`, `not_after`: in seconds since 1970. `names`: DNS names and IP addresses. `has_issuer_url`: whether it
    has the address of the certificate of its issuer, as those of public authorities have. `sent`: how many
    certificates the server has sent.
    """

    subject: str = ""
    issuer: str = ""
    names: tuple[str, ...] = ()
    not_before: int | None = None
    not_after: int | None = None
    has_issuer_url: bool = False
    sent: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the content of the certificate could be read."""
        return self.not_after is not None

    def fits(self, name: str) -> bool:
        """Whether the certificate has a host name or an IP address, as RFC 6125 compares them."""
        wanted = _normal(name)
        labels = wanted.partition(".")[2]
        return any(own == wanted or (labels and own == f"*.{labels}") for own in map(_normal, self.names))


def trusted_certificate(sender: Sender, place: Place) -> Presented:
    """Return the certificate if its chain is trusted; its names and its dates are not verified. Raises NotConnected."""
    context = tls_context(sender.verify)
    context.check_hostname = False
    context.verify_flags |= _NO_CHECK_TIME
    return _read(sender, place, context)


def presented_certificate(sender: Sender, place: Place) -> Presented:
    """Return the certificate without verifying it. Raises NotConnected."""
    context = _tolerant(tls_context(False))
    with sender.open(place, context=context) as connection:
        encoded = connection.getpeercert(True) if isinstance(connection, ssl.SSLSocket) else None
        chain = getattr(connection, "get_unverified_chain", None)
        # Since Python 3.13.
        sent = len(chain()) if chain else None
    if not encoded:
        return Presented(sent=sent)
    context = _tolerant(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False
    context.verify_flags |= _PARTIAL_CHAIN | _NO_CHECK_TIME
    # A certificate may be so wrong that it cannot be used in any way.
    with contextlib.suppress(NotConnected, ssl.SSLError, ValueError):
        context.load_verify_locations(cadata=encoded)
        return _read(sender, place, context)._replace(sent=sent)
    return Presented(sent=sent)


def offered_version(sender: Sends, place: Place, reason: str) -> str:
    """Return the old version of TLS that a place wants, such as "TLS 1.0", "" if that is not why TLS has failed.

    `reason`: as in NoAnswer. Makes a connection if it says that there was no agreement, and sends nothing over it.
    """
    if NO_AGREEMENT not in reason or not isinstance(sender, Sender):
        return ""
    context = _tolerant(tls_context(False))
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with contextlib.suppress(NotConnected), sender.open(place, context=context) as connection:
        version = connection.version() if isinstance(connection, ssl.SSLSocket) else None
        return _OLD_VERSIONS.get(version or "", "")
    return ""


def verify(sender: Sender, place: Place) -> Presented:
    """Return the certificate if it is accepted as for requests. Raises NotConnected."""
    return _read(sender, place, None)


def _read(sender: Sender, place: Place, context: ssl.SSLContext | None) -> Presented:
    with sender.open(place, context=context) as connection:
        content = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    return _presented(t.cast("dict[str, t.Any]", content or {}))


def _tolerant(context: ssl.SSLContext) -> ssl.SSLContext:
    # Otherwise, a certificate with a weak key could not be read.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _presented(content: dict[str, t.Any]) -> Presented:
    names = [value.strip() for kind, value in content.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    return Presented(
        subject=_name(content.get("subject", ())),
        issuer=_name(content.get("issuer", ())),
        names=tuple(shown(_plain_address(name), 253) for name in names),
        not_before=_seconds(content.get("notBefore")),
        not_after=_seconds(content.get("notAfter")),
        has_issuer_url=bool(content.get("caIssuers")),
    )


def _name(parts: t.Iterable[t.Iterable[tuple[str, str]]]) -> str:
    return shown(", ".join(f"{_SHORT.get(key, key)}={value}" for part in parts for key, value in part), 500)


def _seconds(text: str | None) -> int | None:
    try:
        return None if text is None else int(ssl.cert_time_to_seconds(text))
    except ValueError:
        return None


def _plain_address(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _normal(name: str) -> str:
    text = _plain_address(name).lower().rstrip(".")
    with contextlib.suppress(UnicodeError):
        return text.encode("ascii" if text.isascii() else "idna").decode("ascii")
    return text
