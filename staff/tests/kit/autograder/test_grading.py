"""The autograder, from its zip: unpacked into a simulated /autograder, it grades good, careless and hostile work.

`submissions/` holds what is handed in. Each follows `good.py`, which does four TO-DOs well and lacks the other three:
so each shows that a fault costs its own points and no others.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from staff import ROOT
from staff.kit import make_starter

KIT = ROOT / "staff" / "kit"
SUBMISSIONS = Path(__file__).with_name("submissions")

GOOD = {"1": 15, "2": 15, "3": 20, "4": 0, "5": 20, "6": 0, "EC": 0}
FULL = {"1": 15, "2": 15, "3": 20, "4": 15, "5": 20, "6": 15, "EC": 10}
NOTHING = dict.fromkeys(GOOD, 0)
LOADED = {"cpu_seconds": 30, "wall_seconds": 300, "memory_gib": 4}  # for a machine that does much else

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Gradescope runs on Linux; the grader needs fork")


@dataclass
class Graded:
    """What one run of run_autograder left."""

    results: dict
    text: str
    log: str
    returncode: int
    root: Path

    @property
    def points(self):
        """The score of each TO-DO, by its number."""
        totals = {}
        for test in self.results["tests"]:
            todo = test["number"].split(".")[0]
            totals[todo] = totals.get(todo, 0) + test["score"]
        return totals

    def outputs(self, todo):
        return [test["output"] for test in self.results["tests"] if test["number"].startswith(f"{todo}.")]

    @property
    def isolated(self):
        return "Landlock" in self.log or "a user of its own" in self.log


@pytest.fixture(scope="session")
def archive():
    """dist/autograder.zip, built once."""
    subprocess.run([sys.executable, KIT / "make_autograder.py"], check=True)
    return ROOT / "dist" / "autograder.zip"


@pytest.fixture(scope="session")
def unpacked(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    shutil.unpack_archive(archive, folder)
    return folder


@pytest.fixture
def gradescope(unpacked, tmp_path):
    """A function that lays out Gradescope's tree, with these files handed in, and returns its root."""

    def lay_out(files, limits=LOADED):
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

    def run(files, **kwargs):
        root = gradescope(files, **kwargs)
        return _run(root)

    return run


def _run(root):
    done = subprocess.run(["bash", root / "run_autograder"], capture_output=True)
    path = root / "results" / "results.json"
    assert path.is_file() and not path.is_symlink()
    text = path.read_text("utf-8")
    graded = Graded(json.loads(text), text, (done.stdout + done.stderr).decode(), done.returncode, root)
    _check_form(graded)
    return graded


def _check_form(graded):
    """The keys and values that Gradescope documents; one line a message; nothing of ours in it."""
    results = graded.results
    assert set(results) <= {"score", "execution_time", "output", "stdout_visibility", "tests"}
    for test in results["tests"]:
        assert set(test) == {"number", "name", "score", "max_score", "status", "output", "visibility", "tags"}
        assert test["score"] in (0, test["max_score"])
        assert test["status"] == ("passed" if test["score"] else "failed")
        assert test["visibility"] in ("visible", "after_published")
        assert test["output"] and "\n" not in test["output"] and len(test["output"]) <= 600
    assert results["score"] == sum(test["score"] for test in results["tests"])
    assert "Traceback" not in graded.text and "grader/" not in graded.text and str(graded.root) not in graded.text


def _code(name, **replace):
    """good.py, followed by one of the submissions."""
    paths = [SUBMISSIONS / "good.py"] + ([next(SUBMISSIONS.glob(f"{name}.*"))] if name != "good" else [])
    text = "\n".join(path.read_text("utf-8") for path in paths)
    for old, new in replace.items():
        text = text.replace(f"@{old}@", new)
    return text


def _zip(files):
    """A zip of these files, as bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _read_if_there(path):
    """The text of a file of /proc, whose process may have ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


# The good ones


