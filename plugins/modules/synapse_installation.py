#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_installation
short_description: Manage the directories and the virtual environment of Synapse
version_added: 1.0.0
description:
  - Creates the directories of a server and the virtual environment that Synapse runs from. If an upgrade of the
    system's Python has broken the environment, the module creates it again.
  - Removes only files and directories that this collection has created. In every directory that it creates, it puts a
    file C(.matrix_ops.synapse), which contains the path of this directory. In any other directory the file has no
    effect.
  - A directory that was copied or moved to another path therefore counts as a directory that existed before. For an
    environment that was copied or moved, the task fails. Remove it, and the module creates a new one.
  - A directory that existed before keeps its owner, its mode and its contents. The task fails if the server could not
    use it.
  - The task fails for system directories and for home directories of users.
  - A run that was interrupted at any moment is completed or cleaned up by the next run.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
attributes:
  check_mode:
    support: full
    details:
      - Owners, groups and Python modules that do not exist yet are not an error in check mode, because an earlier task
        may create them.
  diff_mode:
    support: full
    details:
      - Shows the directories with their owners and modes, and the environment with the declared packages, but not the
        files in them.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  state:
    description:
      - With V(present), the directories and the environment exist.
      - With V(absent), the environment does not exist. With O(purge), the directories do not exist either.
    type: str
    choices:
      - present
      - absent
    default: present
  directories:
    description:
      - The directories of the server. Missing parent directories are created as well, with read permission for all
        users.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - An absolute path. Its last part must not be a symbolic link.
        type: path
        required: true
      owner:
        description:
          - The owner of a directory that the module creates. If this is not set or empty, it is the user who runs the
            task.
          - In a directory that existed before, this user must have the permissions in O(directories[].mode).
        type: str
      group:
        description:
          - The group of the directory. If this is not set or empty, it is the primary group of the owner.
        type: str
      mode:
        description:
          - The permissions of the directory, as octal digits in quotes.
        type: raw
        default: "0755"
      contents:
        description:
          - The exact names of the files and directories in it that are part of the server. All characters are allowed.
            O(purge) deletes them with everything in them.
          - In a directory that existed before, only regular files that contain the name of this collection in their
            first 4096 bytes are deleted.
          - Other entries of O(directories), and O(virtualenv), are never part of the contents.
        type: list
        elements: str
        default: []
      content_patterns:
        description:
          - More contents, as shell patterns such as V(homeserver.log.[0-9]*). Each pattern must start with four
            ordinary characters. To use a special character such as C(*) as an ordinary one, put it in brackets, as in
            C([*]).
          - O(purge) handles them in the same way as O(directories[].contents).
        type: list
        elements: str
        default: []
      marked_contents:
        description:
          - Shell patterns of regular files that O(purge) deletes only if they contain the name of this collection in
            their first 4096 bytes. This applies to every directory.
        type: list
        elements: str
        default: []
  virtualenv:
    description:
      - The path of the virtual environment. The module creates it under another name next to this path and moves it to
        this path when it is complete.
      - The path must not exist, or this module must have created the environment there.
      - The environment is created again if it does not match O(virtualenv_python) any more, if its Python does not run,
        if C(pip) is missing, or if an installation in it was interrupted. Packages that a user has installed in it with
        C(pip install) are installed again, in the same version.
      - Root runs programs from the environment. If the task runs as root, all directories in the path must therefore
        belong to root, and no other user may have write permission.
    type: path
  virtualenv_python:
    description:
      - The Python that creates the environment, as a path or as a name in E(PATH).
    type: str
    default: python3
  packages:
    description:
      - The packages that the environment must contain. An entry with a version, such as V(matrix-synapse==1.163.2),
        requires this version. An entry without a version accepts any version.
      - C(pip) reads its usual configuration, from files and from the environment variables of the task.
    type: list
    elements: str
    default: []
  initial_versions:
    description:
      - The version to install of packages that are in O(packages) without a version, as a dictionary of package names
        and versions. Each of these packages must be in O(packages).
      - It is only used if the environment does not contain the package yet. An installed package keeps its version,
        even if the environment must be created again.
      - For a package that has a version in O(packages), this option has no effect.
    type: dict
    default: {}
  purge:
    description:
      - Whether O(state=absent) also deletes the contents of the declared directories, and the directories that this
        module has created and that are empty afterwards.
    type: bool
    default: false
seealso:
  - module: matrix_ops.synapse.synapse_config
"""

EXAMPLES = r"""
- name: Install Synapse
  matrix_ops.synapse.synapse_installation:
    directories:
      - path: /etc/matrix-synapse
        owner: root
        group: matrix-synapse
        mode: "0750"
        contents:
          - homeserver.yaml
          - example.org.signing.key
      - path: /etc/matrix-synapse/conf.d
        owner: root
        group: matrix-synapse
        mode: "0750"
        marked_contents:
          - "*.yaml"
      - path: /var/lib/matrix-synapse
        owner: matrix-synapse
        group: matrix-synapse
        mode: "0750"
        contents:
          - homeserver.db
          - homeserver.db-shm
          - homeserver.db-wal
          - media_store
    virtualenv: /opt/venvs/matrix-synapse
    packages:
      - matrix-synapse==1.163.2
      - psycopg2-binary
  register: synapse

