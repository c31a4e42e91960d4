"""Run proj2.ipynb from top to bottom and keep what it shows: build/proj2.html, build/proj2.ipynb and build/iou.csv.

The notebook runs in a fresh kernel of the Python that runs this file; other installed kernels do not matter.
The HTML opens offline: it contains its pictures, and formulas are drawn. Nothing is written unless every cell ran.

    python -m staff.run_notebook              # build/proj2.html, build/proj2.ipynb, build/iou.csv
    python -m staff.run_notebook --in-place   # the same, and the outputs stored in proj2.ipynb

The last chapter of the notebook trains a network for a minute or two. A run without
--in-place is only a check: it first puts smaller numbers into the cell `learn-knobs`, and the page shows them.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from staff import ROOT, files
from staff.notebook_page import NotebookError, to_html

# Runs after the last cell and is not kept: prints the notebook's scores and the frames they belong to.
SCORES_CODE = """# The scores for iou.csv
import json as _json
print(_json.dumps([[_model, _frame, float(_iou)] for _model, _ious in scores.items()
                   for _frame, _iou in zip(frame_names, _ious, strict=True)]))
"""


SHORT_TRAINING = {"scenes": 1, "held_out_scenes": 1, "steps": 1}  # for the cell "learn-knobs"


def shorten(notebook: NotebookNode) -> None:
    """Set the numbers of the notebook's training to SHORT_TRAINING."""
    for cell in notebook.cells:
        if cell.id == "learn-knobs":
            for name, value in SHORT_TRAINING.items():
                cell.source = re.sub(rf"^{name} = \d+", f"{name} = {value}", cell.source, flags=re.M)


