"""The grader itself: when it fails, when it is ended, and what is in its zip."""

import json
import os
import signal
import subprocess
import time
import zipfile

import pytest

from staff import ROOT
from staff.kit import make_autograder
from staff.tests.kit.autograder.harness import (
    KIT,
    NOTHING,
    code,
    run,
)


def test_a_failing_grader_blames_nobody(gradescope):
    root = gradescope({"student_code.py": code()})
    (root / "source" / "expected.values").write_bytes(b"\0" * 40)
    graded = run(root)
    assert not graded.worked
    assert "The autograder itself failed" in graded.results["output"]
    assert graded.points == NOTHING


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root could become another user")
def test_students_code_is_not_run_as_root(gradescope):
    """Where no other user can read Python and there is no Landlock, nothing is graded."""
    root = gradescope({"student_code.py": code()})
    with (root / "source" / "grader" / "confinement.py").open("a") as file:
        file.write("\n\ndef landlock_version():\n    return 0\n")
    path = root / "source" / "grader" / "supervisor.py"
    text = path.read_text("utf-8").replace("_out_of_reach(uid, self._project)", "'/private/python'")
    path.write_text(text, "utf-8")
    graded = run(root)
    assert not graded.worked
    assert "must not run as root" in graded.log and "/private/python" in graded.log
    assert "The autograder itself failed" in graded.results["output"]


def test_an_environment_that_does_not_start_leaves_valid_results(gradescope):
    root = gradescope({"student_code.py": code()})
    (root / "source" / "venv").unlink()
    (root / "source" / "venv" / "bin").mkdir(parents=True)
    assert subprocess.run(["bash", root / "run_autograder"], stderr=subprocess.DEVNULL).returncode != 0
    results = json.loads((root / "results" / "results.json").read_text("utf-8"))
    assert results["score"] == 0 and "could not be started" in results["output"]


def test_results_are_valid_from_the_first_moment(gradescope):
    root = gradescope({"student_code.py": code()})
    path = root / "results" / "results.json"
    process = subprocess.Popen(["bash", root / "run_autograder"], stdout=subprocess.DEVNULL, start_new_session=True)
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    results = json.loads(path.read_text("utf-8"))
    assert results["score"] == 0 and len(results["tests"]) > 30
    assert results["tests"][0]["output"].startswith("Not run")


def test_zip_has_what_gradescope_looks_for(archive):
    with zipfile.ZipFile(archive) as file:
        infos = {info.filename: info for info in file.infolist()}
        assert file.read("requirements.txt") == (ROOT / "requirements.txt").read_bytes()
    for name in ("setup.sh", "run_autograder"):
        assert infos[name].external_attr >> 16 & 0o111
    assert {info.date_time for info in infos.values()} == {(1980, 1, 1, 0, 0, 0)}
    assert not [name for name in infos if "__pycache__" in name or name.startswith("/")]


def test_building_again_gives_the_same_bytes(archive, tmp_path):
    make_autograder.build(make_autograder.sources(), tmp_path / "again.zip")
    assert archive.read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_setup_is_sound_shell():
    for name in ("setup.sh", "run_autograder"):
        subprocess.run(["bash", "-n", KIT / "autograder" / name], check=True)
