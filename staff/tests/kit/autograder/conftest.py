"""The autograder's zip, unpacked once, and a simulated /autograder for every test."""

import json
import shutil
import sys

import pytest
from filelock import FileLock

from staff.kit import grading, make_autograder
from staff.tests.kit.autograder import harness


@pytest.fixture(scope="session")
def autograder(tmp_path_factory):
    """dist/autograder.zip, built if it is not there or old, and unpacked."""
    # A long path, as macOS has it for temporary files.
    folder = tmp_path_factory.mktemp("a_folder_whose_path_is_too_long_for_the_name_of_a_socket")
    for parent in (folder, folder.parent):
        parent.chmod(0o755)  # for the user that a student's code becomes
    with FileLock(folder.parents[1] / "autograder.lock"):  # tests in another process would build the same zip meanwhile
        autograder = grading.Autograder(folder)
    yield autograder
    autograder.close()


@pytest.fixture(scope="session")
def archive(autograder):
    return make_autograder.ZIP


@pytest.fixture
def gradescope(autograder, tmp_path):
    """A function that lays out Gradescope's tree, with these files handed in, and returns its root."""

    def lay_out(files, limits=harness.LOADED):
        root = tmp_path / "Auto gräder"
        shutil.copytree(autograder.source, root / "source", ignore=shutil.ignore_patterns("models"))
        (root / "source" / "project" / "models").symlink_to(autograder.source / "project" / "models")
        (root / "source" / "venv").symlink_to(sys.prefix)
        (root / "source" / "limits.json").write_text(json.dumps(limits), "utf-8")
        shutil.copy(root / "source" / "run_autograder", root)
        (root / "submission_metadata.json").write_text('{"users": [{"email": "READ me"}]}', "utf-8")
        (root / "results").mkdir()
        (root / "submission").mkdir()
        for name, content in files.items():
            path = root / "submission" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return lay_out


@pytest.fixture
def grade(autograder, gradescope):
    """A function that hands in these files, grades them, and holds results.json to Gradescope's form."""
    return lambda files, **kwargs: harness.grade(autograder, gradescope(files, **kwargs))
