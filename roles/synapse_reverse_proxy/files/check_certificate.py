# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a certificate of the user and its key: what clients would say of it, before nginx has it."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import stat
import tempfile
import typing as t

CERTIFICATE = "synapse_reverse_proxy_certificate_path"
KEY = "synapse_reverse_proxy_private_key_path"
BLOCK = re.compile(
    r"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----.*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----", re.S
)
# A client that accepts the certificate itself, without those that signed it (X509_V_FLAG_PARTIAL_CHAIN of OpenSSL).
PARTIAL_CHAIN = 0x80000
# X509_V_ERR_... of OpenSSL.
NOT_YET_VALID, EXPIRED, OTHER_NAME, OTHER_ADDRESS = 9, 10, 62, 64


class EncryptedKeyError(ValueError):
    """A private key has a password."""


def certificate_faults(certificate: str, key: str, names: list[str]) -> list[str]:
    """Return what is wrong with the files of a certificate and of its key, for these names, as sentences.

    The first name is the public one, and a second one is that of the server. Raises `OSError` if a file cannot be read.
    """
    missing = [
        f"{path} ({variable}) does not exist on this host, or is not a file. A client such as certbot gets a "
        "certificate; synapse_reverse_proxy_self_signed makes one for tests."
        for variable, path in ((CERTIFICATE, certificate), (KEY, key))
        if not os.path.isfile(path)
    ]
    if missing:
        return missing
    blocks = BLOCK.findall(text_of(certificate))
    if not blocks:
        return [f"{certificate} ({CERTIFICATE}) contains no certificate in PEM format."]
    if "PRIVATE KEY-----" not in text_of(key):
        return [f"{key} ({KEY}) contains no private key in PEM format."]
    found = open_key(key) or pair_faults(certificate, key, blocks)
    for name, variable in zip(names, ("synapse_reverse_proxy_public_name", "synapse_reverse_proxy_server_name")):
        # One cause has one sentence: a certificate that has expired has expired for all names.
        found = found or client_faults(certificate, key, blocks[0], name, variable)
    return found


def text_of(path: str) -> str:
    """Return the text of a file."""
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def open_key(key: str) -> list[str]:
    """Return that all users of this host can read or change the key, as a sentence."""
    path = os.path.realpath(key)
    if not os.stat(path).st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return []
    directory = os.path.dirname(path)
    while os.stat(directory).st_mode & stat.S_IXOTH:
        if directory == "/":
            return [f"All users of this host can read or change {key} ({KEY}). Run chmod o= {path} first."]
        directory = os.path.dirname(directory)
    return []


def refuse_password() -> str:
    """Raise `EncryptedKeyError`, because nginx would have nobody to ask either."""
    raise EncryptedKeyError


def pair_faults(certificate: str, key: str, blocks: list[str]) -> list[str]:
    """Return why nginx could not use these two files together, as a sentence."""
    try:
        load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    except EncryptedKeyError:
        return [f"{key} ({KEY}) has a password, for which nginx would ask at each start. Set it to a key without one."]
    except ssl.SSLError as error:
        # The second reason is that of a key of another algorithm.
        if not re.search("mismatch|no certificate assigned", str(error).lower().replace("_", " ")):
            return [f"{certificate} ({CERTIFICATE}) and {key} ({KEY}) cannot be used: {error.reason or error}."]
    else:
        return []
    if any(is_pair(block, key) for block in blocks[1:]):
        return [
            f"{certificate} ({CERTIFICATE}) begins with the certificate of an authority. That of the server itself "
            "must come first, and those that signed it after it."
        ]
    return [f"{key} ({KEY}) is not the key of {certificate} ({CERTIFICATE}), but of another certificate."]


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load two files; raises `ssl.SSLError` or `EncryptedKeyError`."""
    context.load_cert_chain(certificate, key, password=refuse_password)


def is_pair(block: str, key: str) -> bool:
    """Return whether a certificate belongs to the key."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".pem") as file:
        file.write(block + "\n")
        file.flush()
        with contextlib.suppress(ssl.SSLError):
            load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), file.name, key)
            return True
    return False


def client_faults(certificate: str, key: str, block: str, name: str, variable: str) -> list[str]:
    """Return why a client that asks for this name would refuse the certificate as it is now, as a sentence."""
    error = refusal(certificate, key, block, name)
    if error is None:
        return []
    about = f"{certificate} ({CERTIFICATE})"
    if error.verify_code == NOT_YET_VALID:
        return [f"{about} is not valid yet. Look at its dates, and at the clock of this host."]
    if error.verify_code == EXPIRED:
        return [f"{about} has expired. Renew it first."]
    if error.verify_code in (OTHER_NAME, OTHER_ADDRESS):
        return [f"{about} is not valid for {name} ({variable}). Get a certificate for this name too."]
    return [f"{about} would be refused by clients: {error.verify_message}."]


def refusal(certificate: str, key: str, block: str, name: str) -> ssl.SSLCertVerificationError | None:
    """Return with what a client refuses a server with this certificate. They talk to each other in memory."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_pair(server_context, certificate, key)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_verify_locations(cadata=block)
    client_context.verify_flags |= t.cast(ssl.VerifyFlags, PARTIAL_CHAIN)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name.strip("[]"))
    # Each has to speak twice at most; a server that was refused learns of it last.
    for _turn in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error
    return None
