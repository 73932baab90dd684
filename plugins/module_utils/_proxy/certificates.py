# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Whether the certificates of the public places are accepted by clients and other servers, and for how long."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.connecting import NotConnected, shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.finding import (
    ERROR,
    FIX_NOT_ASKED,
    WARNING,
    Finding,
    Found,
    Unknown,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.presented_certificate import (
    Presented,
    offered_version,
    presented_certificate,
    trusted_certificate,
    verify,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.server_names import is_address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.subject import CLIENT, Site, Subject
from ansible_collections.matrix_ops.synapse.plugins.module_utils._proxy.transport import Sender
from ansible_collections.matrix_ops.synapse.plugins.module_utils._timestamp import iso_time, returned_seconds

_OF_SERVERS = {"federation", "key"}
_DAY = 86_400
_SOON_DAYS = 14
_MOST_NAMES = 5
# X509_V_ERR_* of OpenSSL, x509_vfy.h: a certificate signed by itself; a chain that ends with one.
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN = 18, 19
# The issuer is not known, in three variants.
_NO_ISSUER = {2, 20, 21}
_TIMES = {9, 10}
_NAMES = {62, 64}


class Checked(t.NamedTuple):
    """The certificate of one place, {} if nothing is known of it, and what is wrong with it."""

    certificate: dict[str, t.Any]
    found: Found


def check_certificates(subject: Subject) -> tuple[list[dict[str, t.Any]], Found]:
    """Return the certificates of the sites with https, and what is wrong with them.

    A certificate has `site`, `address`, and the `name` that was asked; as far as it could be read, also `subject`,
    `issuer`, `names`, `not_after` (ISO 8601), `not_after_ts` (milliseconds since 1970) and `days_left`. A place that
    cannot be reached has none, and no finding: check_site reports it.
    """
    checked = [check_certificate(subject.sender, site) for site in subject.sites if isinstance(subject.sender, Sender)]
    found = Found()
    for one in checked:
        found += one.found
    return [one.certificate for one in checked if one.certificate], found


def check_certificate(sender: Sender, site: Site) -> Checked:
    """Check the certificate of one site. It makes at most four connections, and one if the certificate is accepted."""
    place = site.place
    if place.scheme != "https":
        return Checked({}, Found())
    refusal: NotConnected | None = None
    chain: NotConnected | None = None
    try:
        if sender.verify is False:
            certificate = presented_certificate(sender, place)
        else:
            try:
                certificate = verify(sender, place)
            except NotConnected as error:
                if error.kind != "certificate":
                    raise
                refusal = error
                certificate, chain = _refused(sender, site)
    except NotConnected as error:
        return Checked({}, _not_read(sender, site, error))
    # Other servers verify certificates, whatever the task does.
    is_verified = sender.verify is not False or bool(_OF_SERVERS & set(site.groups))
    findings = _judge(site, certificate, refusal, chain, ERROR if is_verified else WARNING)
    return Checked(_returned(site, certificate), Found(tuple(findings)))


def _not_read(sender: Sender, site: Site, error: NotConnected) -> Found:
    if error.kind == "tls":
        return Found((tls_failed(site, error.reason, offered_version(sender, site.place, error.reason)),))
    if error.kind == "not_asked":
        reason = f"The certificate of {site.place.address} was not read: {error.reason}."
        return Found(unknown=(Unknown("certificates", reason, FIX_NOT_ASKED),))
    return Found()


def tls_failed(site: Site, reason: str, version: str) -> Finding:
    """Return the finding for a place with which there is no TLS.

    `reason`: as in NoAnswer. `version`: the old version of TLS that it wants, as offered_version returns it.
    """
    todo = f"check that the proxy has a listener with TLS and a certificate for {site.place.host} on this port"
    if version:
        todo = f"it offers nothing newer than {version}, so let the proxy offer TLS 1.2 and 1.3"
    what = f"{affected(site)} cannot use {site.place.url}: {reason}; {todo}."
    return _finding("tls_failed", what, ERROR, site, reason)


def affected(site: Site) -> str:
    """Return who uses a site, for the beginning of a sentence."""
    if site.name == CLIENT:
        return "Clients and other servers" if _OF_SERVERS & set(site.groups) else "Clients"
    return "Other servers"


def _refused(sender: Sender, site: Site) -> tuple[Presented, NotConnected | None]:
    """Return the certificate that was not accepted, and why its chain is not trusted, None if it is."""
    try:
        return trusted_certificate(sender, site.place), None
    except NotConnected as error:
        if error.kind != "certificate":
            raise
        return presented_certificate(sender, site.place), error


def _judge(
    site: Site, certificate: Presented, refusal: NotConnected | None, chain: NotConnected | None, severity: str
) -> t.Iterator[Finding]:
    place = site.place
    code = refusal.verify_code if refusal else 0
    answer = refusal.reason if refusal else _summary(certificate)
    is_explained = False
    if code in _NAMES or (certificate.is_known and not certificate.fits(place.host)):
        is_explained = True
        names = ", ".join(certificate.names[:_MOST_NAMES]) or "no name at all"
        more = f" and {len(certificate.names) - _MOST_NAMES} others" if len(certificate.names) > _MOST_NAMES else ""
        listed = f"is for {names}{more}" if certificate.is_known else "is for another name"
        # Public authorities rarely issue certificates for an IP address.
        hint = ": let the well-known file or the SRV record name a host that has a certificate" * is_address(place.host)
        what = f"The certificate of {place.address} {listed}, but it must be for {place.host}{hint}."
        yield _finding("certificate_wrong_name", what, severity, site, answer)
    now = time.time()
    if certificate.not_after is not None and certificate.not_after < now:
        is_explained = True
        what = (
            f"The certificate of {place.address} has expired on {_date(certificate.not_after)}: renew it, and reload"
            " the proxy so that it uses the new one."
        )
        yield _finding("certificate_expired", what, severity, site, answer)
    elif certificate.not_before is not None and certificate.not_before > now:
        is_explained = True
        what = (
            f"The certificate of {place.address} is not valid before {_date(certificate.not_before)}: check the clock"
            " of this host, and the certificate."
        )
        yield _finding("certificate_expired", what, severity, site, answer)
    elif not certificate.is_known and code in _TIMES:
        is_explained = True
        what = f"The certificate of {place.address} has expired or is not valid yet: renew it."
        yield _finding("certificate_expired", what, severity, site, answer)
    elif certificate.not_after is not None and certificate.not_after - now < _SOON_DAYS * _DAY:
        what = (
            f"The certificate of {place.address} expires on {_date(certificate.not_after)}: check that it is renewed,"
            " and that the proxy is reloaded then."
        )
        yield _finding("certificate_expires_soon", what, WARNING, site, answer)
    cause = chain or (None if is_explained else refusal)
    if cause:
        what = f"The certificate of {place.address} is not trusted: {_why_not_trusted(certificate, cause)}."
        yield _finding("certificate_not_trusted", what, severity, site, cause.reason)


def _why_not_trusted(certificate: Presented, cause: NotConnected) -> str:
    issuer = certificate.issuer or "an authority that could not be read"
    if cause.verify_code == _SELF_SIGNED:
        return "it is self-signed, so use one of a public authority such as Let's Encrypt"
    if cause.verify_code == _SELF_SIGNED_IN_CHAIN:
        return "it was issued by a private authority, so use one of a public authority such as Let's Encrypt"
    if cause.verify_code not in _NO_ISSUER:
        return shown(cause.reason.rpartition(": ")[2])
    missing = (
        "an intermediate certificate is missing, so give the proxy the file with the full chain (fullchain.pem, not"
        " cert.pem)"
    )
    private = f"it was issued by {issuer}, which is not known here"
    # The server has sent at least one intermediate certificate.
    if certificate.sent is not None and certificate.sent > 1:
        return f"{private}, so use one of a public authority, or add the rest of the chain"
    if certificate.has_issuer_url:
        return f"{private}, because {missing}"
    return f"{private}: if that is a public authority, {missing}"


def _returned(site: Site, certificate: Presented) -> dict[str, t.Any]:
    values: dict[str, t.Any] = {"site": site.name, "address": site.place.address, "name": site.place.host}
    if certificate.not_after is not None:
        values["subject"] = certificate.subject
        values["issuer"] = certificate.issuer
        values["names"] = list(certificate.names)
        values.update(returned_seconds("not_after", certificate.not_after))
        values["days_left"] = int((certificate.not_after - time.time()) // _DAY)
    return values


def _summary(certificate: Presented) -> str:
    if certificate.not_after is None:
        return "a certificate that could not be read"
    names = shown(", ".join(certificate.names), 200) or "no names"
    return f"a certificate for {names}, valid until {_date(certificate.not_after)}"


def _date(seconds: int) -> str:
    return iso_time(seconds * 1000) or "a date that is not valid"


def _finding(name: str, what: str, severity: str, site: Site, answer: str) -> Finding:
    request = f"TLS handshake with {site.place.address} for the name {site.place.host}"
    return Finding(name, what, severity, site.name, {"request": request, "answer": answer}, site.groups)