def test_reference_gets_full_marks_and_grade_py_says_so(archive, tmp_path):
    code = ROOT / "proj2_code"
    handed_in = tmp_path / "gburdell3.zip"
    handed_in.write_bytes(_zip({name: (code / name).read_bytes() for name in ("student_code.py", "utils.py")}))
    done = subprocess.run(
        [sys.executable, KIT / "grade.py", handed_in], stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "total 110 / 110"
    assert not [line for line in lines if " 0 / " in line]


def test_starter_gets_nothing_and_is_told_which_todo(grade):
    text = (ROOT / "proj2_code" / "student_code.py").read_text("utf-8")
    starter = make_starter.student_code(text, "student_code.py")
    graded = grade({"student_code.py": starter, "utils.py": (ROOT / "proj2_code" / "utils.py").read_bytes()})
    assert graded.points == NOTHING
    for test in graded.results["tests"]:
        assert f"is not written yet: NotImplementedError: {test['tags'][0]} (line " in test["output"]


def test_visible_tests_are_those_of_proj2_unit_tests(grade):
    graded = grade({})
    names = {
        line.split("(")[0].removeprefix("def ")
        for path in (ROOT / "proj2_unit_tests").glob("test_*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("def test_")
    }
    visible = [test for test in graded.results["tests"] if test["visibility"] == "visible"]
    assert {test["name"].partition(" · ")[2] for test in visible} == names
    hidden = [test for test in graded.results["tests"] if test["visibility"] != "visible"]
    assert {test["number"].split(".")[0] for test in hidden} == set(FULL)
    most = {}
    for test in graded.results["tests"]:
        todo = test["number"].split(".")[0]
        most[todo] = most.get(todo, 0) + test["max_score"]
    assert most == FULL


# What is handed in, and how


def test_nothing_handed_in(grade):
    graded = grade({"report.pdf": "%PDF"})
    assert graded.points == NOTHING
    assert "Expected student_code.py" in graded.results["output"] and "found report.pdf" in graded.results["output"]


def test_missing_functions_cost_their_own_points(grade):
    graded = grade({"student_code.py": _code("good")})
    assert graded.points == GOOD
    assert set(graded.outputs("6")) == {"Expected a function applyIoU in student_code.py, found none."}
    assert "no utils.py" in graded.results["output"]


def test_syntax_error(grade):
    graded = grade({"student_code.py": _code("syntax_error")})
    line = (SUBMISSIONS / "good.py").read_text("utf-8").count("\n") + 2
    assert graded.points == NOTHING
    assert f"SyntaxError: expected ':' (line {line} of student_code.py)" in graded.results["output"]


def test_wrong_file_name_beside_what_a_mac_leaves(grade):
    graded = grade({"Student Code (1).py": _code("good"), "._student_code.py": b"\0\5\26\7", ".DS_Store": b"\0"})
    assert graded.points == GOOD
    assert "There is no student_code.py; Student Code (1).py" in graded.results["output"]


def test_zip_in_a_zip(grade):
    inner = _zip({"proj2/student_code.py": _code("good"), "__MACOSX/proj2/._student_code.py": b"\0\5\26\7"})
    graded = grade({"proj2.zip": _zip({"again/gburdell3.zip": inner}), "broken.zip": b"PK\3\4 and no more"})
    assert graded.points == GOOD
    assert "zip inside the zip" in graded.results["output"]
    assert "broken.zip could not be unpacked" in graded.results["output"]


def test_folder_with_an_altered_utils(grade):
    utils = "def verify(function):\n    return 'Correct'\n"
    code = _code("good").replace("import torch\n", "import torch\n\nimport utils\n\nutils.Dataset\n", 1)
    graded = grade(
        {"Abgabe für Übung 2/student_code.py": code, "Abgabe für Übung 2/utils.py": utils, "__MACOSX/utils.py": "1/0"}
    )
    assert graded.points == GOOD
    assert "utils.py lacks" in graded.results["output"] and "Dataset" in graded.results["output"]
    assert "passed over" not in graded.results["output"]


def test_links_are_not_followed(gradescope):
    root = gradescope({})
    (root / "submission" / "student_code.py").symlink_to(root / "source" / "reference.py")
    (root / "submission" / "folder").symlink_to(ROOT / "proj2_code")
    graded = _run(root)
    assert graded.points == NOTHING
    assert "Expected student_code.py" in graded.results["output"]


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"x = 1\n" * 600_000], ids=lambda c: str(c[:4]))
def test_files_that_are_no_python(grade, content):
    graded = grade({"student_code.py": content})
    assert graded.points == NOTHING
    assert graded.returncode == 0


