# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The certificate that a process of Synapse presents: the first one in the file `tls_certificate_path`.

Relies on Synapse 1.163 (synapse/config/tls.py), which gives the file to OpenSSL as a chain of certificates in PEM.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import stat

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError

_BYTES_AT_MOST = 1024 * 1024
_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----([^-]*)-----END (?:X509 )?CERTIFICATE-----")


def first_certificate(path: str) -> bytes:
    """Return the first certificate in the PEM file at `path`, as DER.

    Raises PermissionError if this user is not allowed to read it, ConfigurationError if it contains no certificate.
    """
    content = b""
    try:
        # Without O_NONBLOCK, a named pipe without a writer would block.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                content = file.read(_BYTES_AT_MOST)
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"tls_certificate_path {path} cannot be read: {reason}.") from error
    match = _CERTIFICATE.search(content)
    with contextlib.suppress(ValueError):
        if match:
            return base64.b64decode(b"".join(match[1].split()), validate=True)
    raise ConfigurationError(f"tls_certificate_path {path} contains no certificate in PEM format.")
