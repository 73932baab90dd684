# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for files, and their execution."""

from __future__ import annotations

import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.declaration import DeclaredFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.service_files import (
    ServiceFilesResource,
)

OWN = "# matrix_ops.synapse\n"


def present(path: object, content: str = OWN, **declared: t.Any) -> DeclaredFile:
    """Return the declaration of a file with this content."""
    return DeclaredFile(str(path), content, **declared)


def absent(path: object, **declared: t.Any) -> DeclaredFile:
    """Return the declaration of a file that must not exist."""
    return DeclaredFile(str(path), None, False, **declared)


def plan_of(*declared: DeclaredFile) -> Plan:
    """Return the plan for files."""
    return ServiceFilesResource(declared).plan()


def steps_of(*declared: DeclaredFile) -> list[str]:
    """Return what a run would do."""
    return [step.description for step in plan_of(*declared).steps]


def run(*declared: DeclaredFile) -> list[str]:
    """Run the plan for files, require that the state is as predicted, and return the changed paths."""
    resource = ServiceFilesResource(declared)
    plan = resource.plan()
    changed: list[str] = resource.result(plan, False)["changed_paths"]
    assert (plan.before == plan.after) is not plan.changed
    plan.execute()
    resource.verify(plan)
    again = plan_of(*declared)
    assert again.steps == ()
    assert again.before == again.after == plan.after
    return changed
