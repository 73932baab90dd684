# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and certificates for servers on loopback that federate."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import typing as t

import processes
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_AUTHORITY = "authority.pem"
_CERTIFICATE = "certificate.pem"
_KEY = "key.pem"


def server_name(engine: str) -> str:
    """Return a server name with a port on this machine: a host name for SQLite, an IPv6 literal for PostgreSQL.

    Without IPv6, it is an IPv4 literal for PostgreSQL.
    """
    port = processes.free_ports(1)[0]
    if engine == "sqlite":
        return f"localhost:{port}"
    return f"[::1]:{port}" if _has_ipv6() else f"127.0.0.1:{port}"


def make_certificates(directory: str) -> None:
    """Create `directory` with an authority, and a certificate of it for every name of the loopback interface."""
    os.mkdir(directory, 0o700)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    signs, serves = x509.BasicConstraints(ca=True, path_length=0), x509.BasicConstraints(ca=False, path_length=None)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    written = {
        _AUTHORITY: _certificate(authority, authority, authority_key, authority_key, [signs]),
        _CERTIFICATE: _certificate(subject, authority, key, authority_key, [serves, names]),
    }
    for name, certificate in written.items():
        _write(directory, name, certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write(directory, _KEY, key.private_bytes(encoding, form, serialization.NoEncryption()))


def settings(directory: str) -> dict[str, t.Any]:
    """Return the keys of homeserver.yaml for a server that federates, with the certificates in `directory`.

    A server that cannot be reached counts as failing after its first failure, instead of minutes later.
    """
    return {
        "tls_certificate_path": os.path.join(directory, _CERTIFICATE),
        "tls_private_key_path": os.path.join(directory, _KEY),
        "federation_custom_ca_list": [os.path.join(directory, _AUTHORITY)],
        "ip_range_blacklist": [],
        "federation": {"client_timeout": "10s", "max_long_retries": 0, "max_short_retries": 0},
    }


def listener(name: str) -> dict[str, t.Any]:
    """Return the TLS listener of the server `name` for other servers."""
    host, _colon, port = name.rpartition(":")
    address = "127.0.0.1" if host == "localhost" else host.strip("[]")
    resources = [{"names": ["federation"]}]
    return {"type": "http", "tls": True, "port": int(port), "bind_addresses": [address], "resources": resources}


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: list[x509.ExtensionType],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(issuer_key, hashes.SHA256())


def _write(directory: str, name: str, content: bytes) -> None:
    with open(os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(content)


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
