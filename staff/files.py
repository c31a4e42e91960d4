"""Write a file completely or not at all."""

import csv
import io
import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path


def replace(target: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``target``, then rename it. So ``target`` is never half-written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")  # another process may write the same file
    try:
        write(partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8. Characters that UTF-8 cannot encode (file names may have them) are escaped."""
    replace(target, lambda partial: partial.write_text(text, "utf-8", "backslashreplace", newline="\n"))


def write_between(target: Path, mark: str, text: str) -> None:
    """Replace what stands between the lines `<!-- mark -->` and `<!-- /mark -->` of a Markdown file.

    Raises ValueError if it lacks one of them.
    """
    first, last = f"<!-- {mark} -->\n", f"<!-- /{mark} -->\n"
    before, opened, rest = target.read_text(encoding="utf-8").partition(first)
    _, closed, after = rest.partition(last)
    if not (opened and closed):
        raise ValueError(f"{target} has no lines {first.strip()} and {last.strip()}, between which to write.")
    write_text(target, before + opened + text + closed + after)


def write_picture(target: Path, picture, *options: int) -> None:
    """Write an H×W or H×W×3 BGR array in the format that the file's ending names; `options` are cv2.imencode's.

    cv2.imwrite cannot open every path on Windows, and says nothing where it fails.
    """
    import cv2  # not needed by the other programs

    replace(target, cv2.imencode(target.suffix, picture, options)[1].tofile)


def csv_text(columns: Sequence[str], rows: Iterable[dict]) -> str:
    """Return the text of a CSV file: a line of names, then one a row. What a row lacks stays empty."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns)
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def write_zip(target: Path, files: dict[str, bytes]) -> None:
    """Write `files` (content by name inside the zip) to `target`, replacing it in one step.

    Names are sorted, dates are fixed, and files that begin with `#!` are executable. So the same contents always give
    the same bytes.
    """

    def write(part: Path) -> None:
        with zipfile.ZipFile(part, "w") as archive:
            for name, content in sorted(files.items()):
                entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                entry.create_system = 3  # Unix, wherever this runs, so that the rights below count
                entry.external_attr = (0o100755 if content.startswith(b"#!") else 0o100644) << 16
                # Weights shrink by a twelfth only, and packing them takes seconds.
                packed = zipfile.ZIP_STORED if name.endswith(".pt") else zipfile.ZIP_DEFLATED
                archive.writestr(entry, content, packed)

    replace(target, write)
