# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON which library Synapse's Python can load as jemalloc, and what else is to be preloaded.

The question is one argument, as JSON: `library`, the path of the declared library, or nothing to find one; `python`,
the path of Synapse's Python; and `values`, the values of LD_PRELOAD in the order in which they are applied.

Prints `library`, the path to preload, and `file`, the file that the process then shows, or null for both if no library
works; `complaints`, why the libraries before it did not work; `has_python` and `declared_exists`, whether these are
files; `preload`, everything to preload; and `gone`, the libraries of the last value that do not exist. If this cannot
be found out, prints one sentence to standard error and ends with status 1.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

LDCONFIG = "/sbin/ldconfig"
# In seconds, for each process.
TIME_LIMIT = 30
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
# What the package of each distribution that has one calls the library.
USUAL_NAME = "libjemalloc.so.2"
# The library must have the architecture of Synapse's Python, so this Python itself shows whether it can load it.
LOADED = r"""
import ctypes, re, sys
if not hasattr(ctypes.CDLL(None), "mallctl"):
    sys.exit("it has no symbol mallctl")
with open("/proc/self/maps", errors="surrogateescape") as file:
    found = re.findall(r"/\S*/libjemalloc\S*", file.read())
print(found[0] if found else sys.exit("the process shows no file whose name begins with libjemalloc"))
"""


class Problem(Exception):
    """A sentence about what did not work."""


def output_of(command: list[str], **variables: str) -> str:
    """Return what a command prints with these variables in its environment; raises `Problem` if it fails."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**ENVIRONMENT, **variables},
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Problem(f"{command[0]} has not ended after {TIME_LIMIT} seconds") from None
    except OSError as error:
        raise Problem(f"{command[0]} cannot be run: {error.strerror}") from None
    if ended.returncode:
        # A loader that cannot load the library says so, but starts the process.
        loader = re.search(r"ld[.]so: [^\n]*", ended.stderr)
        last = ended.stderr.strip().rpartition("\n")[2].rstrip(".")
        status = ended.returncode
        end = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise Problem(loader.group() if loader else last or f"{command[0]} {end}")
    return ended.stdout


def listed() -> list[str]:
    """Return the paths of jemalloc that the system knows; raises `Problem` if it lists nothing."""
    return list(dict.fromkeys(re.findall(r"(?m)=> (/\S*/libjemalloc\S*)$", output_of([LDCONFIG, "-p"]))))


def file_of(library: str, python: str) -> str:
    """Return the file that a process of Python shows with this library; raises `Problem` if it is not jemalloc."""
    # A loader would wait for a pipe.
    if not os.path.isfile(library):
        raise Problem(f"{library} {'is not a file' if os.path.lexists(library) else 'does not exist'}.")
    try:
        # Modules that Python loads when it starts can print something, too.
        files = re.findall(r"(?m)^/\S*/libjemalloc\S*$", output_of([python, "-I", "-c", LOADED], LD_PRELOAD=library))
        if not files:
            raise Problem(f"{python} has not said which file it has loaded")
    except Problem as problem:
        sentence = str(problem)
        raise Problem(sentence if sentence.startswith("ld.so: ") else f"{library} does not work: {sentence}.") from None
    return str(files[-1])


def find(declared: str, python: str) -> tuple[str | None, str | None, list[str]]:
    """Return the first library that works, the file that the process shows, and what is wrong with those before it."""
    complaints: list[str] = []
    try:
        candidates = [declared] if declared else listed()
    except Problem as problem:
        return None, None, [f"{LDCONFIG} -p lists no libraries: {problem}."]
    for library in candidates:
        try:
            return library, file_of(library, python), complaints
        except Problem as problem:
            complaints.append(str(problem))
    return None, None, complaints


def other_libraries(value: str) -> tuple[list[str], list[str]]:
    """Return the libraries of a value of LD_PRELOAD that are kept, and those that do not exist, without jemalloc."""
    names = dict.fromkeys(re.sub("['\"]", "", value).replace(":", " ").split())
    others = [name for name in names if not re.search(r"(^|/)libjemalloc[^/]*\Z", name)]
    # Where the loader looks for a name, a relative path or one with $LIB depends on the process.
    gone = [name for name in others if name.startswith("/") and "$" not in name and not os.path.exists(name)]
    return [name for name in others if name not in gone], gone


def main() -> None:
    """Print the answer."""
    question = json.loads(sys.argv[1])
    declared, python = question["library"], question["python"]
    has_python = os.path.isfile(python)
    library, file, complaints = find(declared, python) if has_python else (None, None, [])
    kept, gone = other_libraries(["", *question["values"]][-1])
    answer = {
        "library": library,
        "file": file,
        "complaints": complaints,
        "has_python": has_python,
        "declared_exists": os.path.isfile(declared),
        # In check mode, the library or Python may not be there yet.
        "preload": [library or declared or USUAL_NAME, *kept],
        "gone": gone,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        sys.exit(f"Which library is to be preloaded cannot be found out: {' '.join(str(error).split())}")
