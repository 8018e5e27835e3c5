"""Whether the log says what callers were told: nothing lost, nothing double, nothing unrecorded, no budget or permit used twice."""

from collections import Counter
from collections.abc import Iterable, Iterator

from benchmarks.chaos.told import Told
from remit.decision_log.entry import ApprovalResolved, DecisionMade, Entry, OutcomeSeen, TaskOpened

AMOUNT = 7
"""What each call of `spend` spends."""
CALLS, AMOUNTS = "calls", "amount"
"""The budgets: of calls, and of what is spent."""
UNWRITTEN = "store-unavailable"
"""The reason of a denial that no log has, for there was no store to write it to."""


class Recorded:
    """What the log says of decisions, outcomes, tasks and approvals."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.decisions: list[DecisionMade] = []
        self.outcomes: list[OutcomeSeen] = []
        self.tasks: Counter[str] = Counter()
        self.approved: Counter[str] = Counter()
        for entry in entries:
            match entry.body:
                case DecisionMade() as made:
                    self.decisions.append(made)
                case OutcomeSeen() as seen:
                    self.outcomes.append(seen)
                case TaskOpened(task=task):
                    self.tasks[task] += 1
                case ApprovalResolved(id=name, state="approved"):
                    self.approved[name] += 1
                case _:
                    pass

    def permits(self, task: str) -> Iterator[DecisionMade]:
        """The permits of a task."""
        return (made for made in self.decisions if made.task == task and made.effect == "permit")


def faults(told: Told, recorded: Recorded) -> list[str]:
    """All in which the log is not as callers were told."""
    return [*_decisions(told, recorded), *_uses(told, recorded), *_budgets(told, recorded), *_approvals(told, recorded)]


def _decisions(told: Told, recorded: Recorded) -> Iterator[str]:
    times = Counter(made.id for made in recorded.decisions)
    known = {made.id: made for made in recorded.decisions}
    yield from (f"decision {name} is in the log {count} times" for name, count in times.items() if count != 1)
    for name, answered in told.decisions.items():
        made = known.get(name)
        if made is None:
            if answered.reason != UNWRITTEN or answered.permit:
                yield f"decision {name} was told ({answered.reason}) and is not in the log"
        elif (made.effect == "permit", made.reason, made.session) != answered[:3]:
            yield f"decision {name} was told as {answered}, the log has {made.effect}, {made.reason}, {made.session}"
    untold = Counter(made.session or "" for made in recorded.decisions if made.id not in told.decisions)
    for session, count in untold.items():
        if count > told.lost[session]:
            yield f"session {session} has {count} decisions that nobody was told, and {told.lost[session]} requests without an answer"


def _uses(told: Told, recorded: Recorded) -> Iterator[str]:
    permits = {made.id for made in recorded.decisions if made.effect == "permit"}
    outcomes = Counter(seen.decision for seen in recorded.outcomes)
    status = {seen.decision: seen.status for seen in recorded.outcomes}
    yield from (f"permit {name} was said to stand {count} times" for name, count in told.used.items() if count != 1)
    yield from (f"{name} was said to stand and is no permit" for name in told.used if name not in permits)
    yield from (f"permit {name} has {outcomes[name]} outcomes" for name in permits if outcomes[name] != 1)
    for name, said in told.reported.items():
        if status.get(name) != said:
            yield f"permit {name} was reported as {said}, the log has {status.get(name)}"
    for name in told.used:
        if status.get(name) == "not-performed" and told.reported.get(name) != "not-performed":
            yield f"permit {name} was used, and the log says that it was not"


def _budgets(told: Told, recorded: Recorded) -> Iterator[str]:
    for task, (budget, limit) in told.tasks.items():
        if recorded.tasks[task] != 1:
            yield f"task {task} was opened {recorded.tasks[task]} times in the log"
        permits = list(recorded.permits(task))
        one = AMOUNT if budget == AMOUNTS else 1
        spent = one * sum(made.resource == "spend" or budget != AMOUNTS for made in permits)
        if spent > limit:
            yield f"task {task} spent {spent} of {limit} {budget}"
        if task in told.exhausted and spent + one <= limit:
            yield f"task {task} was said to have nothing left, the log has {spent} of {limit} {budget}"


def _approvals(told: Told, recorded: Recorded) -> Iterator[str]:
    rested = Counter(made.approval for made in recorded.decisions if made.effect == "permit" and made.approval)
    yield from (f"approval {name} was used {count} times" for name, count in rested.items() if count != 1)
    yield from (f"approval {name} was used and never given" for name in rested if not recorded.approved[name])
    for name, everybody in told.approved.items():
        if recorded.approved[name] != 1:
            yield f"approval {name} was given, the log has it {recorded.approved[name]} times"
        if everybody and rested[name] != 1:
            yield f"approval {name} was given, and nobody who came with it was permitted"
