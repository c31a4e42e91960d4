"""proj2.ipynb as it is stored."""

import csv
import re

import nbformat
import pytest

from staff import ROOT
from staff.figures.draw_figures import FIGURES
from staff.tests.proj2_code.notebook_cells import cell_of, check_outputs, code_cells, markdown, scores_of, text_of

# The headings of the handout, in its order.
SECTIONS = re.split(
    r" \| |\n",
    """\
Project 2: Segmentation with CNN | Brief | Setup | Part 1: Image Segmentation | Sigmoid and Softmax | TO-DO 1
TO-DO 2 | TO-DO 3 | Part 2: Architecture of an image segmentation model | 2.1 Understanding FCN and
Fully Convolutional Networks | Backbones | 2.2 VGG-19 | Question 1 | Answer | 2.3 ResNet-50 | TO-DO 4 | Question 2
Answer | 2.4 Insight into feature maps | Part 3: Compare Model Performance | Question 3 | Answer | TO-DO 5 | TO-DO 6
Extra Credit: Pyramid Scene Parsing Network | EC Part 1: Pyramid Pooling Module | EC Part 2: Compare Performance
TO-DO EC | Code Testing | Writeup | Please check your assignment completion | Required for all | Required for 6476
Report | Note | Submission | Credit | After the handout | All twelve classes | Where to draw the line
Watch a network learn | A picture of your own""",
)


def test_it_is_a_clean_notebook(stored):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    # Names, not random numbers: they stay the same when the notebook is written anew.
    assert all(re.fullmatch(r"[a-z][a-z0-9-]+", cell.id) for cell in stored.cells)
    assert not any(cell.metadata for cell in stored.cells)


def test_the_handouts_sections_are_there_in_order(stored):
    headings = iter(re.findall(r"^#+ +(.+)$", markdown(stored), re.M))
    for section in SECTIONS:
        assert any(section in heading for heading in headings), f"“{section}” is missing, or out of order"


def test_figures_are_the_projects_own_files_in_the_handouts_order(stored):
    text = markdown(stored)
    assert re.findall(r"!\[[^]]+\]\(([^)]+)\)", text) == list(FIGURES)
    assert "<img" not in text
    assert all((ROOT / figure).is_file() for figure in FIGURES)


def test_each_answer_is_a_cell_of_its_own_between_solution_markers(stored):
    answers = [cell for cell in stored.cells if "SOLUTION" in cell.source]
    assert [cell.id for cell in answers] == ["answer-1", "answer-2", "answer-3"]
    for cell in answers:
        lines = cell.source.splitlines()
        assert lines[0] == "<!-- ### BEGIN SOLUTION -->" and lines[-1] == "<!-- ### END SOLUTION -->"
        assert cell.source.count("SOLUTION") == 2


def test_cells_are_short(stored):
    for cell in code_cells(stored):
        assert len(cell.source.splitlines()) <= 22, f"{cell.id} is too long to be read aloud"


def test_outputs_are_stored_and_in_order(stored):
    cells = code_cells(stored)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert (ROOT / "proj2.ipynb").stat().st_size < 4e6
    kinds = [kind for cell in cells for output in cell.outputs for kind in output.get("data", {})]
    assert sum(kind.startswith("image/") for kind in kinds) >= 23


def test_the_stored_scores_are_those_of_the_shipped_weights(stored):
    with (ROOT / "models" / "scores.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "test" and row["frame"] != "all"]
    ours, psp = (scores_of(text_of(cell_of(stored, name))) for name in ("apply-iou", "compare"))
    assert ours + psp[:3] == pytest.approx([float(row["iou"]) for row in rows], abs=0.005)


def test_stored_outputs_are_without_errors_and_private_paths(stored):
    check_outputs(stored)
    text = "".join(map(text_of, code_cells(stored)))
    assert not re.search(r"/(home|root|tmp|Users|work)/", text)
