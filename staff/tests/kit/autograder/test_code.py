"""Graded by the real zip: code that is wrong, careless or hostile costs its own points and no others."""

import os
import time

import psutil
import pytest

from staff.tests.kit.autograder import harness
from staff.tests.kit.autograder.harness import GOOD, LOADED, NOTHING, SUBMISSIONS, code, run


def test_mistakes_cost_their_own_points(grade):
    """Lines that fail on import, noise, processes left behind, and a function that never ends, in one submission."""
    mark = f"7654.{os.getpid()}"
    source = code("failing_import", "noisy", "leaves_processes", "endless", SECONDS=mark)
    graded = grade({"student_code.py": source}, limits=LOADED | {"cpu_seconds": 2})
    assert graded.points == GOOD | {"3": 0}
    assert "No module named 'numpy_for_street_scenes'" in graded.results["output"]
    assert "AssertionError: left over from trying things out" in graded.results["output"]
    assert "noise" not in graded.text + graded.log
    assert len(graded.text) < 50_000
    left = [process for process in psutil.process_iter(["cmdline"]) if mark in " ".join(process.info["cmdline"] or [])]
    assert not (left and psutil.LINUX)  # elsewhere, what left its session cannot be found
    assert "compare_psp_fpn should return, but was still running after 2 s of computing" in graded.outputs("EC")[0]
    assert "still running after 1 s" in graded.outputs("EC")[1]  # a third time need not be waited out


def test_exits_and_allocations_are_reported_and_write_no_results(gradescope):
    root = gradescope({})
    source = code("writes_results", "exits", "allocation", ROOT=str(root))
    (root / "submission" / "student_code.py").write_text(source, "utf-8")
    graded = run(root)
    assert graded.points == NOTHING
    assert "SystemExit: 0" in graded.results["output"]
    assert "raised SystemExit: 0" in graded.outputs("1")[0]
    assert "crashed with SIGSEGV" in graded.outputs("3")[0]
    assert "raised KeyboardInterrupt" in graded.outputs("5")[0]
    assert "applyIoU should return, but ended its process with exit code 0." in graded.outputs("6")[0]
    for output in graded.outputs("2") + graded.outputs("4"):
        assert "needed more than the 4 GiB of memory a test may use" in output
    time.sleep(0.3)
    assert (root / "results" / "results.json").read_text("utf-8") == graded.text
    assert [path.name for path in (root / "results").iterdir()] == ["results.json"]


def test_exit_on_import(grade):
    graded = grade({"student_code.py": code("exit_on_import")})
    assert graded.points == NOTHING
    assert graded.outputs("1")[0] == (
        "Importing student_code.py should return, but ended its process with exit code 0."
    )


@pytest.mark.parametrize("name", ["patches", "forges_answers"])
def test_verdicts_cannot_be_forged(grade, name):
    graded = grade({"student_code.py": code(name)})
    assert graded.points == NOTHING
    assert graded.worked
    if name == "forges_answers":
        assert "more came back than a test accepts" in graded.outputs("EC")[0]


def test_hidden_tests_cannot_be_read(autograder, gradescope):
    root = gradescope({})
    (root / "submission" / "student_code.py").write_text(code("reads_tests", ROOT=str(root)), "utf-8")
    graded = harness.grade(autograder, root)
    assert graded.points == NOTHING
    assert "no source in any frame" in graded.outputs("6")[0]
    if graded.isolated:  # elsewhere than on Linux, and not run by root, nothing keeps the files apart
        assert "READ" not in graded.text
        for todo in ("1", "2", "3", "4", "5", "EC"):
            assert "PermissionError" in graded.outputs(todo)[0]
    if os.geteuid() == 0:
        assert "as user " in graded.outputs("5")[0] and "as user 0" not in graded.outputs("5")[0]


def test_ready_made_functions_earn_nothing_under_any_name(grade):
    graded = grade({"student_code.py": code("ready_made")})
    assert graded.points == NOTHING | {"3": 20}
    named = {
        output.partition(" called ")[2].partition(",")[0] for todo in ("1", "2", "5") for output in graded.outputs(todo)
    }
    assert {"torch.sigmoid", "torch.silu", "torch.log_sigmoid_forward"} <= named
    assert {"torch._softmax", "torch.logsumexp"} <= named
    assert any(name.endswith(".expit") for name in named)
    assert any(name.startswith("numpy.") and name.endswith("logaddexp") for name in named)
    assert any(name.startswith("scipy.special._logsumexp.") for name in named)
    assert any(name.startswith("torchmetrics.") for name in named)


def test_careless_code_gets_a_message_with_what_came_back(grade):
    graded = grade({"student_code.py": code("careless")})
    assert graded.points == NOTHING | {"1": 13}
    assert graded.outputs("1")[-1] == "sigmoid of a 3×2 tensor should leave its input as it was, but changed it."
    assert "got nan" in graded.outputs("1")[4]
    assert "should have the dtype torch.float32, got torch.float64" in graded.outputs("2")[0]
    assert "should be a torch.Tensor, got a NumPy uint8 array of the shape (2, 3, 3)" in graded.outputs("3")[0]
    assert "should hold the weights of models/resnet50_best_model_weights.pt, not so in" in graded.outputs("4")[0]
    assert "should be a torch.Tensor, got the float 0.4" in graded.outputs("5")[0]


def test_nearly_right_code_loses_the_hidden_tests_it_fails(grade):
    graded = grade({"student_code.py": code("nearly")})
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
        "5: IoU · test_IoU2",
        "5: IoU · empty, full and disjoint masks against torchmetrics",
        "5: IoU · refuses masks of unequal shape, NaN and 255",
        "6: applyIoU · leaves model and data set as they were",
        "EC: compare_psp_fpn · test_compare_psp_fpn",
        "EC: compare_psp_fpn · other frames, in another order",
    }
    assert "training mode" in graded.outputs("4")[0]
    assert "the model's modes changed" in graded.outputs("6")[2]


def test_what_calls_a_broken_function_is_graded_for_itself(grade):
    graded = grade({"student_code.py": code("broken_iou"), "utils.py": "import utilities_of_mine\n"})
    assert graded.points == GOOD | {"5": 0, "6": 15, "EC": 10}
    assert "with a correct IoU in place of yours" in graded.outputs("6")[0]
    assert "utils.py could not be imported and the project's own was used" in graded.results["output"]


def test_typical_mistakes_get_a_hint(grade):
    graded = grade({"student_code.py": (SUBMISSIONS / "typical.py").read_text("utf-8")})
    assert "each form of the formula is safe for one sign only" in graded.outputs("1")[0]
    assert "along `dim`" in graded.outputs("2")[0]
    assert "uint8 counts modulo 256" in graded.outputs("3")[1]
    assert "pass encoder_weights=None" in graded.outputs("4")[0]
    assert "give 1 if there are none" in graded.outputs("5")[1]
    assert "got training mode: use utils.evaluation_mode" in graded.outputs("6")[0]
    assert "an absolute path exists on your computer alone" in graded.outputs("EC")[0]
    assert graded.results["output"].startswith("The tests shown at first are worth 54 points; 56 more")
