"""Pack student_code.py and utils.py for Gradescope: python zip_submission.py --gt_username <your_gt_username>

The zip is written to the folder in which the command is run. Needs nothing but Python.
"""

import argparse
import ast
import io
import os
import re
import sys
import zipfile
from pathlib import Path

CODE = Path(__file__).resolve().parent / "proj2_code"
FILES = ("student_code.py", "utils.py")
MAX_BYTES = 50 * 2**20
CANNOT_RUN = "cannot be run, so nothing in it would get points"
MARK = b"proj2 submission"  # the archive comment by which an earlier zip of this program is known


def read_files() -> dict[str, bytes]:
    """The two files by name. ValueError where one is missing or both are too large together."""
    for name in FILES:
        if not (CODE / name).is_file():
            raise ValueError(f"{CODE / name} is missing: put it back and run this again.")
    size = sum((CODE / name).stat().st_size for name in FILES)
    if size > MAX_BYTES:
        raise ValueError(
            f"{' and '.join(FILES)} have {size / 2**20:.1f} MB, more than the {MAX_BYTES // 2**20} MB that may be "
            f"handed in: take data and weights out of them."
        )
    return {name: (CODE / name).read_bytes() for name in FILES}


def find_problems(name: str, source: bytes) -> list[str]:
    """What would cost points but is no reason to refuse: code that cannot be read, files left out, TO-DOs left."""
    try:
        tree = ast.parse(source, name)
        compile(tree, name, "exec")  # finds what parsing alone does not, a return outside a function for one
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        reason = str(error.args[0]) if error.args else type(error).__name__
        return [f"{name} {CANNOT_RUN}: {line}{reason}"]
    left_out = [
        f"{name} imports {file}, which is not handed in: move its code into {name}." for file in local_imports(tree)
    ]
    labels = [
        node.value
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Raise)
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("TO-DO")
    ]
    return left_out + [
        f'{name} still raises "{label}"{" (extra credit)" if label.startswith("TO-DO EC") else ""}.'
        for label in dict.fromkeys(labels)
    ]


def local_imports(tree: ast.Module) -> list[str]:
    """The names of the files of proj2_code, apart from FILES, that a program imports."""
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    files = sorted({f"{module.partition('.')[0]}.py" for module in modules} - set(FILES))
    return [file for file in files if (CODE / file).is_file()]


def pack(files: dict[str, bytes]) -> bytes:
    """The zip, the same bytes for the same files on every machine: fixed dates and rights, nothing compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = MARK
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, wherever this runs, so that the rights below count
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def is_ours(target: Path) -> bool:
    """Whether this file is a zip that this program wrote."""
    try:
        with zipfile.ZipFile(target) as archive:
            return archive.comment == MARK and archive.namelist() == list(FILES)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def write(target: Path, content: bytes) -> None:
    """Replace `target` in one step; ValueError where it holds something that this program did not write."""
    if os.path.lexists(target) and not is_ours(target):
        raise ValueError(f"{target} exists and was not made by this program: move it away and run this again.")
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def user_name(text: str) -> str:
    """A plain user name, as argparse wants it checked."""
    if not re.fullmatch(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*", text) or text.lower().endswith(".zip"):
        raise argparse.ArgumentTypeError(
            f"{text!a} is not a plain user name: give letters (a to z) and digits as in gburdell3, "
            "with single . _ or - between them where need be; no path, no @ and no .zip."
        )
    return text


def main() -> None:
    for stream in (sys.stdout, sys.stderr):  # a folder's name may hold what the console cannot print
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(description="Pack student_code.py and utils.py for Gradescope.")
    parser.add_argument("--gt_username", required=True, type=user_name, help="your user name, as in gburdell3")
    name = parser.parse_args().gt_username

    try:
        target = Path.cwd() / f"{name}.zip"
        files = read_files()
        write(target, pack(files))
    except (ValueError, OSError) as error:
        sys.exit(f"No zip was written: {error}")
    print(f"Wrote {target} with {' and '.join(files)}.")
    problems = [problem for file, source in files.items() for problem in find_problems(file, source)]
    for problem in problems:
        print(f"Warning: {problem}")
    if any(CANNOT_RUN in problem for problem in problems):
        print("Fix this and run this program again before you upload.")
    else:
        print(f"Upload {name}.zip to proj2-code and your report, {name}.pdf, to proj2-report on Gradescope.")


if __name__ == "__main__":
    main()
