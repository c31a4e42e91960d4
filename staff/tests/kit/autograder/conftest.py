"""The autograder's zip, built and unpacked once, and a simulated /autograder for every test."""

import json
import shutil
import subprocess
import sys

import pytest

from staff import ROOT
from staff.tests.kit.autograder import harness


@pytest.fixture(scope="session")
def archive():
    """dist/autograder.zip, built once."""
    subprocess.run([sys.executable, "-m", "staff.kit.make_autograder"], cwd=ROOT, check=True)
    return ROOT / "dist" / "autograder.zip"


@pytest.fixture(scope="session")
def unpacked(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    shutil.unpack_archive(archive, folder)
    return folder


@pytest.fixture
def gradescope(unpacked, tmp_path):
    """A function that lays out Gradescope's tree, with these files handed in, and returns its root."""

    def lay_out(files, limits=harness.LOADED):
        root = tmp_path / "Auto gräder"
        shutil.copytree(unpacked, root / "source", ignore=shutil.ignore_patterns("models"))
        (root / "source" / "project" / "models").symlink_to(unpacked / "project" / "models")
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
def grade(gradescope):
    """A function that hands in these files, runs run_autograder, and holds results.json to Gradescope's form."""
    return lambda files, **kwargs: harness.run(gradescope(files, **kwargs))
