# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that are killed at random moments: the next run must leave the host right, and nothing foreign touched.

Keys of such a step, beside those of every step:
    rounds    what is run, one after the other and over again: `before` (arguments of a playbook that is run first, with
              `prepare`), `arguments`, and `share` (the latest moment at which it is killed, of the time that an earlier
              step has taken with the same playbook)
    prepare   the playbook that `before` is for
    killed    how many times it is killed (KILLS in the environment overrides it); not counted are rounds in which it
              ended before
    then      the playbook that looks at the host after the second run, with the same arguments
    foreign   files on the host, beside all that no role of this collection ever writes, that must stay as they are
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import typing as t

# All that roles of this collection write, and what changes by itself or by working on the host.
_OURS = [
    *("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/cache", "/var/lib/apt", "/var/lib/systemd"),
    *("/var/log/journal", "/var/log/wtmp", "/var/log/lastlog", "/var/log/btmp", "/etc/ld.so.cache"),
    *("/root/.cache", "/root/.ansible", "/home/ansible/.ansible"),
    *("/etc/matrix-synapse", "/opt/venvs", "/var/lib/matrix-synapse", "/var/lib/matrix_ops.synapse"),
    "/var/log/matrix-synapse",
    *(
        f"/etc/{name}{end}"
        for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
        for end in ("", "-")
    ),
    "/etc/.pwd.lock",
]
_PATTERNS = ("/etc/systemd/system/*matrix-synapse*", "*/zz-matrix_ops-*", "*/*-matrix_ops-*", "*/__pycache__")


class Player(t.Protocol):
    """What runs playbooks on a host. `durations`: how many seconds the first run of each has taken."""

    durations: dict[str, float]

    def play(self, step: dict[str, t.Any], kill_after: float | None = None) -> tuple[int, str]:
        """Run the step's playbook, and kill it after so many seconds, if it still runs then."""

    def on_host(self, command: str) -> str:
        """Return the output of a shell command on the host."""


def checksum_command(foreign: t.Sequence[str]) -> str:
    """Return the shell command that lists owner, mode and checksum of all that is foreign."""
    pruned = " -o ".join([f"-path {path}" for path in _OURS] + [f"-path {shlex.quote(path)}" for path in _PATTERNS])
    kept = " ".join(map(shlex.quote, foreign))
    listed = f"find / -xdev '(' {pruned} ')' -prune -o ! -type d -printf '%p %s %T@ %m %u %g %l\\n'"
    return f"sudo sh -c {shlex.quote(f'{listed}; stat -c %a.%U.%G.%Y {kept}; sha256sum {kept}')}"


def run_killed(player: Player, step: dict[str, t.Any]) -> t.Iterator[tuple[bool, str, str]]:
    """Kill the step's playbook at random moments; yield whether each thing holds, else what is wrong and the output."""
    command = checksum_command(step["foreign"])
    seed = os.environ.get("SEED") or str(random.randrange(10**6))
    moments = random.Random(seed)
    before = player.on_host(command)
    wanted = int(os.environ.get("KILLS") or step["killed"])
    latest = [one["share"] * player.durations[step["playbook"]] for one in step["rounds"]]
    killed = 0
    for number in range(3 * wanted):
        if killed == wanted:
            break
        kind = number % len(latest)
        one = step["rounds"][kind]
        if "before" in one:
            status, output = player.play({**step, "playbook": step["prepare"], "arguments": one["before"]})
            yield status == 0, f"round {number}, seed {seed}: what comes first failed", output
        after = moments.uniform(0, latest[kind])
        where = f"round {number}, seed {seed}, killed after {after:.1f} s"
        status, output = player.play({**step, "name": where, "arguments": one["arguments"]}, kill_after=after)
        if status == -signal.SIGKILL:
            killed += 1
        else:
            yield status == 0, f"{where}: it failed before it was killed", output
        told = {**step, "name": f"{where}: again", "also": [step["then"]], "arguments": one["arguments"]}
        status, output = player.play(told)
        yield status == 0, f"{where}: the second run or what looks at the host after it failed", output
        now = player.on_host(command)
        differing = sorted(set(before.splitlines()) ^ set(now.splitlines()))
        yield not differing, f"{where}: something foreign is not as it was:\n" + "\n".join(differing[:20]), output
    yield killed == wanted, f"seed {seed}: it was killed {killed} of {wanted} times", ""
