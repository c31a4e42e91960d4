import os

import pytest

from staff import ROOT
from staff.kit.report.deck import Filling, make_deck
from staff.kit.report.inputs import NotebookPictures
from staff.tests.kit.report_decks import CASES, all_cells, notebook_of, scores_of

if os.name == "nt":  # the grader needs fork
    collect_ignore = ["autograder", "test_class_export.py", "test_grade.py"]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    path = tmp_path_factory.mktemp("notebook") / "proj2.ipynb"
    path.write_text(notebook_of(all_cells()), encoding="utf-8")
    return NotebookPictures([path])


@pytest.fixture(scope="session")
def template():
    return make_deck(ROOT)


@pytest.fixture(scope="session")
def references(pictures):
    """The reference copy for each of CASES."""
    return {case: make_deck(ROOT, Filling(scores_of(table), pictures)) for case, table in CASES.items()}


@pytest.fixture(params=CASES)
def reference(request, references):
    return references[request.param]
