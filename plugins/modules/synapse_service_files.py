#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_service_files
short_description: Manage the files that a service of Synapse needs on its host
version_added: 1.0.0
description:
  - Writes and removes files such as drop-ins of systemd units, environment files and limits, all of them in one task.
  - A file is only replaced or removed if C(matrix_ops.synapse) is in its first line, or if it is empty. For any other
    file the task fails, unless O(files[].force=true).
  - All files are checked before the first one is changed. Each file is replaced in one step, so that no process reads
    half of it. If another process changes a file after the check, the task fails and the file stays.
  - Missing directories are created with a file C(.matrix_ops.synapse) in them, in the same way as by
    M(matrix_ops.synapse.synapse_installation). When the last file of such a directory is removed, the directory is
    removed too, unless another process creates something in it at the same moment. Other directories are not changed.
  - A run that was interrupted at any moment is completed by the next run.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
attributes:
  check_mode:
    support: full
    details:
      - Owners and groups that do not exist yet are not an error in check mode, because an earlier task may create them.
  diff_mode:
    support: full
    details:
      - Shows each file with its content, its mode, its owner and its group, and the directories that this collection
        has created for the files.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  files:
    description:
      - The files. Each file must be in the list only once.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - An absolute path. The file itself must not be a symbolic link.
          - Paths in directories whose files all belong to the system, such as C(/usr) without C(/usr/local), and paths
            of directories are an error.
        type: path
        required: true
      content:
        description:
          - The content of the file, which is required for O(files[].state=present). If it does not end with a newline,
            one is added.
          - Its first line must contain C(matrix_ops.synapse), so that the next run recognizes the file. A comment is
            the best place.
          - Do not put secrets in it. The content is shown in diff mode, and the default mode lets all users of the host
            read it.
        type: str
      state:
        description:
          - With V(present), the file exists with this content, mode, owner and group.
          - With V(absent), the file does not exist.
        type: str
        choices:
          - present
          - absent
        default: present
      mode:
        description:
          - The permissions of the file, as octal digits in quotes. An existing file gets them too.
        type: raw
        default: "0644"
      owner:
        description:
          - The owner of the file. If this is not set or empty, an existing file keeps its owner, and a new file belongs
            to the user who runs the task.
        type: str
      group:
        description:
          - The group of the file. If this is not set or empty, an existing file keeps its group, and a new file gets
            the group of the user who runs the task.
        type: str
      force:
        description:
          - Whether to replace or remove a file that this collection has not written. Its content is lost.
        type: bool
        default: false
notes:
  - The module does not reload systemd and does not restart a service. RV(changed_paths) shows what was changed.
  - If the task runs as root, every directory in O(files[].path) must belong to root, and no other user may have write
    permission. Otherwise such a user could make root write to another place.
  - A directory that M(matrix_ops.synapse.synapse_installation) has created is removed as well when it is empty.
seealso:
  - module: matrix_ops.synapse.synapse_installation
  - module: matrix_ops.synapse.synapse_config
"""

EXAMPLES = r"""
- name: Let Synapse open more files
  matrix_ops.synapse.synapse_service_files:
    files:
      - path: /etc/systemd/system/matrix-synapse.service.d/50-limits.conf
        content: |
          # Written by matrix_ops.synapse
          [Service]
          LimitNOFILE=65536
      - path: /etc/security/limits.d/50-matrix-synapse.conf
        content: |
          # Written by matrix_ops.synapse
          matrix-synapse soft nofile 65536
          matrix-synapse hard nofile 65536
  register: limits

- name: Restart Synapse with the new limits
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: restarted
    daemon_reload: true
  when: limits is changed

- name: Remove the limits, and the directory of the drop-in if it is empty then
  matrix_ops.synapse.synapse_service_files:
    files:
      - path: /etc/systemd/system/matrix-synapse.service.d/50-limits.conf
        state: absent
      - path: /etc/security/limits.d/50-matrix-synapse.conf
        state: absent
"""

RETURN = r"""
changed_paths:
  description:
    - The paths in O(files) that were written, removed, or got another mode, owner or group, or in check mode would be.
    - Directories are not listed, but RV(steps) contains them.
  returned: success
  type: list
  elements: str
  sample:
    - /etc/systemd/system/matrix-synapse.service.d/50-limits.conf
outcome:
  description:
    - The result of the step that failed, as a check afterwards showed it.
    - V(done), V(partly_done), V(not_done), or V(unknown) if the check did not show it.
  returned: if a step failed
  type: str
  sample: not_done
steps:
  description:
    - The steps that were done, or in check mode would be done.
    - If the task fails after its first step has begun, the steps that were done until then. RV(outcome) is the result
      of the step that failed.
  returned: success, or if the task failed after its first step had begun
  type: list
  elements: str
  sample:
    - create the directory /etc/systemd/system/matrix-synapse.service.d (root:root, 0755)
    - write /etc/systemd/system/matrix-synapse.service.d/50-limits.conf
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import ArgumentSpec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_resource
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.declaration import DeclaredFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.service_files import (
    ServiceFilesResource,
)


def declare(parameters: Parameters) -> ServiceFilesResource:
    """Return the files as the parameters declare them."""
    return ServiceFilesResource([declare_file(file) for file in parameters["files"]])


def declare_file(parameters: Parameters) -> DeclaredFile:
    """Return one file as its options declare it."""
    names = ("path", "content", "mode", "owner", "group", "force")
    return DeclaredFile(present=parameters["state"] == "present", **{name: parameters[name] for name in names})


def main() -> None:
    """Run the module."""
    file = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "mode": {"type": "raw", "default": "0644"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "force": {"type": "bool", "default": False},
    }
    run_resource(
        ArgumentSpec({"files": {"type": "list", "elements": "dict", "required": True, "options": file}}), declare
    )


if __name__ == "__main__":
    main()
