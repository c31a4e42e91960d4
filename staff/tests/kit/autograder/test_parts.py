"""Parts of the grader by themselves, without grading anything."""

import os

import pytest

if os.name == "nt":
    pytest.skip("Gradescope runs on Linux; the grader needs fork", allow_module_level=True)

import marshal
import sys
import tempfile
from pathlib import Path

import numpy as np

from staff import ROOT
from staff.kit.autograder.grader import messages, objects, storage, student, supervisor, values


@pytest.mark.parametrize("sizes", [(values.LARGEST_HEADER + 1, 0), (0, values.LARGEST_BODY + 1)])
def test_an_answer_that_is_too_long_is_refused_before_it_is_read(sizes):
    with pytest.raises(ValueError, match="longer than allowed"):
        values.cut_frames(bytearray(values.HEAD.pack(*sizes)), [], most=1)


def test_a_class_that_calls_itself_network_is_none():
    class network:
        def facts(self):
            return {"classes": ["segmentation_models_pytorch.decoders.fpn.model.FPN"]}

    assert objects.from_native(network()) == values.OpaqueValue("object", {"type": "network"})


def test_stand_ins_hold_no_source_and_no_other_solution():
    code = student.stand_in_code(ROOT / "proj2_code" / "student_code.py", ("IoU",)).tobytes()
    names = {constant.co_name for constant in marshal.loads(code).co_consts if hasattr(constant, "co_name")}
    assert "IoU" in names and not names & {"sigmoid", "softmax", "applyIoU", "load_FPN_resnet50"}
    assert b"SOLUTION" not in code and b"Intersection" not in code  # neither comments nor docstrings


@pytest.mark.parametrize(
    ("depth", "size", "limit", "found"),
    [(3, 10, 1 << 20, ""), (3, 2 << 20, 1 << 20, "disk"), (101, 10, 8 << 20, "files")],
)
def test_limits_of_files(tmp_path, depth, size, limit, found):
    folder = tmp_path.joinpath("project", *["d"] * depth)
    folder.mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (folder / "file").write_bytes(bytes(size))
    assert storage.excess(tmp_path, None, private=False, limit=limit) == found


@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        (
            "FileNotFoundError",
            "[Errno 2] No such file or directory: '../models/a.pt'",
            "paths start in the project's root",
        ),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'C:/ana/a.pt'", "on your computer alone"),
        ("RuntimeError", "Found no NVIDIA driver on your system.", "there is no GPU here"),
        ("RuntimeError", "Error(s) in loading state_dict for FPN: size mismatch for x", "with classes=1"),
        ("TypeError", "unsupported operand type(s) for *: 'numpy.ndarray' and 'Parameter'", "torch.from_numpy(image)"),
        ("RuntimeError", "The size of tensor a (2) must match the size of tensor b (3)", "the shapes (2, 3) and (4,)"),
        ("ZeroDivisionError", "division by zero", ""),
    ],
)
def test_hints(kind, message, hint):
    found = messages.hint_for({"type": kind, "message": message}, (np.zeros((2, 3)), values.Tensor(np.zeros(4))))
    assert hint in found if hint else not found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the file is Linux's own")
def test_where_memory_runs_out_a_worker_is_ended_before_the_grader():
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            supervisor._detach(send)
            os.write(send, Path("/proc/self/oom_score_adj").read_bytes())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(receive, 100) == b"1000\n"
    assert Path("/proc/self/oom_score_adj").read_text("utf-8") != "1000\n"


def test_deleted_files_count_while_they_are_open(tmp_path):
    (tmp_path / "project").mkdir()
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(bytes(2 << 20))
        file.flush()
        assert storage.excess(tmp_path, None, private=False, limit=1 << 20, pids=[os.getpid()]) == "disk"
    assert storage.excess(tmp_path, None, private=False, limit=1 << 20, pids=[os.getpid()]) == ""


def test_a_long_path_gets_a_short_one(tmp_path):
    assert storage.short_path(tmp_path.parents[1]) == tmp_path.parents[1]
    long = tmp_path / ("a" * 60) / "home"
    long.mkdir(parents=True)
    link = storage.short_path(long)
    assert len(str(link)) < 30 and link.samefile(long)
    link.unlink()
