"""Compares two tables of `grade.py --all`, to show what a changed test did to each score."""

import itertools
import re
from pathlib import Path

from staff.kit import spreadsheet
from staff.kit.class_export import printable


def compare(old: Path, new: Path) -> str:
    """Say whose score differs between two tables, on which test and by how much.

    Raises `ValueError` that names the file if one is no table that --all wrote.
    """
    before, after = _by_student(old), _by_student(new)
    tests = list(dict.fromkeys([*_tests(before), *_tests(after)]))
    report, changed = [], 0
    for who in dict.fromkeys([*before, *after]):
        if who not in before or who not in after:
            report.append(f"{who[0]}: only in {printable((old if who in before else new).name)}")
            continue
        one, other = before[who], after[who]
        details = [
            f"    {test}: {_change(one.get(test), other.get(test))}"
            for test in tests
            if _number(one.get(test)) != _number(other.get(test))
        ]
        totals = one["total"], other["total"]
        if details or _number(totals[0]) != _number(totals[1]):
            changed += 1
            report.append(f"{who[0]}: {_change(*totals)}")
            report += details
    common = len(set(before) & set(after))
    return "\n".join([*report, f"{changed} of {common} students changed."])


def _by_student(path: Path) -> dict[tuple[str, str, int], dict]:
    """The rows of one of our tables by student; the number distinguishes students of one name."""
    heading, *rows = spreadsheet.read(path)
    if "total" not in heading or "submission" not in heading:
        raise ValueError(
            f"{printable(str(path))} is no table that --all wrote: it has no columns `submission` and `total`."
        )
    found = {}
    for cells in rows:
        row = dict(itertools.zip_longest(heading, cells[: len(heading)], fillvalue=""))
        key = next((row[name] for name in ("sid", "email", "name", "submission") if row.get(name)), "")
        shown = row.get("name") or row.get("email") or row.get("sid") or row.get("submission") or "?"
        number = sum(1 for other in found if other[1] == key.casefold())
        found[shown, key.casefold(), number] = row
    return found


def _tests(rows: dict) -> list[str]:
    return [column for column in next(iter(rows.values()), {}) if re.match(r"\w+\.\d+ ", column)]


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _change(one: str | None, other: str | None) -> str:
    a, b = _number(one), _number(other)
    difference = f" ({b - a:+g})" if a is not None and b is not None else ""
    return f"{one or 'none'} → {other or 'none'}{difference}"
