# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_service_files writes, removes and refuses. It needs no Synapse."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    attributes_of,
    look_at_files,
    unstarted,
    without_server,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    play,
    prove,
    prove_refusal,
)

_MODULE = "synapse_service_files"
_CONTENT = "# Written by matrix_ops.synapse\n[Service]\nLimitNOFILE=65536\n"
_DROP_IN, _LIMITS = "units/x.service.d/50-own.conf", "limits.d/50-own.conf"
# Only root can give files to another user.
_OWNER = "nobody" if os.geteuid() == 0 else ""

File = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class _Step:
    """A declaration and its expected result. Paths are relative to the directory of the place.

    `was`: the files of a previous run; `prepare`: what a user does after that.
    `left`: all files after the run, with their contents, except the marker files.
    """

    name: str
    files: tuple[File, ...]
    was: tuple[File, ...] = ()
    prepare: t.Callable[[Path], object] = lambda directory: None
    changed: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    left: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def expectation(self) -> Expectation:
        """Return it as an expectation for `prove`."""
        return Expectation(
            self.name,
            _MODULE,
            lambda place: _declared(place, self.files),
            prepare=self._prepare,
            changes=bool(self.steps),
            state=look_at_files,
            returns=lambda place: {
                "changed_paths": [f"{place.directory}/{path}" for path in self.changed],
                "steps": lambda steps: _fit(self.steps, [step.replace(f"{place.directory}/", "") for step in steps]),
            },
            token=False,
        )

    def _prepare(self, place: Place) -> None:
        (place.directory / "limits.d").mkdir()
        if self.was:
            done = play(place, _MODULE, _declared(place, self.was), token=False)
            assert done["changed"], done
        self.prepare(place.directory)


def _declared(place: Place, files: t.Iterable[File]) -> Parameters:
    return without_server(
        files=[{**file, "path": file["path"].replace("{here}", str(place.directory))} for file in files]
    )


def _present(path: str, content: str = _CONTENT, **further: t.Any) -> File:
    return {"path": f"{{here}}/{path}", "content": content, **further}


def _absent(path: str, **further: t.Any) -> File:
    return {"path": f"{{here}}/{path}", "state": "absent", **further}


def _fit(patterns: t.Sequence[str], steps: t.Sequence[str]) -> bool:
    return len(patterns) == len(steps) and all(map(re.fullmatch, patterns, steps))


def _contents(directory: Path) -> dict[str, str]:
    paths = (path for path in directory.rglob("*") if path.is_file() and path.name != ".matrix_ops.synapse")
    return {str(path.relative_to(directory)): path.read_text() for path in paths}


def _write_own(directory: Path) -> None:
    (directory / _LIMITS).write_text("* soft nofile 1024\n")


_BOTH = (_present(_DROP_IN), _present(_LIMITS))
_MADE = (r"create the directory units \(.*, 0755\)", r"create the directory units/x.service.d \(.*, 0755\)")

STEPS = (
    _Step(
        "new files with their directories",
        _BOTH,
        changed=(_DROP_IN, _LIMITS),
        steps=(*_MADE, f"write {_DROP_IN}", f"write {_LIMITS}"),
        left={_DROP_IN: _CONTENT, _LIMITS: _CONTENT},
    ),
    _Step(
        "another content of one of them, without a newline at its end",
        (_present(_DROP_IN), _present(_LIMITS, "# matrix_ops.synapse: é")),
        was=_BOTH,
        changed=(_LIMITS,),
        steps=(f"write {_LIMITS}",),
        left={_DROP_IN: _CONTENT, _LIMITS: "# matrix_ops.synapse: é\n"},
    ),
    _Step(
        "another mode",
        _BOTH,
        was=(_present(_DROP_IN, mode="0600"), _present(_LIMITS)),
        changed=(_DROP_IN,),
        steps=(f"set mode 0644, owner .*, group .* on {_DROP_IN}",),
        left={_DROP_IN: _CONTENT, _LIMITS: _CONTENT},
    ),
    _Step("the same files", _BOTH, was=_BOTH, left={_DROP_IN: _CONTENT, _LIMITS: _CONTENT}),
    _Step(
        "the file of a user is replaced by force",
        (_present(_LIMITS, force=True),),
        prepare=_write_own,
        changed=(_LIMITS,),
        steps=(f"write {_LIMITS}",),
        left={_LIMITS: _CONTENT},
    ),
    _Step(
        "one file instead of another",
        (_absent(_DROP_IN), _present("units/y.service.d/50-own.conf")),
        was=_BOTH,
        changed=(_DROP_IN, "units/y.service.d/50-own.conf"),
        steps=(
            r"create the directory units/y.service.d \(.*, 0755\)",
            f"remove {_DROP_IN}",
            "write units/y.service.d/50-own.conf",
            "remove units/x.service.d",
        ),
        left={"units/y.service.d/50-own.conf": _CONTENT, _LIMITS: _CONTENT},
    ),
    _Step(
        "everything is removed",
        (_absent(_DROP_IN), _absent(_LIMITS)),
        was=_BOTH,
        changed=(_DROP_IN, _LIMITS),
        steps=(f"remove {_DROP_IN}", f"remove {_LIMITS}", "remove units/x.service.d", "remove units"),
    ),
    _Step(
        "the file of a user keeps its directory",
        (_absent(_DROP_IN),),
        was=(_present(_DROP_IN),),
        prepare=lambda directory: (directory / "units/x.service.d/60-mine.conf").touch(),
        changed=(_DROP_IN,),
        steps=(f"remove {_DROP_IN}",),
        left={"units/x.service.d/60-mine.conf": ""},
    ),
    _Step(
        "a run that was interrupted before it removed the directories",
        (_absent(_DROP_IN),),
        was=(_present(_DROP_IN),),
        prepare=lambda directory: (directory / _DROP_IN).unlink(),
        steps=("remove units/x.service.d", "remove units"),
    ),
    _Step(
        "a run that was interrupted while it created a directory",
        (_present(_DROP_IN),),
        prepare=lambda directory: (directory / f".matrix_ops.synapse.{'0' * 32}").mkdir(),
        changed=(_DROP_IN,),
        steps=(
            f"remove [.]matrix_ops[.]synapse[.]{'0' * 32}, which an interrupted run has left",
            *_MADE,
            f"write {_DROP_IN}",
        ),
        left={_DROP_IN: _CONTENT},
    ),
    _Step("nothing to remove", (_absent(_DROP_IN), _absent(_LIMITS))),
)


