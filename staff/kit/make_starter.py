"""Generate what students receive: `python -m staff.kit.make_starter` writes dist/proj2_starter.zip.

With `--colab github.com/owner/repository`, where the course publishes the starter, Colab opens the notebook from there.

Everything comes from the reference. In student_code.py and in the notebook's answers, the lines from
`### BEGIN SOLUTION` to `### END SOLUTION` (nbgrader's marks; in Markdown inside `<!-- -->`) give way to a TO-DO or to
room for an answer. A mark left open, nested or misspelt stops the run with its file and line.
"""

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import nbformat

from staff import ROOT
from staff.files import write_zip
from staff.kit.colab import Repository

STARTER = Path(__file__).parent / "starter"  # what students receive and the reference does not have
FOLDER = "proj2"  # the one folder in the zip

# Each of these must match something; hidden files (a Mac's ._a.png) never do.
TREE = (
    "LICENSE",
    "data/camvid_registry.txt",
    "data/get_camvid.py",
    "data/render_street/*.py",
    "data/sample/README.md",
    "data/sample/test/*.png",
    "data/sample/testannot/*.png",
    "environment.yml",
    "models/*.pt",
    "models/README.md",
    "models/SHA256SUMS",
    "models/failures.png",
    "models/scores.csv",
    "models/street_classes.csv",
    "proj2.ipynb",
    "proj2_code/after_the_handout.py",
    "proj2_code/figures/*.png",
    "proj2_code/iou_question.png",
    "proj2_code/student_code.py",
    "proj2_code/threshold_figure.html",
    "proj2_code/utils.py",
    "proj2_template.pptx",
    "proj2_unit_tests/*.py",
    "requirements.txt",
    "zip_submission.py",
)

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
MARKS = {f"{before}{mark}{after}" for mark in (BEGIN, END) for before, after in (("", ""), ("<!-- ", " -->"))}
ANY_MARK = re.compile(r"#.*\b(begin|end)[ _-]*solution", re.IGNORECASE)
LABEL = re.compile(r"# (TO-DO (?:\d+|EC): \w+)")


class MarkError(Exception):
    """A solution mark is not where it should be; the message names the file and the line."""


def cut_solutions(text: str, name: str, stand_in: Callable[[str, str], str]) -> str:
    """Return `text` with each marked region replaced by `stand_in(line before the region, place of its mark)`.

    `name` is what errors call the text. Raises `MarkError` if a mark is left open, nested, closed twice or misspelt.
    """
    kept: list[str] = []
    opened = None
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{name}, line {number}"
        if not ANY_MARK.search(line):
            if opened is None:
                kept.append(line)
        elif line.strip() not in MARKS:
            raise MarkError(f"{place}: a solution mark needs a line of its own and this spelling: {BEGIN} or {END}.")
        elif BEGIN in line:
            if opened is not None:
                raise MarkError(f"{place}: {BEGIN} inside the region that {opened} begins: close that one first.")
            opened = place
            indent = line[: len(line) - len(line.lstrip())]
            kept.append(indent + stand_in(kept[-1] if kept else "", place))
        elif opened is None:
            raise MarkError(f"{place}: {END} without a {BEGIN} before it.")
        else:
            opened = None
    if opened is not None:
        raise MarkError(f"{opened}: {BEGIN} without an {END} after it.")
    return "\n".join(kept)


def _todo(line_before: str, place: str) -> str:
    label = LABEL.fullmatch(line_before.strip())
    if label is None:
        raise MarkError(f"{place}: the line before {BEGIN} must name the TO-DO, as in: # TO-DO 1: sigmoid")
    return f'raise NotImplementedError("{label[1]}")'


def _answer(line_before: str, place: str) -> str:
    return "*Write your answer here.*"


def student_code(text: str, name: str) -> str:
    """Return Python source with `raise NotImplementedError("TO-DO 1: sigmoid")` and the like for each solution."""
    return cut_solutions(text, name, _todo)


def student_notebook(text: str, name: str, repository: Repository | None = None) -> str:
    """Return the notebook (its JSON) without solutions, answers, outputs and traces of the machine it ran on."""
    notebook = nbformat.reads(text, as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        stand_in = _todo if cell.cell_type == "code" else _answer
        cell.source = cut_solutions(cell.source, f"{name}, cell {number}", stand_in)
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    if repository:
        repository.put_into_notebook(notebook)
    notebook.metadata = {name: notebook.metadata[name] for name in ("kernelspec",) if name in notebook.metadata}
    return nbformat.writes(notebook) + "\n"


def student_pyproject(text: str) -> str:
    """Return what a student needs of pyproject.toml: pytest's table, without the marks of staff's tests."""
    table = re.search(r"^\[tool\.pytest\.ini_options\]\n(?:(?!\[).*\n)*", text, re.MULTILINE)
    return re.sub(r"^markers = .*\n", "", table[0], flags=re.MULTILINE).rstrip() + "\n"


def starter_files(root: Path, repository: Repository | None = None) -> dict[str, bytes]:
    """The starter made from the project at `root`, content by path. `FileNotFoundError` names what is missing."""
    versions: dict[str, Callable] = {
        "proj2_code/student_code.py": student_code,
        "proj2.ipynb": partial(student_notebook, repository=repository),
    }
    files = {path.name: path.read_bytes() for path in STARTER.iterdir() if not path.name.startswith(".")}
    files["pyproject.toml"] = student_pyproject((root / "pyproject.toml").read_text("utf-8")).encode()
    for pattern in TREE:
        matches = [path for path in root.glob(pattern) if not path.name.startswith(".")]
        if not matches:
            raise FileNotFoundError(f"{root / pattern} is missing, and the starter needs it.")
        for path in matches:
            name = path.relative_to(root).as_posix()
            version = versions.get(name)
            files[name] = version(path.read_text("utf-8"), name).encode() if version else path.read_bytes()
    if repository:
        files["README.md"] = repository.put_into_readme(files["README.md"].decode()).encode()
    return files


def main(root: Path = ROOT, target: Path = ROOT / "dist" / "proj2_starter.zip", colab: str = "") -> None:
    try:
        files = starter_files(root, Repository(colab) if colab else None)
        write_zip(target, {f"{FOLDER}/{name}": content for name, content in files.items()})
    except (MarkError, OSError, ValueError) as error:
        sys.exit(f"No starter was written. {error}")
    print(f"Wrote {target.parent.name}/{target.name}: {len(files)} files, {target.stat().st_size / 2**20:.0f} MB.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--colab", default="", metavar="REPOSITORY", help="as in github.com/owner/repository")
    main(colab=parser.parse_args().colab)
