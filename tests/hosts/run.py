# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the roles and playbooks on real hosts with a booted systemd: run [SCENARIO ...]

A scenario is a directory below scenarios/: scenario.toml with its steps in order, group_vars with the settings a user
would keep beside the inventory, and playbooks that prepare and inspect the host. Each gets a fresh host (see host.py).

scenario.toml:
    unit           the unit that is counted by `starts` and `reloads`
    configuration  patterns of files on the host whose secrets must appear in no output
[[step]] of scenario.toml:
    name        what this step shows
    playbook    a file beside scenario.toml, or a playbook of the collection by its full name
    also        playbooks that the same ansible-playbook runs after it
    arguments   further arguments of ansible-playbook
    environment further environment variables of ansible-playbook
    expect      passed     it ends well
                changed    ... and reports at least one change
                predicted  ... and reports at least one change, but the host is untouched
                unchanged  ... and reports none, and the host is untouched
                failed     it fails
                refused    it fails, and the host is untouched
    message     a regular expression that its output must contain
    starts      how many times the unit (see `unit`) was started during the step; likewise `reloads`
    tasks       how many tasks are run and skipped at most
    remember    after the step, keep the contents of the host's files below /etc and /srv under this name
    back_to     after the step, they must be as they were kept under this name
    reboot      true: restart the host and wait for it, instead of running a playbook
    wipe        boot the host afresh, instead of running a playbook; of what was on it only this directory is left
    rounds      kill the playbook at random moments instead, and run it again: see killing.py

Environment: CACHE, ANSIBLE_PLAYBOOK (default ansible-playbook), ANSIBLE_COLLECTIONS_PATH (default: this checkout).
Exit status: 0 all passed, 77 this machine cannot run them (the last line says why), else failed.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import typing as t
from pathlib import Path

import host as hosts
from killing import run_killed

HERE = Path(__file__).resolve().parent
SIDE_BY_SIDE = 2
SHOWN_LINES = 60
STEP_SECONDS = 1200

# systemd's own message ids: a unit was started, a unit was reloaded
STARTED = "39f53479d3a045ac8e11786248231fbf"
RELOADED = "7b05ebc668384222baa8881179cfda54"

# where a server has its data, and what Python and Ansible leave behind
PRUNED = "-name __pycache__ -o -path '*/.ansible' -o -path /root/.cache -o -path /srv/chat/data"
# what must stay as it was when nothing is changed: files, packages, processes of services
SNAPSHOT = (
    f"sudo find /etc /opt /srv /usr /home /root -xdev '(' {PRUNED} ')' -prune -o ! -type d "
    "-printf '%p %s %T@ %m %u\\n'; dpkg-query --show; "
    "systemctl show '*.service' --property=Id,MainPID,UnitFileState,ActiveEnterTimestampMonotonic "
    "| grep -v '^$' | paste - - - - | grep -v -e 'Id=ssh@' -e 'MainPID=0'"
)
# the contents of files that roles write, but for the index of libraries
CONTENTS = (
    f"sudo find /etc /srv -xdev '(' {PRUNED} -o -path /srv/chat/venv -o -path /etc/ld.so.cache "
    "')' -prune -o -type f -exec sha256sum {} +"
)

STOPPING = threading.Event()


