"""Parts of the grader by themselves, without grading anything."""

import json
import marshal
import os
import re
import resource
import select
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from staff import ROOT
from staff.kit.autograder.grader import (
    archives,
    confinement,
    messages,
    objects,
    storage,
    student,
    submission,
    supervisor,
    values,
)
from staff.tests.kit.autograder.harness import LOADED, tar_gz, zip_of


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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere open files cannot be listed")
def test_deleted_files_count_while_they_are_open(tmp_path):
    (tmp_path / "project").mkdir()
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(bytes(2 << 20))
        file.flush()
        assert storage.excess(tmp_path, None, private=False, limit=1 << 20, pids=[os.getpid()]) == "disk"
    assert storage.excess(tmp_path, None, private=False, limit=1 << 20, pids=[os.getpid()]) == ""


def test_a_long_path_gets_a_short_one(tmp_path):
    assert storage.short_path(Path("/tmp")) == Path("/tmp")
    long = tmp_path / ("a" * 60) / "home"
    long.mkdir(parents=True)
    link = storage.short_path(long)
    assert len(str(link)) < 30 and link.samefile(long)
    link.unlink()


def test_an_answer_that_comes_while_the_worker_ends_is_taken(monkeypatch):
    watching = object.__new__(supervisor.Supervisor)
    (receive, send), (watching._requests, _) = os.pipe(), os.pipe()
    real, waits = select.select, iter([([], [], [])])  # nothing had come when the first wait ended
    monkeypatch.setattr(supervisor.select, "select", lambda *given: next(waits, None) or real(*given))
    monkeypatch.setattr(supervisor.processes, "reap", lambda: ({7: (0, 0.1)}, False))
    monkeypatch.setattr(supervisor.processes, "usage", lambda inherited: (0.0, 0))
    os.write(send, values.dumps("imported") + values.dumps("answer"))
    request = {"import_seconds": 9, "wall_seconds": 9}
    reason, frames = watching._watch(request, 7, receive, 0, {})
    assert reason == "sent" and values.loads(frames[1]) == "answer"


def test_where_processes_cannot_be_listed_the_worker_is_ended():
    """As on macOS. In a process of its own, since it waits for all children."""
    code = (
        "import os, time; from grader import processes; processes.descendants = set; worker = os.fork()\n"
        "if worker == 0: time.sleep(60); os._exit(0)\n"
        "print(processes.sweep(None, worker)[worker][0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "staff/kit/autograder", capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "9\n", done.stderr


def test_limits_are_no_higher_than_the_machine_allows(monkeypatch):
    for hard, limit in ((resource.RLIM_INFINITY, 8), (5, 5), (9, 8)):
        monkeypatch.setattr(confinement.resource, "getrlimit", lambda _, hard=hard: (1, hard))
        assert confinement.allowed(resource.RLIMIT_AS, 8) == limit


def test_data_in_a_tar_leaves_room_for_the_code_beside_it(tmp_path):
    (tmp_path / "data.tar.gz").write_bytes(tar_gz({"data.npy": bytes(5000)}))
    (tmp_path / "code.zip").write_bytes(zip_of({"10:06 hand-in/student_code.py": b"x = 1"}))
    allowance = archives.Allowance(size=1000)
    for name in ("data.tar.gz", "code.zip"):
        archives.unpack(tmp_path / name, tmp_path / "unpacked", allowance)
    assert [path.name for path, _ in submission.plain_files(tmp_path / "unpacked")] == ["student_code.py"]


def test_no_submission_replaces_the_project_s_own_utils():
    assert archives.parts_of(f"{submission.OWN}/utils.py") is None


def test_secrets_of_whoever_grades_stay_with_them(monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    assert "GITHUB_TOKEN" not in student.environment() and "PATH" in student.environment()


CODE = b"def IoU(predict, target):\n    pass\n"
NESTED = {"d/student_code.py": CODE, "__MACOSX/d/._student_code.py": b"\0"}


def find(folder, files):
    """What is found of these files, handed in in one folder."""
    (folder / "submission").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / "submission" / name).write_bytes(content)
    return submission.find(folder / "submission", folder / "unpacked")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"Code (1).py": CODE, "._student_code.py": b"\0"},
            ["no student_code.py; Code (1).py", "no utils.py"],
        ),
        (
            {"a.zip": zip_of({"b/c.zip": zip_of(NESTED)}), "broken.zip": b"PK"},
            ["in an archive", "broken.zip could not"],
        ),
        ({"a.tar.gz": tar_gz({"proj2_code/student_code.py": CODE})}, ["in an archive inside the submission"]),
    ],
)
def test_student_code_is_found(tmp_path, files, words):
    found = find(tmp_path, files)
    assert found.files == {PurePosixPath("proj2_code/student_code.py"): CODE}
    assert all(word in " ".join(found.notes) for word in words)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.rar": b"Rar!\x1a"}, "found a.rar. Archives of this kind cannot be unpacked here"),
        ({"student_code.py": b"x = 1\n" * 2_000_000}, "larger than the 10 MB"),
        (
            {"many.zip": zip_of({f"{i}.zip": zip_of({f"{k}.py": b"" for k in range(1000)}) for i in range(3)})},
            "too many files or too much data",
        ),
    ],
)
def test_the_reason_is_given_for_what_cannot_be_graded(tmp_path, files, words):
    with pytest.raises(submission.Unusable, match=re.escape(words)):
        find(tmp_path, files)


def test_links_are_not_followed(tmp_path):
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "student_code.py").symlink_to(ROOT / "proj2_code" / "student_code.py")
    (tmp_path / "submission" / "folder").symlink_to(ROOT / "proj2_code")
    with pytest.raises(submission.Unusable, match=r"Expected student_code\.py"):
        find(tmp_path, {})


def test_gradescope_s_time_limit_is_not_reached():
    limits = json.loads((ROOT / "staff/kit/autograder/limits.json").read_text("utf-8"))
    assert limits["total_seconds"] <= 20 * 60 - 180 and limits.keys() == LOADED.keys()