- name: Restart Synapse if it runs from another installation now
  ansible.builtin.systemd_service:
    name: matrix-synapse.service
    state: restarted
  when: synapse.restart_required

- name: Install a version of Synapse, but do not change the version of an existing installation
  matrix_ops.synapse.synapse_installation:
    virtualenv: /opt/venvs/matrix-synapse
    packages:
      - matrix-synapse
    initial_versions:
      matrix-synapse: "1.163.2"

- name: Remove the virtual environment and keep the data
  matrix_ops.synapse.synapse_installation:
    virtualenv: /opt/venvs/matrix-synapse
    state: absent

- name: Find out what would be deleted together with the data
  matrix_ops.synapse.synapse_installation:
    directories:
      - path: /var/lib/matrix-synapse
        owner: matrix-synapse
        contents:
          - homeserver.db
          - media_store
    virtualenv: /opt/venvs/matrix-synapse
    state: absent
    purge: true
  check_mode: true
  register: prediction
"""

RETURN = r"""
installation:
  description: The changes of the installation that were made, or in check mode would be made.
  returned: success
  type: dict
  contains:
    virtualenv:
      description: The path of the virtual environment, with symbolic links resolved.
      returned: if O(virtualenv) is set
      type: str
      sample: /opt/venvs/matrix-synapse
    created_paths:
      description: The directories that were created, and the environment if it did not exist.
      returned: always
      type: list
      elements: str
      sample:
        - /etc/matrix-synapse
    packages_installed:
      description: The packages that were installed, without their dependencies.
      returned: always
      type: list
      elements: str
      sample:
        - matrix-synapse==1.163.2
    packages_replaced:
      description: The versions that were installed before, of packages in RV(installation.packages_installed).
      returned: always
      type: list
      elements: str
      sample:
        - matrix-synapse==1.162.0
    rebuild_reason:
      description: The reason why the environment was created again.
      returned: if the environment was created again
      type: str
      sample: it was created for Python 3.11, and python3 is Python 3.13
    removed_paths:
      description:
        - The absolute paths that were removed. For a directory that was removed with everything in it, this is only the
          path of the directory.
        - With O(state=present), these are the remains of an interrupted run.
      returned: always
      type: list
      elements: str
      sample:
        - /opt/venvs/matrix-synapse
        - /opt/venvs
    kept_paths:
      description: With O(state=absent), the declared paths that were not removed. Otherwise empty.
      returned: always
      type: list
      elements: dict
      contains:
        path:
          description: The path.
          returned: always
          type: str
          sample: /var/log
        reason:
          description: The reason why it was not removed.
          returned: always
          type: str
          sample: it existed before this collection was used
restart_required:
  description:
    - Whether a running Synapse must be restarted, because packages were installed or removed or the environment was
      created again.
  returned: success
  type: bool
  sample: true
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
    - install matrix-synapse==1.163.2 into /opt/venvs/matrix-synapse
"""

from ansible_collections.matrix_ops.synapse.plugins.module_utils._argument_spec import ArgumentSpec
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.installation import (
    DeclaredInstallation,
    InstallationResource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.plugins.module_utils._module import Parameters, run_resource


def declare(parameters: Parameters) -> InstallationResource:
    """Return the installation as the parameters declare it."""
    return InstallationResource(
        DeclaredInstallation(
            directories=tuple(declare_directory(directory) for directory in parameters["directories"]),
            virtualenv=parameters["virtualenv"],
            virtualenv_python=parameters["virtualenv_python"],
            packages=tuple(parameters["packages"]),
            initial_versions=parameters["initial_versions"],
            present=parameters["state"] == "present",
            purge=parameters["purge"],
        )
    )


def declare_directory(parameters: Parameters) -> DeclaredDirectory:
    """Return one directory as its options declare it."""
    return DeclaredDirectory(
        parameters["path"],
        Ownership.of(parameters["mode"], parameters["owner"], parameters["group"]),
        tuple(parameters["contents"]),
        tuple(parameters["marked_contents"]),
        tuple(parameters["content_patterns"]),
    )


def main() -> None:
    """Run the module."""
    names = {"type": "list", "elements": "str", "default": []}
    directory = {
        "path": {"type": "path", "required": True},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "raw", "default": "0755"},
        "contents": names,
        "content_patterns": names,
        "marked_contents": names,
    }
    run_resource(
        ArgumentSpec(
            {
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                "directories": {"type": "list", "elements": "dict", "default": [], "options": directory},
                "virtualenv": {"type": "path"},
                "virtualenv_python": {"type": "str", "default": "python3"},
                "packages": names,
                "initial_versions": {"type": "dict", "default": {}},
                "purge": {"type": "bool", "default": False},
            }
        ),
        declare,
    )


if __name__ == "__main__":
    main()
