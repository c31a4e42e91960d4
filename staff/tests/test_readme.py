"""The READMEs keep their word: each command exists, each path and link leads somewhere, each score is measured."""

import csv
import re
import shutil
import subprocess

import pytest

from staff import ROOT
from staff.files import write_between
from staff.training import model_card

READMES = [
    ROOT / "README.md",
    ROOT / "staff/training/README.md",
    ROOT / "staff/kit/README.md",
    ROOT / "models/README.md",
]

NEEDS_CLONE = pytest.mark.skipif(
    not (ROOT / ".git").exists() or not shutil.which("git"), reason="this is not a git clone"
)


@pytest.fixture(scope="module")
def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_every_make_target_exists(readme, targets):
    named = set(re.findall(r"(?:^|[`(])make ([a-z-]+)", readme.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets, f"{readme} names {named - targets}"


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_every_link_and_program_is_there(readme):
    text = readme.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    programs = [word for word in re.findall(r"python ([\w/.]+\.py)", text) if "my_" not in word]
    programs += [f"{name.replace('.', '/')}.py" for name in re.findall(r"python -m (staff[\w.]+)", text)]
    for path in [readme.parent / link for link in links] + [ROOT / program for program in programs]:
        assert path.exists(), f"{readme} names {path}"


@NEEDS_CLONE
def test_the_tour_lists_every_file_and_folder_of_the_top_level():
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split()
    top = {path.split("/")[0] for path in tracked}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    unexplained = {name for name in top if name not in text and not name.startswith(".")}
    assert unexplained <= {"README.md", "Makefile", "pyproject.toml"}


def test_the_scores_are_those_of_the_model_card():
    with (ROOT / "models" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert model_card.TEST_HEAD + model_card.test_table(rows) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_make_names_programs_that_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for module, file in re.findall(r"\$\(PY\) (?:-m ((?:staff|data)[\w.]*)|(\S+\.py))", makefile):
        path = ROOT / (file or module.replace(".", "/"))
        assert any(p.is_file() for p in (path, path.with_suffix(".py"), path / "__main__.py")), path


def test_conda_installs_the_one_list_of_packages():
    environment = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "- -r requirements.txt" in environment
    assert set(re.findall(r"^ +- (\w+)", environment, re.MULTILINE)) == {"conda", "python", "pip"}


@NEEDS_CLONE
def test_no_file_names_the_machine_it_was_made_on():
    pattern = r"(^|[^A-Za-z0-9_.])/(work|root|home/[a-z]+)/|shared/|pypi\.org|pythonhosted"
    command = ["git", "grep", "-nIE", pattern, "--", ".", ":!.ci/run", ":!staff/tests/test_readme.py"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert not found, found


def test_what_stands_between_two_marks_is_replaced_and_nothing_else(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"README\.md has no lines <!-- scores -->"):
        write_between(readme, "scores", "new\n")
    write_between(readme, "speed", "new\n")
    assert readme.read_text(encoding="utf-8") == "before\n<!-- speed -->\nnew\n<!-- /speed -->\nafter\n"
