"""What the tests of the autograder share: a simulated /autograder, and how one run of it is looked at.

`submissions/` holds what is handed in. Most follow `good.py`, which does four TO-DOs well and lacks the other three:
so each shows that a mistake costs its own points and no others.
"""

import io
import json
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from staff import ROOT

KIT = ROOT / "staff" / "kit"
SUBMISSIONS = Path(__file__).with_name("submissions")

GOOD = {"1": 15, "2": 15, "3": 20, "4": 0, "5": 20, "6": 0, "EC": 0}
FULL = {"1": 15, "2": 15, "3": 20, "4": 15, "5": 20, "6": 15, "EC": 10}
NOTHING = dict.fromkeys(GOOD, 0)
ONE = NOTHING | {"1": 15}
# For a machine that does much else.
LOADED = json.loads((KIT / "autograder" / "limits.json").read_text("utf-8")) | {
    "import_seconds": 300,
    "cpu_seconds": 30,
    "wall_seconds": 300,
    "total_seconds": 3600,
}


@dataclass
class Graded:
    """What one grading left."""

    results: dict
    text: str
    log: str
    worked: bool
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


def run(root):
    """Grade as Gradescope does."""
    done = subprocess.run(["bash", root / "run_autograder"], capture_output=True)
    return _graded(root, (done.stdout + done.stderr).decode(), done.returncode == 0)


def grade(autograder, root):
    """Grade as grade.py does: by the same code, but the libraries are imported once for all submissions."""
    worked = autograder.run(root)
    return _graded(root, (root / "log").read_text("utf-8"), worked)


def _graded(root, log, worked):
    path = root / "results" / "results.json"
    assert path.is_file() and not path.is_symlink()
    text = path.read_text("utf-8")
    graded = Graded(json.loads(text), text, log, worked, root)
    check_form(graded)
    return graded


def check_form(graded):
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


def one_function():
    """The sigmoid of good.py and no more, for tests of how files are found: it is graded in a few seconds."""
    return (SUBMISSIONS / "good.py").read_text("utf-8").partition("\n\n\ndef softmax")[0] + "\n"


def code(*names, **replace):
    """good.py, followed by some of the submissions."""
    paths = [SUBMISSIONS / "good.py", *(next(SUBMISSIONS.glob(f"{name}.*")) for name in names)]
    text = "\n".join(path.read_text("utf-8") for path in paths)
    for old, new in replace.items():
        text = text.replace(f"@{old}@", new)
    return text


def zip_of(files):
    """A zip of these files, as bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo("any")
            entry.filename = name  # also one that ZipInfo would not take, such as an empty one
            archive.writestr(entry, content)
    return buffer.getvalue()


def tar_gz(files):
    """A tar of these files, compressed, as bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