class StepError(Exception):
    """A step did not do what it should; the message says what, `output` is what it printed."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class Scenario:
    """One scenario on one host."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = HERE / "scenarios" / name
        self.plan = tomllib.loads((self.directory / "scenario.toml").read_text())
        self.host = hosts.Host(f"run-{name}")
        self.log = hosts.BASE / "logs" / f"{name}.log"
        self.process: subprocess.Popen[str] | None = None
        self.remembered: dict[str, str] = {}
        self.durations: dict[str, float] = {}
        self.secrets: set[tuple[str, str]] = set()
        # The host as it was after the last step, if that has left it untouched.
        self.untouched = ""

    def run(self) -> None:
        """Start the host, run all steps, stop the host; StepError or HostError at the first thing that is wrong."""
        self.log.parent.mkdir(exist_ok=True)
        self.log.write_text("")
        try:
            self.host.start()
            group_vars = self.host.inventory.parent / "group_vars"
            group_vars.symlink_to(self.directory / "group_vars")
            for number, step in enumerate(self.plan["step"], 1):
                if STOPPING.is_set():
                    raise StepError("interrupted")
                started = time.monotonic()
                self.run_step(step)
                took = time.monotonic() - started
                self.durations.setdefault(step.get("playbook", ""), took)
                # An untouched host has the configuration that was read before.
                if not self.untouched:
                    self.secrets |= self.configured_secrets()
                with self.log.open("a") as log:
                    log.write(f"\n=== step {number} took {took:.1f} s: {step['name']}\n\n")
            self.require_no_secrets()
        finally:
            self.host.stop()

    def run_step(self, step: dict[str, t.Any]) -> None:
        """Run one step and hold it against everything it promises."""
        before, self.untouched = self.untouched, ""
        if "rounds" in step:
            for holds, message, output in run_killed(self, step):
                if not holds:
                    raise StepError(f"{step['name']}: {message}", output)
            return
        expect = step.get("expect", "passed")
        untouched = expect in ("unchanged", "predicted", "refused")
        if untouched:
            before = before or self.on_host(SNAPSHOT)
        counted = self.count(step)
        on_machine = "reboot" in step or "wipe" in step
        status, output = self.restart(step) if on_machine else self.play(step)

        def require(holds: bool, message: str) -> None:
            if not holds:
                raise StepError(f"{step['name']}: {message}", output)

        recap = re.findall(r"^\S+ +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=(\d+)", output, re.MULTILINE)
        changes = sum(int(changed) for changed, _failed in recap)
        if expect in ("failed", "refused"):
            require(status != 0, "it must fail, but it ended well")
        else:
            require(status == 0, f"ansible-playbook ended with status {status}")
            require(bool(recap) or on_machine, "no task was run")
        if expect in ("changed", "predicted"):
            require(changes > 0, "no change reported")
        if expect == "unchanged":
            changing = re.findall(r"^TASK \[(.*)\] \**\n(?:(?!TASK|PLAY).*\n)*?changed: ", output, re.MULTILINE)
            require(changes == 0, f"{changes} changes reported, expected none: {', '.join(changing)}")
        if untouched:
            after = self.on_host(SNAPSHOT)
            require(*same(before, after))
            self.untouched = after
        if "remember" in step:
            self.remembered[step["remember"]] = self.on_host(CONTENTS)
        if "back_to" in step:
            require(*same(self.remembered[step["back_to"]], self.on_host(CONTENTS)))
        if "tasks" in step:
            counted_tasks = re.findall(r" : ok=(\d+) .* skipped=(\d+) ", output)
            tasks = sum(int(number) for numbers in counted_tasks for number in numbers)
            require(tasks <= step["tasks"], f"{tasks} tasks, expected at most {step['tasks']}")
        if "message" in step:
            require(re.search(step["message"], output) is not None, f"no such message: {step['message']}")
        for sign in ("Traceback (most recent call last)", "[DEPRECATION WARNING]"):
            require(sign not in output, f"the output has a {sign}")
        for what, number in self.count(step).items():
            seen = number - counted[what]
            require(seen == step[what], f"{self.plan['unit']} had {seen} {what}, expected {step[what]}")

    def play(self, step: dict[str, t.Any], kill_after: float | None = None) -> tuple[int, str]:
        """Run the step's playbooks, and kill them after so many seconds; return the exit status and the output."""
        words = [os.environ["ANSIBLE_PLAYBOOK"], "--inventory", str(self.host.inventory)]
        for playbook in (step["playbook"], *step.get("also", [])):
            words.append(str(self.directory / playbook) if playbook.endswith(".yml") else playbook)
        words += step.get("arguments", [])
        with self.log.open("a") as log:
            log.write(f"\n=== {step['name']}\n$ {' '.join(words)}\n")
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            cwd=self.directory,
            env=os.environ | step.get("environment", {}),
        ) as self.process:
            how = signal.SIGTERM if kill_after is None else signal.SIGKILL
            timer = threading.Timer(STEP_SECONDS if kill_after is None else kill_after, self.interrupt, [how])
            timer.start()
            if STOPPING.is_set():
                self.interrupt()
            output = self.process.communicate()[0]
            timer.cancel()
        with self.log.open("a") as log:
            log.write(output)
        return self.process.returncode, output

    def interrupt(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the playbook that runs now, if any, with everything it started here."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, how)

    def restart(self, step: dict[str, t.Any]) -> tuple[int, str]:
        """Restart the host, with all or with the kept directory alone, and wait until its services are up again."""
        if "wipe" in step:
            self.host.wipe(step["wipe"])
        else:
            self.host.reboot()
        return 0, ""

    def on_host(self, command: str) -> str:
        """The output of a shell command on the host; HostError when it fails."""
        done = self.host.ssh(command, capture=True)
        if done.returncode != 0:
            raise hosts.HostError(f"host {self.host.name}: status {done.returncode} from: {command}")
        return done.stdout

    def count(self, step: dict[str, t.Any]) -> dict[str, int]:
        """How often the unit was started and reloaded until now, as far as the step asks."""
        return {
            what: int(self.on_host(f"sudo journalctl -q MESSAGE_ID={identifier} UNIT={self.plan['unit']} | wc -l"))
            for what, identifier in (("starts", STARTED), ("reloads", RELOADED))
            if what in step
        }

    def configured_secrets(self) -> set[tuple[str, str]]:
        """The secrets in the host's configuration, with their keys; none where there is no configuration (any more)."""
        text = self.on_host(f"sudo sh -c 'cat {' '.join(self.plan['configuration'])} 2>/dev/null || true'")
        return set(re.findall(r"^ *(\w*(?:secret|password|key)): *[\"']?([^\s\"']{8,})", text, re.MULTILINE))

    def require_no_secrets(self) -> None:
        """StepError if a secret that the host's configuration had after any step appears in the output of any step."""
        output = self.log.read_text()
        if not self.secrets:
            raise StepError("no secret was found in the configuration, so none can be looked for in the output")
        printed = sorted({key for key, value in self.secrets if value in output})
        if printed:
            raise StepError(f"the value of {', '.join(printed)} was printed; see {self.log}")


def same(before: str, after: str) -> tuple[bool, str]:
    """Whether two listings of a host are equal, and what differs."""
    differing = sorted(set(before.splitlines()) ^ set(after.splitlines()))
    return not differing, "\n".join(["the host is not as it was:", *differing[:20]])


def report(scenario: Scenario, run_seconds: float, error: Exception | None) -> None:
    """Print one line about a scenario, and what went wrong."""
    used = scenario.host.processor_seconds
    took = f"{run_seconds:.0f} s" + (f", on the host {used:.0f} s of processor time" if used else "")
    print(f"{'failed' if error else 'ok':6} {scenario.name} ({took})", flush=True)
    if error:
        shown = getattr(error, "output", "").splitlines()[-SHOWN_LINES:]
        print("\n".join(f"    {line}" for line in [*shown, *f"-> {error}".splitlines(), f"all output: {scenario.log}"]))


def run_all(names: list[str]) -> bool:
    """Run the scenarios, at most SIDE_BY_SIDE at a time; True if all passed."""
    # The longest first, so that none is left to run alone in the end.
    scenarios = sorted((Scenario(name) for name in names), key=lambda scenario: -len(scenario.plan["step"]))

    def one(scenario: Scenario) -> bool:
        if STOPPING.is_set():
            return False
        started = time.monotonic()
        error: Exception | None = None
        try:
            scenario.run()
        except (StepError, hosts.HostError) as caught:
            error = caught
        report(scenario, time.monotonic() - started, error)
        return error is None

    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        results = [pool.submit(one, scenario) for scenario in scenarios]
        try:
            outcomes = [result.result() for result in results]
            return all(outcomes)
        except BaseException:
            STOPPING.set()
            for scenario in scenarios:
                scenario.interrupt()
            raise


def set_environment(payloads: str) -> None:
    """Give ansible-playbook the collection and nothing of this user's own Ansible settings.

    `payloads`: where all of its runs keep the modules that they have built; see callbacks/payloads_once.py.
    """
    os.environ.setdefault("ANSIBLE_PLAYBOOK", "ansible-playbook")
    if "ANSIBLE_COLLECTIONS_PATH" not in os.environ:
        link = hosts.BASE / "collections/ansible_collections/matrix_ops/synapse"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(HERE.parent.parent)
        # Those that it depends on, where a test has downloaded them (see tests/environment/other_collections.py).
        others = sorted(hosts.CACHE.glob("collections-*"))
        os.environ["ANSIBLE_COLLECTIONS_PATH"] = ":".join(map(str, [hosts.BASE / "collections", *others]))
    os.environ.update({"ANSIBLE_CONFIG": str(HERE / "ansible.cfg"), "LC_ALL": "C.UTF-8"})
    callbacks = {"ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"), "ANSIBLE_CALLBACKS_ENABLED": "payloads_once"}
    os.environ.update(callbacks, PAYLOADS=payloads)


def stop_once(*_arguments: object) -> t.NoReturn:
    """Stop, and let nobody who says so again keep the hosts from being removed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main(names: list[str]) -> int:
    """Run the named scenarios, or all, and return the exit status."""
    known = sorted(path.parent.name for path in HERE.glob("scenarios/*/scenario.toml"))
    unknown = set(names) - set(known)
    if unknown:
        print(f"no such scenario: {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    hosts.build()
    with hosts.locked("run"), tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_payloads_") as payloads:
        for name in hosts.host_names():
            if name.startswith("run-"):
                hosts.Host(name).stop()
        set_environment(payloads)
        return 0 if run_all(names or known) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop_once)
    try:
        sys.exit(main(sys.argv[1:]))
    except hosts.CannotRunError as error:
        print(error, file=sys.stderr)
        sys.exit(77)
    except hosts.HostError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
