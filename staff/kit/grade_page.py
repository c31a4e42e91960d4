"""Writes the page beside the table: totals, the discrimination of each test, and every student's results."""

import io
import re
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import jinja2
import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from staff import files
from staff.kit import gradebook
from staff.kit.gradebook import Line

TEMPLATE = Path(__file__).with_name("grade_page.html")
MOST_SENTENCES = 5
BLUE = "#2b6cb0"  # as in the page
_VARYING = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")  # numbers, which differ between failures of one kind


def write(target: Path, title: str, lines: list[Line], due: datetime | None) -> None:
    """Write the page whole or not at all. It needs nothing but itself: the plots are SVG in it."""
    graded = [line for line in lines if line.results and line.results["tests"]]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        title=title,
        totals=_totals(lines),
        histogram=_histogram(list({id(line.entry): line.results for line in graded}.values())),  # a group counts once
        tests=_tests(graded),
        students=[(_who(line), gradebook.row_of(line, due), line.results or {}) for line in lines],
        same=_same_files(graded),
    )
    files.write_text(target, page)


def _who(line: Line) -> str:
    student = line.student
    return student.name or student.email or student.sid or (line.entry.name if line.entry else "?")


def _totals(lines: list[Line]) -> dict[str, str]:
    scores = [line.results["score"] for line in lines if line.results]
    facts = {
        "students": str(len(lines)),
        "graded": str(len(scores)),
        "nothing handed in": str(sum(line.entry is None for line in lines)),
        "could not be graded": str(sum(line.entry is not None and bool(line.entry.problem) for line in lines)),
    }
    if scores:
        low, middle, high = np.percentile(scores, [25, 50, 75])
        facts |= {
            "mean": f"{np.mean(scores):.1f}",
            "median": f"{middle:g}",
            "middle half": f"{low:g} to {high:g}",
        }
    return facts


def _histogram(results: list[dict]) -> Markup:
    if not results:
        return Markup("")
    most = max(sum(test["max_score"] for test in one["tests"]) for one in results)
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots()
    edges = np.arange(0, most + 10, 10)
    axes.hist([one["score"] for one in results], edges, color=BLUE, edgecolor="white")
    axes.set(xlabel="total", ylabel="submissions", xticks=edges)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure, "Histogram of the totals.")


def _svg(figure: Figure, description: str) -> Markup:
    """The figure as SVG to stand in a page, with a text for those who cannot see it."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "grades"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    return Markup(svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1))


def _tests(graded: list[Line]) -> list[dict]:
    """For each test: how many passed, its discrimination, and the commonest failures with their students."""
    rows: dict[str, list[tuple[Line, dict]]] = defaultdict(list)
    for line in graded:
        for test in line.results["tests"]:
            rows[gradebook.column_of(test)].append((line, test))
    tests = []
    for name, taken in rows.items():
        once = {id(line.entry): (line, test) for line, test in taken}.values()
        passed = np.array([test["score"] == test["max_score"] for _, test in once])
        rest = np.array([line.results["score"] - test["score"] for line, test in once])
        tests.append(
            {
                "name": name,
                "points": taken[0][1]["max_score"],
                "hidden": taken[0][1].get("visibility") != "visible",
                "passed": int(passed.sum()),
                "of": len(passed),
                "share": passed.mean(),
                "discrimination": discrimination(passed, rest),
                "failures": _failures(taken),
            }
        )
    return tests


def discrimination(passed: np.ndarray, rest: np.ndarray) -> str:
    """The point-biserial correlation of passing a test (N bools) with the points of all the others (N numbers).

    1: only the strong pass; 0: says nothing; below 0: the weak pass and the strong do not, so look at the test. The
    test's own points are left out, since they correlate with themselves. Empty if either of the two does not vary.
    """
    if len(passed) < 3 or passed.std() == 0 or rest.std() == 0:
        return ""
    return f"{np.corrcoef(passed, rest)[0, 1]:.2f}"


def _failures(taken: list[tuple[Line, dict]]) -> list[dict]:
    """The commonest sentences of failure with their students; those that differ only in numbers are one."""
    kinds: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line, test in taken:
        if test["score"] < test["max_score"]:
            kinds[_VARYING.sub("#", test["output"])].append((test["output"], _who(line)))
    common = sorted(kinds.values(), key=len, reverse=True)
    return [
        {"sentence": kind[0][0], "count": len(kind), "who": [who for _, who in kind]}
        for kind in common[:MOST_SENTENCES]
    ]


def _same_files(graded: list[Line]) -> list[list[str]]:
    """Students of different submissions whose files are the same to the byte."""
    groups: dict[int, dict[int, str]] = defaultdict(dict)
    for line in (line for line in graded if line.results["score"]):  # an untouched starter is like any other
        groups[id(line.results)][id(line.entry)] = _who(line)
    return [list(group.values()) for group in groups.values() if len(group) > 1]