def _refusal(name: str, message: str, *files: File, prepare: t.Callable[[Path], object] = _write_own) -> Refusal:
    def prepare_place(place: Place) -> None:
        (place.directory / "limits.d").mkdir()
        prepare(place.directory)

    return Refusal(
        name,
        _MODULE,
        lambda place: _declared(place, files),
        message,
        prepare=prepare_place,
        state=look_at_files,
        token=False,
    )


REFUSALS = (
    _refusal("the file of a user", "has not written it, so that it is not replaced: move it away, or", *_BOTH),
    _refusal("to remove the file of a user", "so that it is not removed", _absent(_DROP_IN), _absent(_LIMITS)),
    _refusal(
        "a content without the mark", "in its first line, by which the next run", _present(_DROP_IN, "[Service]\n")
    ),
    _refusal("no content", "has no content for .*: set content", {"path": f"{{here}}/{_DROP_IN}"}),
    _refusal("a path twice", "twice: remove one of them", _present(_DROP_IN), _absent(_DROP_IN)),
    _refusal("a file in a file", "a file cannot be in a file", _present("x"), _present("x/y")),
    _refusal("a relative path", "set an absolute path", {"path": "x.conf", "content": _CONTENT}),
    _refusal("a path with ..", "without [.][.]", _present("x/../y")),
    _refusal("a directory", "is a directory: name a file in it", _present("limits.d")),
    _refusal("to remove a directory", "is a directory: name a file in it", _absent("limits.d", force=True)),
    _refusal(
        "a directory of the system",
        "/etc/systemd/system, which is a directory of the system",
        {"path": "/etc/systemd/system", "content": _CONTENT},
    ),
    _refusal(
        "a file of a package", "is /usr, a directory of the system", {"path": "/usr/lib/x.conf", "content": _CONTENT}
    ),
    _refusal(
        "a link",
        "is a symbolic link, which is not followed",
        _present(_LIMITS, force=True),
        prepare=lambda directory: (directory / _LIMITS).symlink_to("/dev/null"),
    ),
    _refusal("a mode in letters", "is not a file mode.* It is set for", _present(_DROP_IN, mode="u=rw")),
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return unstarted(tmp_path)


@pytest.mark.parametrize("step", [pytest.param(step, id=step.name) for step in STEPS])
def test_declared(place: Place, step: _Step) -> None:
    prove(place, step.expectation())
    assert _contents(place.directory) == step.left


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


def test_diff(place: Place) -> None:
    path = str(place.directory / "x.conf")
    done = prove(
        place,
        Expectation(
            "a diff",
            _MODULE,
            lambda here: _declared(here, (_present("x.conf", owner=_OWNER),)),
            state=look_at_files,
            token=False,
        ),
    )
    assert done["diff"]["before"]["files"] == {path: None}
    assert done["diff"]["after"]["files"] == {path: {"content": _CONTENT, **attributes_of(path)}}
    assert not _OWNER or attributes_of(path)["owner"] == _OWNER


def test_an_owner_that_an_earlier_task_creates(place: Place) -> None:
    parameters = _declared(place, (_present("x.conf", owner="not_yet_there"),))
    predicted = play(place, _MODULE, parameters, token=False, check=True)
    assert predicted["changed"], predicted
    refused = play(place, _MODULE, parameters, token=False)
    assert refused["failed"]
    assert not refused["changed"]
    assert "owner not_yet_there does not exist on this host" in refused["msg"]
    assert _contents(place.directory) == {}