# What the code does


def test_failing_import_costs_what_needs_it(grade):
    graded = grade({"student_code.py": _code("failing_import")})
    assert graded.points == GOOD | {"3": 0}
    assert "No module named 'numpy_for_street_scenes'" in graded.results["output"]
    assert "AssertionError: left over from trying things out" in graded.results["output"]


def test_endless_functions_are_stopped_and_the_others_graded(grade):
    graded = grade({"student_code.py": _code("endless")}, limits=LOADED | {"cpu_seconds": 1, "wall_seconds": 15})
    assert graded.points == GOOD
    assert "load_FPN_resnet50 should return, but was still running after 1 s of computing" in graded.outputs("4")[0]
    assert "still running after 15 s" in graded.outputs("4")[1]
    assert "still running after 3.75 s" in graded.outputs("4")[2]  # a third time need not be waited out


def test_allocations_are_refused(grade):
    graded = grade({"student_code.py": _code("allocation")})
    assert graded.points == GOOD | {"2": 0}
    for output in graded.outputs("2") + graded.outputs("4"):
        assert "needed more than the 4 GiB of memory a test may use" in output


def test_exits(grade):
    graded = grade({"student_code.py": _code("exits")})
    assert graded.points == GOOD | {"1": 0, "2": 0, "3": 0}
    assert "SystemExit: 0" in graded.results["output"]
    assert "raised SystemExit: 0" in graded.outputs("1")[0]
    assert "softmax should return, but ended its process with exit code 0." in graded.outputs("2")
    assert "crashed with SIGSEGV" in graded.outputs("3")[0]
    assert "raised KeyboardInterrupt" in graded.outputs("4")[0]


def test_exit_on_import(grade):
    graded = grade({"student_code.py": _code("exit_on_import")})
    assert graded.points == NOTHING
    assert graded.outputs("1")[0] == (
        "Importing student_code.py should return, but ended its process with exit code 0."
    )


def test_noise_is_dropped(grade):
    graded = grade({"student_code.py": _code("noisy")})
    assert graded.points == GOOD
    assert "noise" not in graded.text + graded.log
    assert len(graded.text) < 50_000


def test_results_cannot_be_written_by_the_submission(gradescope):
    root = gradescope({})
    (root / "submission" / "student_code.py").write_text(_code("writes_results", ROOT=str(root)), "utf-8")
    graded = _run(root)
    assert graded.points == GOOD | {"1": 0}
    time.sleep(0.3)
    assert (root / "results" / "results.json").read_text("utf-8") == graded.text
    assert [path.name for path in (root / "results").iterdir()] == ["results.json"]


@pytest.mark.parametrize("name", ["patches", "forges_answers"])
def test_verdicts_cannot_be_forged(grade, name):
    graded = grade({"student_code.py": _code(name)})
    assert graded.points == NOTHING
    assert graded.returncode == 0


def test_hidden_tests_cannot_be_read(gradescope):
    root = gradescope({})
    (root / "submission" / "student_code.py").write_text(_code("reads_tests", ROOT=str(root)), "utf-8")
    graded = _run(root)
    assert graded.points == NOTHING
    if graded.isolated:  # elsewhere than on Linux, and not run by root, nothing keeps the files apart
        assert "READ" not in graded.text
        for todo in ("1", "2", "3", "4", "5", "EC"):
            assert "PermissionError" in graded.outputs(todo)[0]
    if os.geteuid() == 0:
        assert "as user " in graded.outputs("5")[0] and "as user 0" not in graded.outputs("5")[0]


def test_processes_left_behind_are_ended(grade):
    mark = f"7654.{os.getpid()}"
    graded = grade({"student_code.py": _code("leaves_processes", SECONDS=mark)})
    assert graded.points == GOOD
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark in _read_if_there(path)]


def test_ready_made_functions_earn_nothing_under_any_name(grade):
    graded = grade({"student_code.py": _code("ready_made")})
    assert graded.points == NOTHING | {"3": 20}
    named = {output.rpartition(" called ")[2] for todo in ("1", "2", "5") for output in graded.outputs(todo)}
    assert {"torch.sigmoid.", "torch.silu.", "torch.log_sigmoid_forward.", "scipy.special.expit."} <= named
    assert {"torch._softmax.", "torch.logsumexp."} <= named
    assert any(name.startswith("scipy.special._logsumexp.") for name in named)
    assert any(name.startswith("torchmetrics.") for name in named)


