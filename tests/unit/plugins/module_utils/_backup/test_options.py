# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.options import (
    archive_argument_spec,
    identity_argument_spec,
    identity_of,
)


def test_the_private_key_that_the_options_name() -> None:
    assert identity_of({"age_identity_path": None, "gpg_home": "/root/.gnupg"}) == Identity("", "/root/.gnupg")
    assert identity_of({"age_identity_path": "/key", "gpg_home": None}) == Identity("/key", "")


def test_an_archive_has_the_options_of_its_key() -> None:
    assert set(archive_argument_spec().argument_spec) == {"src", *identity_argument_spec().argument_spec}
