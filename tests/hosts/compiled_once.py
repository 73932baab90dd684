# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sitecustomize of a host's Python: what is imported from zip files is compiled once, and not in each task again.

Ansible sends each task as a zip file with the sources of all that its module imports. What was compiled is kept under
the hash of its source, so that a task runs the same code as without this. Only root can keep something.

Every Python on the host imports this when it starts, so it imports nothing by itself that it may not need.
"""

from __future__ import annotations

import zipimport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

_KEPT = "/var/cache/compiled"
_compile_source = vars(zipimport)["_compile_source"]


def _compile_once(path: str, source: bytes) -> CodeType:
    """Do what zipimport's own function of this place does, unless it has been done before."""
    import _imp
    import hashlib
    import marshal
    import os

    kept = f"{_KEPT}/{hashlib.sha256(source).hexdigest()}"
    code: CodeType
    try:
        with open(kept, "rb") as file:
            code = marshal.load(file)
    except OSError:
        code = _compile_source(path, source)
        if os.access(_KEPT, os.W_OK):
            unfinished = f"{kept}.{os.getpid()}"
            with open(unfinished, "wb") as file:
                marshal.dump(code, file)
            os.rename(unfinished, kept)
        return code
    # Tracebacks name the file that it comes from now.
    vars(_imp)["_fix_co_filename"](code, path)
    return code


vars(zipimport)["_compile_source"] = _compile_once