def test_careless_code_is_told_what_came_back(grade):
    graded = grade({"student_code.py": _code("careless")})
    assert graded.points == NOTHING | {"1": 13}
    assert graded.outputs("1")[-1] == "sigmoid of a 3×2 tensor should leave its input as it was, but changed it."
    assert "got nan" in graded.outputs("1")[4]
    assert "should have the dtype torch.float32, got torch.float64" in graded.outputs("2")[0]
    assert "should be a torch.Tensor, got a NumPy uint8 array of the shape (2, 3, 3)" in graded.outputs("3")[0]
    assert "should hold the weights of models/resnet50_best_model_weights.pt, not so in" in graded.outputs("4")[0]
    assert "should be a torch.Tensor, got 0.4" in graded.outputs("5")[0]


def test_nearly_right_code_loses_the_hidden_tests_it_fails(grade):
    graded = grade({"student_code.py": _code("nearly")})
    failed = {test["name"].removeprefix("TO-DO ") for test in graded.results["tests"] if test["status"] == "failed"}
    assert failed == {
        "1: sigmoid · other dtypes",
        "1: sigmoid · gradient",
        "2: softmax · test_softmax",
        "2: softmax · extreme values",
        "2: softmax · gradient",
        "3: apply_mask_to_image · other sizes and H×W masks",
        "3: apply_mask_to_image · refuses a mask of another shape or with other values",
        "3: apply_mask_to_image · leaves its inputs as they were",
        "4: load_FPN_resnet50 · test_load_FPN_resnet50",
        "4: load_FPN_resnet50 · every module in eval mode, one class, 0 to 1",
        "5: IoU · test_IoU2",
        "5: IoU · empty, full and disjoint masks against torchmetrics",
        "5: IoU · refuses masks of unequal shape, NaN and 255",
        "5: IoU · leaves its inputs as they were",
        "6: applyIoU · leaves model and data set as they were",
        "EC: compare_psp_fpn · test_compare_psp_fpn",
        "EC: compare_psp_fpn · other frames, in another order",
    }
    assert "training mode" in graded.outputs("4")[0]
    assert "the model's modes changed" in graded.outputs("6")[2]


def test_what_calls_a_broken_function_is_graded_for_itself(grade):
    graded = grade({"student_code.py": _code("broken_iou"), "utils.py": "import utilities_of_mine\n"})
    assert graded.points == GOOD | {"5": 0, "6": 15, "EC": 10}
    assert "the reference's IoU stood in" in graded.outputs("6")[0]
    assert "utils.py could not be imported and the project's own was used" in graded.results["output"]


# The grader itself


def test_a_failing_grader_blames_nobody(gradescope):
    root = gradescope({"student_code.py": _code("good")})
    (root / "source" / "expected.values").write_bytes(b"\0" * 40)
    graded = _run(root)
    assert graded.returncode != 0
    assert "The autograder itself failed" in graded.results["output"]
    assert graded.points == NOTHING


def test_an_environment_that_does_not_start_leaves_valid_results(gradescope):
    root = gradescope({"student_code.py": _code("good")})
    (root / "source" / "venv").unlink()
    (root / "source" / "venv" / "bin").mkdir(parents=True)
    assert subprocess.run(["bash", root / "run_autograder"], stderr=subprocess.DEVNULL).returncode != 0
    results = json.loads((root / "results" / "results.json").read_text("utf-8"))
    assert results["score"] == 0 and "could not be started" in results["output"]


def test_results_are_valid_from_the_first_moment(gradescope):
    root = gradescope({"student_code.py": _code("good")})
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
    before = archive.read_bytes()
    subprocess.run([sys.executable, KIT / "make_autograder.py"], check=True, stdout=subprocess.DEVNULL)
    assert archive.read_bytes() == before


def test_setup_is_sound_shell():
    for name in ("setup.sh", "run_autograder"):
        subprocess.run(["bash", "-n", KIT / "autograder" / name], check=True)
