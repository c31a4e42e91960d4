"""Time one way of doing something against others, in turns, and say how many times as fast it is."""

import statistics
import timeit
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.utils.benchmark import Timer


@dataclass(frozen=True)
class Rival:
    """Another way to do the same. ``goal``: how many times as fast ours should be; None where that is only reported.

    ``work``: how much more work ours does than one call of the rival; 1 where both do the same.
    """

    name: str
    call: Callable[[], object]
    goal: float | None = None
    work: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """One case of one row: our call, and the rivals that do the same."""

    row: str
    case: str
    ours: Callable[[], object]
    rivals: tuple[Rival, ...]


@dataclass(frozen=True)
class Effort:
    """How carefully to measure: the number of rounds, and the seconds that each call gets in a round.

    With 0 seconds, for what takes minutes, a round is one call, and nothing is warmed up. (torch's Timer would make two
    calls more.)
    """

    rounds: int
    seconds: float


THOROUGH, QUICK = Effort(rounds=9, seconds=0.3), Effort(rounds=3, seconds=0.02)


@dataclass(frozen=True)
class Result:
    """``speed``: the rival's time over ours, a (lower quartile, median, upper quartile) over the rounds."""

    row: str
    case: str
    rival: str
    seconds: float
    speed: tuple[float, float, float]
    goal: float | None

    @property
    def reached(self) -> bool:
        return self.goal is None or self.speed[1] >= self.goal


def measure(comparison: Comparison, effort: Effort) -> list[Result]:
    """Time all calls in turns, so that a busy moment of the machine falls on all of them. One result a rival."""
    calls = [comparison.ours, *(rival.call for rival in comparison.rivals)]
    clocks = [
        warm_clock(call, effort.seconds) if effort.seconds else partial(timeit.timeit, call, number=1) for call in calls
    ]
    rounds = [[clock() for clock in clocks] for _ in range(effort.rounds)]
    seconds = statistics.median(times[0] for times in rounds)
    results = []
    for k, rival in enumerate(comparison.rivals, 1):
        speed = spread(times[k] * rival.work / times[0] for times in rounds)
        results.append(Result(comparison.row, comparison.case, rival.name, seconds, speed, rival.goal))
    return results


def warm_clock(call: Callable[[], object], seconds: float) -> Callable[[], float]:
    """A function that returns the seconds of one call, the mean of as many as fit into ``seconds``."""
    timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    number = max(1, round(seconds / timer.timeit(1).mean))  # timeit warms up first: caches, the allocator
    return lambda: timer.timeit(number).mean


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    """(lower quartile, median, upper quartile)."""
    lower, middle, upper = np.quantile(list(values), (0.25, 0.5, 0.75)).tolist()
    return lower, middle, upper
