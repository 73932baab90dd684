# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files are written with the attributes of the backup, and those without which nothing starts at the end."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._restore.files import (
    archived_files,
    attributes_of,
    in_order,
    missing_accounts,
)
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._restore.restored_host import (
    GROUP,
    OWNER,
    Host,
)


def test_the_configuration_is_written_last(host: Host) -> None:
    host.files["/etc/systemd/system/matrix-synapse.service"] = ("unit", b"")
    host.files["/etc/default/matrix-synapse"] = ("environment", b"")
    manifest_files = [
        {"member": path, "path": path, "kind": kind, "mode": "0600", "owner": OWNER, "group": GROUP}
        for path, (kind, _content) in host.files.items()
    ]
    entries = [{**entry, "sha256": "", "size": 0} for entry in manifest_files]
    ordered = in_order(archived_files({"files": entries}), [f"{host.server}/homeserver.yaml"])
    assert [file.kind for file in ordered][-3:] == ["unit", "configuration", "configuration"]
    assert ordered[-1].path == f"{host.server}/homeserver.yaml"


def test_attributes_of_a_missing_account() -> None:
    entry = {"mode": "4755", "owner": "no-such-user", "group": "no-such-group"}
    found = attributes_of(entry, lenient=True)
    # No file of a server has the set-user-ID bit.
    assert (found.mode, found.uid, found.gid) == (0o755, 0, 0)


def test_missing_accounts() -> None:
    service = {"user": OWNER, "group": "no-such-group"}
    files: list[dict[str, t.Any]] = [{"owner": "no-such-user", "group": GROUP}]
    manifest = {"files": files, "directories": [], "media": {"directories": []}, "service": service}
    assert missing_accounts(manifest) == ["the user no-such-user", "the group no-such-group"]
