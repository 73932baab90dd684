# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Work on several processors: a function is called for each task in forked processes, which end with this one.

Only pipes are used, because a semaphore needs a writable /dev/shm, which is missing in some containers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError, told

try:
    import multiprocessing
    import multiprocessing.connection
except ImportError:  # pragma: no cover
    # A Python that was built without them: everything is done in this process.
    HAS_PROCESSES = False
else:
    HAS_PROCESSES = "fork" in multiprocessing.get_all_start_methods()

if t.TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

Task = t.TypeVar("Task")
Result = t.TypeVar("Result")


class _Failure(t.NamedTuple):
    """What a task raised. A SynapseError is sent in parts: not each class can be made from its message alone."""

    kind: type[Exception]
    args: tuple[t.Any, ...]
    attributes: dict[str, t.Any]

    def error(self) -> Exception:
        error = self.kind.__new__(self.kind, *self.args)
        vars(error).update(self.attributes)
        return error


class _Worker(t.NamedTuple):
    """A forked process, and this process's end of the pipe to it."""

    process: ForkProcess
    pipe: Connection


def processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def in_processes(
    function: t.Callable[[Task], Result], tasks: t.Sequence[Task], *, processes: int | None = None
) -> list[Result]:
    """Return `function(task)` for each task, in the order of the tasks.

    At most `processes` (as many as there are processors) run at the same time, each a fork of this one: so they know
    everything that this process knows, but only the results come back, which must be picklable. Everything is done in
    this process if there is only one task or processor, or if no process can be started.

    Raises what a task raised first: a SynapseError or an OSError as it is, any other as `_errors.told` describes it.
    No process is left when this function ends, in whatever way; if this process is killed, they end themselves.
    """
    count = min(processors() if processes is None else processes, len(tasks))
    if count > 1 and HAS_PROCESSES and not multiprocessing.current_process().daemon:
        lifeline, held = os.pipe()
        workers: list[_Worker] = []
        try:
            _start(workers, count, function, tasks, (lifeline, held))
            if workers:
                return _distributed(workers, len(tasks))
        finally:
            _end(workers)
            os.close(lifeline)
            os.close(held)
    return [function(task) for task in tasks]


def _start(
    workers: list[_Worker],
    count: int,
    function: t.Callable[[Task], Result],
    tasks: t.Sequence[Task],
    lifeline: tuple[int, int],
) -> None:
    """Add up to `count` processes to `workers`; fewer if the system refuses more."""
    context = multiprocessing.get_context("fork")
    # Without enough memory, processes or descriptors for another one, those that run do all the work.
    with contextlib.suppress(OSError):
        while len(workers) < count:
            pipe, its_pipe = context.Pipe()
            process = context.Process(target=_work, args=(function, tasks, its_pipe, lifeline), daemon=True)
            try:
                process.start()
            except BaseException:
                pipe.close()
                raise
            finally:
                its_pipe.close()
            workers.append(_Worker(process, pipe))


def _distributed(workers: list[_Worker], count: int) -> list[t.Any]:
    """Give each worker one task after the other, and return the results in the order of the tasks."""
    results: list[t.Any] = [None] * count
    remaining = iter(range(count))
    by_pipe = {worker.pipe: worker for worker in workers}
    for worker in workers:
        _give(worker, next(remaining, None))
    received = 0
    while received < count:
        for pipe in multiprocessing.connection.wait(list(by_pipe)):
            worker = by_pipe[t.cast("Connection", pipe)]
            try:
                number, result = worker.pipe.recv()
            except (EOFError, OSError):
                raise _lost(worker) from None
            if isinstance(result, _Failure):
                raise result.error()
            results[number] = result
            received += 1
            _give(worker, next(remaining, None))
    return results


def _give(worker: _Worker, number: int | None) -> None:
    """Send the number of the next task. That a worker is gone is noticed when its answer is read."""
    if number is not None:
        with contextlib.suppress(OSError):
            worker.pipe.send(number)


def _lost(worker: _Worker) -> SynapseError:
    worker.process.join(10)
    code = worker.process.exitcode or 0
    reason = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
    return SynapseError(
        f"A process that read a part of the log {reason} before it was done. If the system ran out of memory"
        " (see dmesg), read fewer files or a shorter time."
    )


def _end(workers: list[_Worker]) -> None:
    """End the processes at once: they only read, and what they have found was received."""
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.process.close()
        worker.pipe.close()


def _work(
    function: t.Callable[[Task], Result], tasks: t.Sequence[Task], pipe: Connection, lifeline: tuple[int, int]
) -> None:
    """Do the tasks whose numbers arrive. It runs in the forked process."""
    # An interrupt reaches all processes of a terminal: the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.close(lifeline[1])
    threading.Thread(target=_exit_with_parent, args=(lifeline[0],), daemon=True).start()
    while True:
        number = pipe.recv()
        pipe.send((number, _done(function, tasks[number])))


def _exit_with_parent(lifeline: int) -> None:
    """Wait until the parent is gone, and with it the only open writing end of the pipe."""
    os.read(lifeline, 1)
    os._exit(1)


def _done(function: t.Callable[[Task], t.Any], task: Task) -> t.Any:
    try:
        return function(task)
    except OSError as error:
        # Its own args do not contain the path.
        path = () if error.filename is None else (error.filename,)
        return _Failure(type(error), (*error.args, *path), {})
    except Exception as error:
        known = told(error)
        return _Failure(type(known), known.args, vars(known))
