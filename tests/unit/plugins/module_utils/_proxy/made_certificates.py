# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates for tests, made by the command openssl (1.1.1 or newer)."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

_EXTENSIONS = """
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
subjectAltName = {names}
{more}
"""


class Issued(t.NamedTuple):
    """A certificate and its key: the paths of the files in PEM format, and of both in one file."""

    certificate: str
    key: str
    both: str


class Workshop:
    """Makes certificates in a directory."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._serial = 0

    def authority(self, name: str, issuer: Issued | None = None) -> Issued:
        """Make a certificate that can sign others, by itself if there is no issuer."""
        return self._issue(name, "", 3650, issuer, "ca")

    def leaf(
        self,
        names: str,
        issuer: Issued | None = None,
        days: int = 90,
        chain: tuple[Issued, ...] = (),
        issuer_url: str = "",
    ) -> Issued:
        """Make the certificate of a server. `names`: such as "DNS:a.example,IP:127.0.0.1". -1 days: it has expired.

        `chain`: further certificates for the file with both. `issuer_url`: where that of the issuer can be downloaded.
        """
        more = f"authorityInfoAccess = caIssuers;URI:{issuer_url}" if issuer_url else ""
        return self._issue("server.invalid", names, days, issuer, "leaf", chain, more)

    def _issue(
        self,
        name: str,
        names: str,
        days: int,
        issuer: Issued | None,
        kind: str,
        chain: tuple[Issued, ...] = (),
        more: str = "",
    ) -> Issued:
        self._serial += 1
        base = self._directory / f"{kind}{self._serial}"
        key, request, certificate, extensions = (f"{base}.{end}" for end in ("key", "csr", "crt", "ext"))
        pathlib.Path(extensions).write_text(_EXTENSIONS.format(names=names or "DNS:none.invalid", more=more))
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        _openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        signer = ["-CA", issuer.certificate, "-CAkey", issuer.key] if issuer else ["-signkey", key]
        serial = ["-set_serial", str(self._serial)]
        extended = ["-extfile", extensions, "-extensions", kind]
        _openssl("x509", "-req", "-in", request, "-days", str(days), *serial, *signer, *extended, "-out", certificate)
        parts = [certificate, *(link.certificate for link in chain), key]
        both = pathlib.Path(f"{base}.pem")
        both.write_text("".join(pathlib.Path(part).read_text() for part in parts))
        return Issued(certificate, key, str(both))


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