def read(path: Path) -> NotebookNode:
    """Read a notebook of any format as version 4.5; cells without an id get one.

    Raises:
        NotebookError: the file is missing or is no notebook.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about the missing ids, which are added here
            notebook = nbformat.read(path, as_version=4)
            notebook.nbformat_minor = 5
            return nbformat.validator.normalize(notebook)[1]
    except OSError as error:
        raise NotebookError(f"{path} cannot be read ({error.strerror}): put the notebook back.") from error
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError) as error:
        raise NotebookError(f"{path} is not a notebook ({error}): save it again in Jupyter.") from error


def section_of(cells: list[NotebookNode], index: int) -> str:
    """Return the last heading above a cell, down to the third level, or "no heading"."""
    for cell in reversed(cells[: index + 1]):
        if cell.cell_type == "markdown" and (headings := re.findall(r"^#{1,3} +(.+)$", cell.source, re.M)):
            return headings[-1].strip()
    return "no heading"


def execute(notebook: NotebookNode, folder: Path, question: str = "") -> str:
    """Run a notebook's cells in a fresh kernel that starts in ``folder``; the outputs are stored in ``notebook``.

    Returns:
        What the code ``question`` printed. It runs after the last cell and is not kept.

    Raises:
        NotebookError: a cell failed, or the kernel died.
    """
    cells = notebook.cells
    metadata = dict(notebook.metadata)
    code = [index for index, cell in enumerate(cells) if cell.cell_type == "code"]
    for index in code:
        cells[index].outputs, cells[index].execution_count = [], None

    running = 0

    def report(cell: NotebookNode, cell_index: int) -> None:
        nonlocal running
        running = cell_index
        if cell_index in code:
            section = section_of(cells, cell_index)
            print(f"cell {code.index(cell_index) + 1:2} of {len(code)}  {section}", flush=True)

    def leave_ctrl_c_to_python(notebook: NotebookNode) -> None:
        # nbclient's own handler stops the kernel and then fails because it is gone.
        with contextlib.suppress(NotImplementedError):  # Windows, where nbclient sets no handler
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    # Temporary last cell, removed before the notebook is saved.
    asking = nbformat.v4.new_code_cell(question)
    cells.append(asking)
    client = NotebookClient(
        notebook,
        # Without folders of installed kernels, ipykernel's own is left, which is the running Python.
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])),
        resources={"metadata": {"path": str(folder)}},
        timeout=None,
        # The kernel has nothing to save, and in the middle of a cell it would print errors.
        shutdown_kernel="immediate",
        record_timing=False,
        coalesce_streams=True,
        on_notebook_start=leave_ctrl_c_to_python,
        on_cell_start=report,
        # ipykernel warns that it uses TCP; here the connection stays on this machine.
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            # An empty profile: no start-up files of the user. No progress bars: they differ from run to run.
            client.execute(cleanup_kc=True, env=os.environ | {"IPYTHONDIR": profile, "TQDM_DISABLE": "1"})
    except CellExecutionError as error:
        raise NotebookError(_failure(cells, running, error)) from error
    except DeadKernelError as error:
        raise NotebookError(
            f'The kernel died in or after the section "{section_of(cells, running)}": '
            "it was stopped, or it ran out of memory (the notebook needs about 4 GB)."
        ) from error
    finally:
        cells.pop()
    # The kernel stored its Python version there; the file must not change with it.
    notebook.metadata = nbformat.from_dict(metadata)
    return "".join(output.text for output in asking.outputs if output.get("name") == "stdout")


def _failure(cells: list[NotebookNode], index: int, error: CellExecutionError) -> str:
    """Name the cell that failed, its first line and the error."""
    reason = f"{error.ename}: {error.evalue}"
    if index == len(cells) - 1:  # the temporary last cell
        return (
            f"Every cell ran, but the scores cannot be read ({reason}): keep `scores` and `frame_names` as they were."
        )
    number = sum(cell.cell_type == "code" for cell in cells[: index + 1])
    return (
        f'Code cell {number} failed (section "{section_of(cells, index)}", id "{cells[index].id}").\n'
        f"  It begins: {cells[index].source.strip().splitlines()[0]}\n"
        f"  Error: {reason}"
    )


def print_table(scores: list[list]) -> None:
    """Print one line a model and one column a frame."""
    models, frames = (list(dict.fromkeys(row[column] for row in scores)) for column in (0, 1))
    ious = {(model, frame): iou for model, frame, iou in scores}
    widths = [max(len(frame), 6) for frame in frames]
    names = max(map(len, ["IoU", *models]))
    print("IoU".ljust(names), *(frame.rjust(width) for frame, width in zip(frames, widths, strict=True)), sep="  ")
    for model in models:
        row = (f"{ious[model, frame]:.4f}".rjust(width) for frame, width in zip(frames, widths, strict=True))
        print(model.ljust(names), *row, sep="  ")


def main(arguments: list[str] | None = None) -> int:
    """Run the notebook of this repository; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--in-place", action="store_true", help="also refresh the outputs stored in proj2.ipynb")
    options = parser.parse_args(arguments)

    start = time.monotonic()
    try:
        notebook = read(ROOT / "proj2.ipynb")
        if not options.in_place:
            shorten(notebook)
        scores = json.loads(execute(notebook, ROOT, question=SCORES_CODE))
        page = to_html(notebook, ROOT)
    except NotebookError as error:
        print(f"\n{error}\nNothing was written.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        return 130

    build = ROOT / "build"
    text = nbformat.writes(notebook) + "\n"
    rows = [{"model": model, "frame": frame, "iou": f"{iou:.6f}"} for model, frame, iou in scores]
    table = files.csv_text(("model", "frame", "iou"), rows)
    texts = {build / "proj2.html": page, build / "proj2.ipynb": text, build / "iou.csv": table}
    if options.in_place:
        texts[ROOT / "proj2.ipynb"] = text
    try:
        for path, text in texts.items():
            files.write_text(path, text)
    except OSError as error:
        print(f"\n{path} cannot be written ({error.strerror}).", file=sys.stderr)
        return 1
    print(f"\nDone in {time.monotonic() - start:.0f} s.\n")
    print_table(scores)
    print(f"\nOpen {build / 'proj2.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
