# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """An archive, and the private key for it: see `archive_argument_spec` in `_backup/options.py`."""

    DOCUMENTATION = r"""
options:
  src:
    description:
      - The path of the archive on the host where the module runs.
    type: path
    required: true
  age_identity_path:
    description:
      - The file with the private key of an archive that is encrypted with age, as C(age-keygen) writes it, or a private
        key of SSH without a passphrase.
    type: path
  gpg_home:
    description:
      - The home directory of GnuPG (C(GNUPGHOME)) with the private key of an archive that is encrypted with GnuPG. The
        key must have no passphrase, or an agent must know it.
    type: path
"""
