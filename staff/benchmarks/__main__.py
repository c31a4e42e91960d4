"""Measure speed side by side and write the table: `make bench`, or `python -m staff.benchmarks [--quick] [--row NAME]`.

Each line of the table says how many times as fast this project is as something else, measured in turns in one run.
Seconds differ between machines; such ratios stay similar. Written are staff/benchmarks/results.md, growth.png
beside it, and the short form in the project's README; with --quick or --row the table is only printed.
"""

import argparse
import contextlib
import io
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import version

from staff import ROOT
from staff.benchmarks import functions, growth, networks, programs, training
from staff.benchmarks.harness import QUICK, THOROUGH, Comparison, Effort, Result, measure
from staff.files import write_between, write_text

RESULTS = ROOT / "staff" / "benchmarks" / "results.md"
ROWS: dict[str, Callable[[], Iterator[Comparison]]] = {
    "sigmoid": functions.sigmoid,
    "softmax": functions.softmax,
    "mask": functions.mask,
    "iou": functions.iou,
    "apply-iou": networks.apply_iou,
    "forward": networks.forward,
    "reading": networks.reading,
    "loading": networks.loading,
    "importing": programs.importing,
    "training": training.training,
    "notebook": programs.notebook,
    "grading": programs.grading,
}
QUICK_ROWS = ("sigmoid", "softmax", "mask", "iou", "reading")
SLOW_ROWS = {
    "importing": Effort(rounds=9, seconds=0),
    "apply-iou": Effort(rounds=2, seconds=0),
    "training": Effort(rounds=3, seconds=0),
    "notebook": Effort(rounds=2, seconds=0),
    "grading": Effort(rounds=1, seconds=0),
}
WHY_SHORT = {
    "forward pass": "Convolutions of few channels wait for memory, a large matrix product does not.",
    "applyIoU": "Nearly all of its time goes into the forward passes, where only the channels-last layout helps.",
    "reading a frame": "Normalising writes four bytes for each one that was read.",
    "grading a class": "Each job loads the libraries first, which takes as long as grading one submission.",
    "training": "Both loops spend nearly all their time in the same convolutions.",
}
HEAD = """\
| what | case | ours, s | against | times as fast (quartiles) | to reach | |
|---|---|---|---|---|---|---|
"""


def cells(result: Result) -> tuple[str, ...]:
    lower, middle, upper = result.speed
    goal = "" if result.goal is None else f"{result.goal:.2f}"
    verdict = "" if result.goal is None else "reached" if result.reached else "short"
    speed = f"{middle:.2f} ({lower:.2f} to {upper:.2f})"
    return result.row, result.case, f"{result.seconds:.3g}", result.rival, speed, goal, verdict


def table(results: list[Result]) -> str:
    return HEAD + "\n".join(f"| {' | '.join(cells(result))} |" for result in results) + "\n"


def shortfalls(results: list[Result]) -> str:
    """One sentence on each line that fell short, with the reason where it is known."""
    lines = [
        f"- {r.row}, {r.case}: {r.speed[1]:.2f} times as fast as {r.rival}, the goal was {r.goal:.2f}. "
        f"{WHY_SHORT.get(r.row, '')}".rstrip()
        for r in results
        if not r.reached
    ]
    return "\n".join(lines) or "None."


def page(
    results: list[Result], memory: list[tuple[str, float, float]], timings: dict[str, list[tuple[str, float]]]
) -> str:
    """``timings``: for each title a list of (what, seconds) that were measured once."""
    packages = ("torch", "numpy", "opencv-python-headless", "segmentation-models-pytorch", "albumentations")
    libraries = ", ".join(f"{name} {version(name)}" for name in packages)
    peaks = "\n".join(f"| {name} | {few:.0f} MiB | {many:.0f} MiB |" for name, few, many in memory)
    measured_once = "\n\n".join(
        f"**{title}**\n\n| | |\n|---|---|\n" + "\n".join(f"| {what} | {seconds:.1f} s |" for what, seconds in rows)
        for title, rows in timings.items()
    )
    return f"""\
# Measured speed

Written by `make bench` on {date.today().isoformat()}. {programs.machine()}; {libraries}.

"Times as fast" is the other's time over ours, measured in turns: the median of all rounds, and its quartiles. Above 1,
ours is faster. "To reach" is what the project asks of itself.

{table(results)}
**Short of what was asked**

{shortfalls(results)}

**Peak memory** of a process that runs `applyIoU` over the test frames again and again:

| model | 3 frames | 32 frames |
|---|---|---|
{peaks}

{measured_once}

![Seconds against the number and the size of frames](growth.png)
"""


def short_form(results: list[Result]) -> str:
    """The README's table: of each row, of all its lines with the same goal, the slowest."""
    slowest: dict[tuple[str, float], Result] = {}
    for result in results:
        if result.goal is not None:
            key = result.row, result.goal
            slowest[key] = min(slowest.get(key, result), result, key=lambda r: r.speed[1])
    lines = [f"| {r.row}, {r.case} | {r.rival} | {r.speed[1]:.2f} | {r.goal:.2f} |" for r in slowest.values()]
    head = "| what | against | times as fast | to reach |\n|---|---|---|---|\n"
    return f"Measured on {date.today().isoformat()}, {programs.machine()}:\n\n{head}" + "\n".join(lines) + "\n"


def measure_rows(names: tuple[str, ...], quick: bool) -> list[Result]:
    results = []
    for name in names:
        effort = QUICK if quick else SLOW_ROWS.get(name, THOROUGH)
        print(f"{name} ...", flush=True)
        with contextlib.redirect_stdout(io.StringIO()):
            results += [result for comparison in ROWS[name]() for result in measure(comparison, effort)]
    return results


def tried(measure: Callable[[], list]) -> list:
    """Return the measurement, or [] if it fails (no /proc, no network): the rows before it took an hour."""
    try:
        return measure()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{measure.__name__} could not be measured: {error}")
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a rough look at the short rows, in a minute")
    parser.add_argument("--row", choices=ROWS, help="measure one row only")
    arguments = parser.parse_args()
    names = (arguments.row,) if arguments.row else QUICK_ROWS if arguments.quick else tuple(ROWS)
    results = measure_rows(names, arguments.quick)
    print(f"\n{table(results)}")
    if arguments.quick or arguments.row:
        return
    growth.draw(RESULTS.with_name("growth.png"))
    text = page(
        results,
        tried(programs.peak_memory),
        {
            "The notebook by section, slowest first": tried(programs.notebook_sections),
            "From a fresh copy (packages in the cache of uv or pip are not fetched again)": tried(programs.installing),
        },
    )
    write_text(RESULTS, text)
    write_between(ROOT / "README.md", "speed", short_form(results))
    print(f"Wrote {RESULTS}, and its short form into the README.")


if __name__ == "__main__":
    main()
