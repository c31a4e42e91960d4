"""Pack student_code.py and utils.py for Gradescope: python zip_submission.py --gt_username <your_gt_username>

The zip is written to the folder in which the command is run. Needs nothing but Python. It warns of what would cost
points: TO-DOs that are left, and code that runs on this machine but not where it is graded.
"""

import argparse
import ast
import io
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CODE = ROOT / "proj2_code"
FILES = ("student_code.py", "utils.py")
LARGEST_FILE = 10 * 2**20  # bytes; a larger file is not graded
CANNOT_RUN = "cannot be run, so nothing in it would get points"
MARK = b"proj2 submission"  # the archive comment that marks a zip of this program


def read_files() -> dict[str, bytes]:
    """The two files by name. ValueError where one is missing, cannot be read or is too large to be graded."""
    files = {}
    for path in (CODE / name for name in FILES):
        if not path.is_file():
            raise ValueError(f"{path} is missing: put it back and run this again.")
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ValueError(
                f"{path} has {size / 2**20:.1f} MB, and a file of more than {LARGEST_FILE // 2**20} MB is not graded: "
                "take data and weights out of it and run this again."
            )
        try:
            files[path.name] = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}): allow it and run this again.") from error
    return files


def find_problems(name: str, source: bytes) -> list[str]:
    """Warnings about what would cost points: code that cannot be read, files left out, TO-DOs left."""
    try:
        tree = ast.parse(source, name)
        compile(tree, name, "exec")  # finds what parsing alone does not, a return outside a function for one
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        reason = str(error.args[0]) if error.args else type(error).__name__
        return [f"{name} {CANNOT_RUN}: {line}{reason}"]
    labels = [
        node.value
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Raise)
        for node in ast.walk(statement)
        if is_text(node) and node.value.startswith("TO-DO")
    ]
    return [
        *(f"{name} imports {file}, which is not handed in: move its code into {name}." for file in local_imports(tree)),
        *(f"{name} imports {module}, which is not installed where it is graded." for module in extra_imports(tree)),
        *(f"{name} uses {file}, which is not there when it is graded." for file in files_named(tree)),
        *([f"{name} asks for a graphics card, and the grader has none."] if needs_gpu(tree) else []),
        *(f'{name} still raises "{t}"{" (extra credit)" * t.startswith("TO-DO EC")}.' for t in dict.fromkeys(labels)),
    ]


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """The full names of the modules that a program may import: `a` and `a.b` for `from a import b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "proj2_code." * (node.level > 0) + (f"{node.module}." if node.module else "")
            yield package.rstrip(".")
            yield from (package + alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (value.value for value in node.args[:1] if is_text(value))


def local_imports(tree: ast.Module) -> list[str]:
    """The Python files of the project, apart from FILES, that a program imports."""
    found = set()
    for module in imported_modules(tree):
        path = Path(*module.split("."))
        for folder in (CODE, ROOT):
            names = (folder / path.with_suffix(".py"), folder / path / "__init__.py")
            found |= {name.relative_to(folder).as_posix() for name in names if name.is_file()}
    return sorted(found - {*FILES, *(f"proj2_code/{name}" for name in FILES)})


# Cached: it can take half a second, and is needed for both files.
modules_of_packages = cache(metadata.packages_distributions)


def extra_imports(tree: ast.Module) -> list[str]:
    """The modules a program imports from packages that are installed here beyond requirements.txt.

    Empty if a package of requirements.txt is missing here: then this is not the project's environment.
    """
    if not (ROOT / "requirements.txt").is_file():
        return []
    given: set[str] = set()
    waiting = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = set(map(package_name, waiting))
    while waiting:
        name = package_name(waiting.pop())
        if name and name not in given:
            given.add(name)
            try:
                waiting += [line for line in metadata.requires(name) or [] if "extra ==" not in line]
            except metadata.PackageNotFoundError:
                if name in required:
                    return []
    owners = modules_of_packages()
    modules = sorted({module.partition(".")[0] for module in imported_modules(tree)} - set(sys.stdlib_module_names))
    return [name for name in modules if name in owners and not given & set(map(package_name, owners[name]))]


def package_name(requirement: str) -> str:
    """The normalised name at the start of a requirement; "" for a comment or an option."""
    name = re.match(r"[A-Za-z0-9._-]*", requirement.strip()).group()
    return "" if name.startswith("-") else re.sub(r"[-_.]+", "-", name).lower()


def files_named(tree: ast.Module) -> list[str]:
    """Files beside student_code.py, and absolute paths on this machine, that occur in a program's strings."""
    found = set()
    for text in (node.value for node in ast.walk(tree) if is_text(node)):
        if not text or len(text) > 250 or "\n" in text or "\0" in text:
            continue
        path = Path(text)
        own = any(home in path.parents for home in (Path.home(), ROOT)) and os.path.exists(path)
        if own or (path.suffix not in ("", ".py") and (CODE / path.name).is_file()):
            found.add(text)
    return sorted(found)


def needs_gpu(tree: ast.Module) -> bool:
    """Whether a program uses a graphics card without checking that there is one."""
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    devices = {node.value.partition(":")[0] for node in ast.walk(tree) if is_text(node)}
    calls = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr")}
    return "is_available" not in attributes and bool({"cuda", "mps"} & (devices | calls))


def is_text(node: ast.AST) -> bool:
    """Whether a node is a string literal."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


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
    """Replace `target` in one step. Raises ValueError if it holds something that this program did not write."""
    if os.path.lexists(target) and not is_ours(target):
        raise ValueError(f"{target} exists and was not made by this program: move it away and run this again.")
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        raise ValueError(
            f"{target} cannot be written ({error.strerror}): run this in a folder where you may write."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def user_name(text: str) -> str:
    """Check for argparse that a user name is letters and digits, with single . _ - between them."""
    if not re.fullmatch(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*", text) or text.lower().endswith(".zip"):
        raise argparse.ArgumentTypeError(
            f"{text!a} is not a plain user name: give letters (a to z) and digits as in gburdell3, "
            "with single . _ or - between them where need be; no path, no @ and no .zip."
        )
    return text


def main() -> None:
    for stream in (sys.stdout, sys.stderr):  # a folder's name may hold what the console cannot print
        if hasattr(stream, "reconfigure"):  # a notebook's streams have none, and take any text
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(description="Pack student_code.py and utils.py for Gradescope.")
    parser.add_argument("--gt_username", required=True, type=user_name, help="your user name, as in gburdell3")
    name = parser.parse_args().gt_username

    try:
        target = Path.cwd() / f"{name}.zip"
        files = read_files()
        write(target, pack(files))
    except (ValueError, OSError) as error:  # OSError: the folder it runs in is gone
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
