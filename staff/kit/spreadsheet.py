"""CSV as spreadsheets write and read it: any usual encoding comes in; what goes out is text and never a formula."""

import csv
import io
import re
from pathlib import Path

from staff import files
from staff.kit.class_export import printable

_FORMULA = r"'*\s*[=+\-@\t\r|%]"


def read(path: Path) -> list[list[str]]:
    """All rows of a CSV of any usual encoding and separator. Raises `ValueError` that names the file."""
    name = printable(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}.") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
    heading = text.partition("\n")[0]
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=heading.count)))
    except csv.Error as error:
        raise ValueError(f"{name} cannot be read as a CSV: {error}.") from None
    rows = [[plain(cell) for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError(f"{name} is empty.")
    return rows


def write(target: Path, rows: list[dict], columns: list[str]) -> None:
    """Write UTF-8 with the byte order mark that Excel needs, completely or not at all. Missing cells are empty."""
    cells = [{safe(column): safe(row.get(column, "")) for column in columns} for row in rows]
    files.write_text(target, "\ufeff" + files.csv_text([safe(column) for column in columns], cells))


def safe(cell: object) -> object:
    """Put an apostrophe before a text that begins like a formula, so that spreadsheets show it as text."""
    return f"'{cell}" if isinstance(cell, str) and re.match(_FORMULA, cell) else cell


def plain(cell: str) -> str:
    """The text that `safe` was given."""
    return cell[1:] if re.match(f"'{_FORMULA}", cell) else cell
