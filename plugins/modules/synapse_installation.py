#!/usr/bin/python
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: synapse_installation
short_description: Make the directories and the virtual environment of a Synapse, and take them away again
version_added: 1.0.0
description:
  - Makes the directories of a server and the virtual environment that it runs from, and mends an environment that an
    upgrade of the system's Python has broken.
  - Takes away what it has made, and nothing else. It knows that by a file C(.matrix_ops.synapse) that it puts into
    every directory that it makes. The file counts only where it says that it is, by the path of the directory.
  - A directory that was copied or moved to another place is therefore one that was there before. An environment is
    refused there, and made anew when it has been removed.
  - A directory that was there before keeps its owner, its mode and its contents, and must be usable as it is.
  - Directories of the system and the homes of people are refused, whatever is declared.
  - A run that was killed at any moment is made good by the next one.
author:
  - Matrix Ops maintainers (@matrix-ops)
extends_documentation_fragment:
  - matrix_ops.synapse._attributes
attributes:
  check_mode:
    support: full
    details:
      - Owners, groups and modules of Python that do not exist yet are fine in check mode, since earlier tasks may make
        them.
  diff_mode:
    support: full
    details:
      - Shows the directories with their owners and modes, and the environment with the declared packages, not the files
        in them.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  state:
    description:
      - V(present) means that the directories and the environment are there.
      - V(absent) means that the environment is not, and with O(purge) the directories are not either.
    type: str
    choices:
      - present
      - absent
    default: present
  directories:
    description:
      - The directories of the server. What is missing on the way to them is made too, readable by everybody.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - An absolute path. The last name in it must not be a symbolic link.
        type: path
        required: true
      owner:
        description:
          - Who a directory belongs to that is made. If it is not set or empty, that is the user who runs the task.
          - A directory that was there before must let this user do what O(directories[].mode) says.
        type: str
      group:
        description:
          - Its group. If it is not set or empty, that is the first group of the owner.
        type: str
      mode:
        description:
          - Its permissions, as octal digits in quotes.
        type: raw
        default: "0755"
      contents:
        description:
          - What in the directory is a part of the server, by its exact names, whatever characters are in them. O(purge)
            deletes them, with everything in them.
          - In a directory that was there before, only ordinary files are deleted that name this collection in their
            first 4096 bytes.
          - What another entry of O(directories), or O(environment), names is not a part of the contents.
        type: list
        elements: str
        default: []
      content_patterns:
        description:
          - More of O(directories[].contents), as shell patterns such as V(homeserver.log.[0-9]*). Each must begin with
            four ordinary characters. A special one, such as C(*), is an ordinary one in brackets, as in C([*]).
        type: list
        elements: str
        default: []
      marked_contents:
        description:
          - Shell patterns of ordinary files that are deleted only if they name this collection in their first 4096
            bytes, wherever they are.
        type: list
        elements: str
        default: []
  environment:
    description:
      - The virtual environment. It is made beside its place, and put there when it is whole.
      - It must not exist, or have been made by this module.
      - It is made anew if it does not fit what O(python) is now, if its Python does not run, if C(pip) is missing, or
        if an installation in it was interrupted. What somebody has installed in it with C(pip install) is installed
        again, in the same version.
      - Root runs programs from it, so for root the directories on the way must belong to root, and nobody else may
        write to them.
    type: path
  python:
    description:
      - What the environment is made with, as a path or a name in E(PATH).
    type: str
    default: python3
  packages:
    description:
      - The packages that the environment must hold, each with one version, such as V(matrix-synapse==1.163.2), or
        without, if any version is as good.
      - C(pip) reads its configuration as always, from files and from the environment variables of the task.
    type: list
    elements: str
    default: []
  purge:
    description:
      - Whether O(state=absent) also deletes the contents of the directories that are declared, and those directories
        that this module has made and that hold nothing else.
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
    environment: /opt/venvs/matrix-synapse
    packages:
      - matrix-synapse==1.163.2
      - psycopg2-binary
  notify: Restart Synapse

- name: Remove the virtual environment, and leave the data
  matrix_ops.synapse.synapse_installation:
    environment: /opt/venvs/matrix-synapse
    state: absent

- name: Say what would be deleted with the data
  matrix_ops.synapse.synapse_installation:
    directories:
      - path: /var/lib/matrix-synapse
        owner: matrix-synapse
        contents:
          - homeserver.db
          - media_store
    environment: /opt/venvs/matrix-synapse
    state: absent
    purge: true
  check_mode: true
  register: foreseen
"""

RETURN = r"""
environment:
  description: The virtual environment, with links on the way followed. Null if none is declared.
  returned: success
  type: str
  sample: /opt/venvs/matrix-synapse
made:
  description: The directories, and the environment, that were made, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample:
    - /etc/matrix-synapse
packages_installed:
  description: The packages that were installed, or in check mode would be, without what they need themselves.
  returned: success
  type: list
  elements: str
  sample:
    - matrix-synapse==1.163.2
rebuilt:
  description: Why the environment was made anew, or in check mode would be. Null if it was not.
  returned: success
  type: str
  sample: it was made for Python 3.11, and python3 is Python 3.13
removed:
  description:
    - What was removed, or in check mode would be, each path in full. For a directory with everything in it that is the
      directory.
    - With O(state=present), what an interrupted run had left.
  returned: success
  type: list
  elements: str
  sample:
    - /opt/venvs/matrix-synapse
    - /opt/venvs
left:
  description: With O(state=absent), what is declared and not removed.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it is.
      type: str
      sample: /var/log
    why:
      description: Why it is left.
      type: str
      sample: it was there before this collection came
outcome:
  description:
    - What became of the step at which the task failed, as was seen when it was looked at again.
    - V(done), V(partly_done), V(not_done), or V(unknown) if that cannot be seen.
  returned: if a step failed
  type: str
steps:
  description:
    - What was done, or in check mode would be done, in words.
    - When a task fails in the middle, what was done until then, and the message says what became of the rest.
  returned: success, or if the task failed after it had begun
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
            environment=parameters["environment"],
            python=parameters["python"],
            packages=tuple(parameters["packages"]),
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
                "environment": {"type": "path"},
                "python": {"type": "str", "default": "python3"},
                "packages": names,
                "purge": {"type": "bool", "default": False},
            }
        ),
        declare,
    )


if __name__ == "__main__":
    main()
