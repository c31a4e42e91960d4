"""grade.py as staff run it: one submission, a class, stopped and started again."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from staff import ROOT
from staff.kit import grade as program
from staff.kit import grading
from staff.kit.class_export import parse_time
from staff.tests.kit.autograder.harness import one_function, zip_of

GRADE = [sys.executable, "-m", "staff.kit.grade"]


def grade(*arguments, check=True, **kwargs):
    done = subprocess.run([*GRADE, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False, **kwargs)
    assert "Traceback" not in done.stderr, done.stderr
    assert not check or done.returncode == 0, done.stderr
    return done


def rows_of(table):
    with table.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["absent.zip"],
        ["--all", "absent"],
        ["a.zip", "--all", "."],
        ["--all", ".", "--jobs", "0"],
        ["--all", ".", "--csv", "staff"],
        ["--all", ".", "--csv", "grades.html"],
        ["--all", ".", "--due", "tomorrow"],
        ["--compare", "only.csv"],
    ],
)
def test_what_cannot_be_run_is_refused_at_once(arguments, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["grade", *arguments])
    with pytest.raises(SystemExit) as refused:
        program._arguments()
    assert refused.value.code == 2 and "error:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--roster", "absent.csv"], []])
def test_empty_class_or_absent_roster_is_named(tmp_path, arguments):
    (tmp_path / "class").mkdir()
    done = grade("--all", tmp_path / "class", "--csv", tmp_path / "grades.csv", *arguments, check=False)
    assert done.returncode == 1 and ("absent.csv" in done.stderr or "class" in done.stderr)
    assert not (tmp_path / "grades.csv").exists()


def test_equal_files_have_one_fingerprint_and_others_another(tmp_path):
    for folder, name, code in (("a", "x.py", "1"), ("b", "x.py", "1"), ("c", "x.py", "2"), ("d", "y.py", "1")):
        (tmp_path / folder / "inner").mkdir(parents=True)
        (tmp_path / folder / "inner" / name).write_text(code)
    os.mkfifo(tmp_path / "b" / "pipe")
    (tmp_path / "b" / "link").symlink_to("/etc/passwd")
    found = {name: grading.fingerprint(tmp_path / name) for name in "abcd"}
    assert found["a"] == found["b"] and len(set(found.values())) == 3
    (tmp_path / "a" / ".DS_Store").write_text("not looked at")
    assert grading.fingerprint(tmp_path / "a") == found["a"]
    deep = "d/" * (1200 if sys.platform == "linux" else 300)  # a path on macOS has at most 1024 bytes
    subprocess.run(["mkdir", "-p", deep], cwd=tmp_path, check=True)
    assert grading.fingerprint(tmp_path / "d")
    subprocess.run(["rm", "-r", "d"], cwd=tmp_path, check=True)  # pytest could not
    for name in ("one.zip", "two.zip"):
        (tmp_path / name).write_bytes(b"same")
    assert grading.fingerprint(tmp_path / "one.zip") == grading.fingerprint(tmp_path / "two.zip")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b'{"score": 3}', b"\xff"])
def test_damaged_result_is_not_used(tmp_path, content):
    results = grading.Results(tmp_path / "kept", "version")
    results.keep("hash", {"score": 3, "tests": []})
    assert results.load("hash") == {"score": 3, "tests": []}
    assert grading.Results(tmp_path / "kept", "other version").load("hash") is None
    (path,) = (tmp_path / "kept").iterdir()
    path.write_bytes(content)
    assert results.load("hash") is None


def test_jobs_have_a_core_and_a_gigabyte_each(monkeypatch):
    monkeypatch.setattr(program.os, "cpu_count", lambda: 8)
    for free, jobs in ((64, 8), (3, 3), (0, 1)):
        monkeypatch.setattr(program.psutil, "virtual_memory", lambda free=free: SimpleNamespace(available=free << 30))
        assert program.default_jobs() == jobs


def test_a_failure_of_the_autograder_is_reported_and_not_stored(tmp_path, monkeypatch, capsys):
    results = {"score": 0, "output": "", "tests": []}
    grading_of_all = [grading.Grading(results, "started\nBroken: no Python here\n")]
    monkeypatch.setattr(grading, "Autograder", lambda _: SimpleNamespace(version="1", close=lambda: None))
    monkeypatch.setattr(
        grading, "grade_all", lambda _, wanted, jobs: (pair for pair in zip(wanted, grading_of_all, strict=True))
    )
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.zip").write_bytes(zip_of({"student_code.py": "x = 1"}))
    due = parse_time("2026-10-06 12:00")
    arguments = SimpleNamespace(all=tmp_path / "class", csv=tmp_path / "grades.csv", roster=None, due=due, jobs=1)
    with pytest.raises(SystemExit, match="graded again"):
        program._grade_class(arguments)
    said = capsys.readouterr().err
    assert "a.zip: the autograder did not finish: " in said and "Broken: no Python here" in said
    assert "1 of 1 have no time" in said
    assert rows_of(tmp_path / "grades.csv")[0]["notes"] == "the autograder did not finish"
    assert not list(tmp_path.glob("grades.results/*"))


@pytest.mark.slow
def test_class_is_graded_whole_kept_and_graded_again_from_what_was_kept(tmp_path):
    good = one_function().encode()
    folder = tmp_path / "Abgaben"
    folder.mkdir()
    (tmp_path / "good.py").write_bytes(good)
    for name in ("a.zip", "a again.zip"):
        (folder / name).write_bytes(zip_of({"student_code.py": good}))
    (folder / "loose.py").write_bytes(good)
    subprocess.run(["tar", "czf", folder / "tar.tar.gz", "-C", tmp_path, "good.py"], check=True)
    (folder / "broken.zip").write_bytes(b"PK\3\4 and no more")
    (folder / "other.rar").write_bytes(b"Rar!")
    (folder / "empty").mkdir()
    odd = os.fsdecode(os.fsencode(folder) + b"/M\xfcller_102")
    os.mkdir(odd)
    (folder / odd / "student_code.py").write_bytes(good)
    os.mkfifo(folder / odd / "pipe.py")
    table = folder / "grades.csv"  # among the submissions, and yet none of them
    command = ("--all", folder, "--csv", table, "--jobs", "2")
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"}
    for _ in range(2):
        done = grade(*command, env=environment)
        rows = {row["submission"]: row for row in rows_of(table)}
        points = {name: row["total"] for name, row in rows.items()}
        assert points == {
            "M\\xfcller_102": "15",
            "a.zip": "15",
            "a again.zip": "15",
            "broken.zip": "0",
            "empty": "0",
            "loose.py": "15",
            "other.rar": "",
            "tar.tar.gz": "15",
        }
        assert "ask for a zip" in rows["other.rar"]["notes"] and "other.rar" in done.stderr
        assert "to the byte" in (folder / "grades.html").read_text("utf-8")
        assert "good.py" in (folder / "grades.html").read_text("utf-8") or "loose.py" in rows["loose.py"]["notes"]
        kept = {path: path.stat().st_mtime_ns for path in (folder / "grades.results").iterdir()}
        assert len(kept) == 6  # a.zip and its copy share theirs
    assert kept == {path: path.stat().st_mtime_ns for path in (folder / "grades.results").iterdir()}
    assert json.loads(next(iter(kept)).read_text())["tests"]


@pytest.mark.slow
def test_stopped_run_keeps_what_is_done_leaves_no_process_and_goes_on(tmp_path):
    folder, table, kept = tmp_path / "class", tmp_path / "grades.csv", tmp_path / "grades.results"
    folder.mkdir()
    (folder / "a.zip").write_bytes(zip_of({"student_code.py": ""}))
    for name in "bcdefgh":
        (folder / f"{name}.zip").write_bytes(zip_of({"student_code.py": f"# {name}\n{one_function()}"}))
    command = [*GRADE, "--all", folder, "--csv", table, "--jobs", "1"]
    for signals in ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT]):
        before = set(kept.glob("*.json"))
        running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8")
        while set(kept.glob("*.json")) == before:
            assert running.poll() is None
            time.sleep(0.05)
        children = psutil.Process(running.pid).children(recursive=True)
        assert children
        for sent in signals:
            running.send_signal(sent)
        _, log = running.communicate()
        assert running.returncode not in (0, None) and "Traceback" not in log
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert "Run the same command again" in log
        notes = [row["notes"] for row in rows_of(table)]
        assert "not graded yet" not in notes[0] and notes[-1] == "not graded yet"
        assert before < set(kept.glob("*.json")) and not list(tmp_path.glob("*.part"))

    finished = set(kept.glob("*.json"))
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert [row["total"] for row in rows_of(table)] == ["0", *["15"] * 7]
    assert finished < set(kept.glob("*.json"))
