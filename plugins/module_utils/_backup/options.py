# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The options that modules about archives have in common."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import ArgumentSpec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity


def identity_argument_spec() -> ArgumentSpec:
    """Return the options of the doc fragment `_backup_identity`: the private key for an encrypted archive."""
    return ArgumentSpec({"age_identity_path": {"type": "path"}, "gpg_home": {"type": "path"}})


def archive_argument_spec() -> ArgumentSpec:
    """Return the options of the doc fragment `_backup_archive`: an archive, and the private key for it."""
    return ArgumentSpec({"src": {"type": "path", "required": True}}).merge(identity_argument_spec())


def identity_of(parameters: t.Mapping[str, t.Any]) -> Identity:
    """Return the private key that the options name."""
    return Identity(parameters["age_identity_path"] or "", parameters["gpg_home"] or "")
