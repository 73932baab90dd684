# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The one plain format into which records of other sources are turned, so that counting has one path."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.plain_layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.record import Record

CANONICAL: t.Final = Layout("%(created)f\x1f%(name)s\x1f%(levelname)s\x1f%(request)s\x1f%(message)s")
_SPACES = bytes.maketrans(b"\x1f\n\r", b"   ")


def canonical_line(record: Record) -> bytes:
    """Return a record as one line for CANONICAL, with its line feed; it has no prefix.

    A line feed, a carriage return or a separator in a field becomes a space; a time that is not known is empty.
    """
    texts = (record.logger, record.level, record.request)
    fields = [b"" if record.time is None or record.time < 0 else b"%.6f" % record.time]
    fields += [text.encode("utf-8", "surrogateescape") for text in texts]
    return b"\x1f".join(field.translate(_SPACES) for field in [*fields, record.message]) + b"\n"
