"""The owner of a sweep: hands out tasks, looks how far they are, deals with what goes wrong."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import replace

from deepnorm.sweeps.claims import progress_of
from deepnorm.sweeps.configuration import Run
from deepnorm.sweeps.executors import Executor, Handle, Processes
from deepnorm.sweeps.jobs import Outcome, Report, Task, claim_path, perform
from deepnorm.sweeps.progress import Progress, Reporter
from replica.common.interruption import Interruption

__all__ = ["Driver"]

#: Seconds between two looks at the workers, and between two at how far they are.
LOOK, LOOK_INSIDE = 0.05, 1.0
#: Seconds until a run that another process does is asked for again.
ELSEWHERE = 5.0
#: How often a run is begun whose worker dies, or fails otherwise.
ATTEMPTS = 2
#: How often a pool may break before one of its workers brings anything back.
BREAKS = 3


class Driver:
    """Brings tasks to their end.

    Parameters
    ----------
    tasks : sequence of Task
        The longest first.
    costs : mapping of Run to float
        Of every run of the sweep, in any unit.
    over : sequence of Run
        Those that need nothing.
    teller : Reporter
    wait : bool
        Ask again for runs that other processes do, until they are over.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        costs: Mapping[Run, float],
        over: Sequence[Run],
        teller: Reporter,
        wait: bool,
    ) -> None:
        self.outcomes: dict[Run, Outcome] = {run: Outcome(run, "skipped") for run in over}
        self.messages: list[str] = []
        self._queue = deque(tasks)
        self._running: dict[Handle, Task] = {}
        self._later: list[tuple[float, Task]] = []
        self._attempts: Counter[Run] = Counter()
        self._costs = costs
        self._teller = teller
        self._wait = wait
        self._told_elsewhere = False
        self._breaks = 0
        self._begin = time.monotonic()
        self._looked = 0.0
        self._steps: dict[Run, int] = {}
        self._first_seen: dict[Run, float] = {run: costs[run] for run in over}

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._begin

    def drive(self, executor: Executor, room: int | None = None) -> None:
        """Until every task is over.

        Parameters
        ----------
        executor : Executor
        room : int, optional
            Tasks handed out at a time; all where the executor keeps its own queue.
        """
        self._look_inside(force=True)
        while self._queue or self._running or self._later:
            now = time.monotonic()
            self._queue.extend(task for due, task in self._later if due <= now)
            self._later = [(due, task) for due, task in self._later if due > now]
            broken = False
            while self._queue and (room is None or len(self._running) < room):
                # A signal in between would lose the task, or leave a worker that starts alone.
                with Interruption():
                    task = self._queue.popleft()
                    try:
                        self._running[executor.submit(perform, task)] = task
                    except BrokenExecutor:
                        self._queue.appendleft(task)
                        broken = True
                if broken:
                    break
            for handle in [handle for handle in self._running if handle.done()]:
                task = self._running.pop(handle)
                try:
                    report: Report = handle.result()
                except BrokenExecutor:
                    broken = True
                    self._died(task)
                except Exception as error:
                    self._again(task, task.runs, f"{type(error).__name__}: {error}")
                else:
                    self._collect(task, report)
            if broken:
                self._mend(executor)
            self._look_inside()
            time.sleep(LOOK)
        self._look_inside(force=True)

    def stop(self, patience: float = math.inf) -> None:
        """Ask the workers to write their checkpoints, and wait until they have.

        Tasks that an executor has queued are begun, see that nobody wants them, and end. Those
        that do not answer within so many seconds will see it later: the request is left there.
        """
        waiting = [*self._queue, *(task for _, task in self._later), *self._running.values()]
        self._queue.clear()
        self._later.clear()
        if not waiting:
            return
        stop = waiting[0].stop
        stop.touch()
        until = time.monotonic() + patience
        while self._running and time.monotonic() < until:
            for handle in [handle for handle in self._running if handle.done()]:
                task = self._running.pop(handle)
                try:
                    report: Report = handle.result()
                except Exception as error:
                    self.tell(f"{task.runs[0].stem}: {type(error).__name__}: {error}")
                else:
                    for outcome in report.outcomes:
                        if outcome.status in ("finished", "diverged", "skipped", "failed"):
                            self._settle(outcome)
            time.sleep(LOOK)
        if self._running:
            self.tell(f"{len(self._running)} tasks did not answer; they end as they look")
        else:
            stop.unlink(missing_ok=True)

    def tell(self, text: str) -> None:
        """A message, at once and in the summary."""
        self.messages.append(text)
        self._teller.message(text)

    # ------------------------------------------------------------------ how it went

    def _collect(self, task: Task, report: Report) -> None:
        """Of a task that came back."""
        self._breaks = 0
        for note in report.notes:
            self.tell(note)
        outcomes = report.outcomes
        elsewhere = tuple(o.run for o in outcomes if o.status == "elsewhere")
        interrupted = tuple(o.run for o in outcomes if o.status == "interrupted")
        for outcome in outcomes:
            if outcome.status not in ("elsewhere", "interrupted"):
                self._settle(outcome)
        if interrupted:
            self._again(task, interrupted, "its worker was told to stop")
        if elsewhere and self._wait:
            if not self._told_elsewhere:
                self._told_elsewhere = True
                self.tell("other processes are doing some of these runs; waiting for them at last")
            self._later.append((time.monotonic() + ELSEWHERE, replace(task, runs=elsewhere)))
        elif elsewhere:
            for run in elsewhere:
                self.outcomes[run] = Outcome(run, "elsewhere")
        if any(outcome.fatal for outcome in outcomes):
            self._give_up(next(outcome for outcome in outcomes if outcome.fatal))

    def _settle(self, outcome: Outcome) -> None:
        """Nothing more will be done about this run."""
        self.outcomes[outcome.run] = outcome
        if outcome.status in ("diverged", "failed"):
            self.tell(f"{outcome.run.stem} {outcome.status}: {outcome.reason}")

    def _again(self, task: Task, runs: Sequence[Run], reason: str) -> None:
        """Once more, and then no more."""
        retried = []
        for run in runs:
            self._attempts[run] += 1
            if self._attempts[run] < ATTEMPTS:
                retried.append(run)
            else:
                self._settle(Outcome(run, "failed", f"twice; the last time: {reason}"))
        if retried:
            names = ", ".join(run.stem for run in retried)
            self.tell(f"{names} begins again from its checkpoint: {reason}")
            self._queue.append(replace(task, runs=tuple(retried)))

    def _died(self, task: Task) -> None:
        """A pool is broken. Of its tasks those count as guilty whose worker kept its claim.

        The other workers were asked to end, and released theirs with a checkpoint.
        """
        guilty = [run for run in task.runs if claim_path(task.folder, run).exists()]
        if guilty:
            self._again(task, task.runs, "its worker died; was it killed, or out of memory?")
        else:
            self._queue.appendleft(task)

    def _mend(self, executor: Executor) -> None:
        """Go on after a pool has broken, with a new one if it is ours."""
        for handle, task in list(self._running.items()):
            self._running.pop(handle)
            try:
                report: Report = handle.result()
            except Exception:
                self._died(task)
            else:
                self._collect(task, report)
        self._breaks += 1
        reason = "the executor broke"
        if isinstance(executor, Processes):
            if self._breaks < BREAKS:
                executor.restart()
                return
            reason = (
                'workers die as they start; a script needs `if __name__ == "__main__":` around '
                "`sweep`"
            )
        for task in (*self._queue, *(task for _, task in self._later)):
            for run in task.runs:
                self._settle(Outcome(run, "failed", reason))
        self._queue.clear()
        self._later.clear()

    def _give_up(self, outcome: Outcome) -> None:
        """What hit this run will hit all others: hand out no more."""
        rest = [*self._queue, *(task for _, task in self._later)]
        self._queue.clear()
        self._later.clear()
        for task in rest:
            for run in task.runs:
                self.outcomes[run] = Outcome(run, "failed", f"not begun, since {outcome.reason}")
        if rest:
            self.tell(f"no further run is begun, since {outcome.reason}")

    # ------------------------------------------------------------------ how far it is

    def _look_inside(self, force: bool = False) -> None:
        """Read from the claims how far the running ones are, and tell."""
        now = time.monotonic()
        if not force and now - self._looked < LOOK_INSIDE:
            return
        self._looked = now
        for task in (*self._running.values(), *(task for _, task in self._later)):
            for run in task.runs:
                if run not in self.outcomes:
                    step = progress_of(claim_path(task.folder, run))
                    self._steps[run] = max(step, self._steps.get(run, 0))
        done, session, steps, over = 0.0, 0.0, 0, 0
        for run, cost in self._costs.items():
            outcome = self.outcomes.get(run)
            settled = outcome is not None and outcome.status != "elsewhere"
            step = run.steps if settled else self._steps.get(run, 0)
            part = cost * step / run.steps
            if part:
                # A run taken up again was not done today up to where it is seen first.
                session += part - self._first_seen.setdefault(run, 0.0 if settled else part)
            done, steps, over = done + part, steps + step, over + settled
        total = sum(self._costs.values())
        pace = session / self.seconds if session else None
        self._teller.update(
            Progress(
                runs=len(self._costs),
                runs_over=over,
                steps=sum(run.steps for run in self._costs),
                steps_done=steps,
                part=done / total,
                seconds=self.seconds,
                remaining=(total - done) / pace if pace else None,
            )
        )
