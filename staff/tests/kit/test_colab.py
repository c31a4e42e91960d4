"""The starter's notebook for Colab: it clones the repository that was named, and points nowhere without one."""

import os
import re
import shutil
import subprocess
import sys
import types

import nbformat
import pytest

from staff import ROOT
from staff.kit import make_starter
from staff.kit.colab import Repository


def notebook_of(address):
    text = (ROOT / "proj2.ipynb").read_text("utf-8")
    repository = Repository(address) if address else None
    return nbformat.reads(make_starter.student_notebook(text, "proj2.ipynb", repository), as_version=4)


@pytest.mark.parametrize(
    "address", ["github.com/course/proj-2", "https://github.com/course/proj-2", "http://github.com/course/proj-2.git/"]
)
def test_badge_and_clone_name_the_repository(address):
    sources = "\n".join(cell.source for cell in notebook_of(address).cells)
    assert "colab.research.google.com/github/course/proj-2/blob/main/proj2.ipynb" in sources
    assert '"https://github.com/course/proj-2", "proj2"' in sources
    assert "files.upload" not in sources


def test_badge_follows_the_title():
    lines = notebook_of("github.com/course/proj2").cells[0].source.splitlines()
    assert lines[0].startswith("# ") and lines[2].startswith("[![Open in Colab]")


def test_without_a_repository_there_is_neither_badge_nor_clone():
    sources = "\n".join(cell.source for cell in notebook_of("").cells)
    assert not re.search(r"colab-badge|colab\.research|git.{0,4}clone", sources)
    assert "files.upload" in sources


@pytest.mark.parametrize(
    "address",
    ["course/proj2", "gitlab.com/course/proj2", "github.com/course", 'github.com/a/b"; rm', "github.com/a/b/c"],
)
def test_what_is_no_repository_is_refused(address, tmp_path):
    with pytest.raises(SystemExit, match=r"COLAB must be like github\.com/owner/repository"):
        make_starter.main(target=tmp_path / "starter.zip", colab=address)
    assert list(tmp_path.iterdir()) == []


def test_notebook_that_has_changed_is_named():
    with pytest.raises(ValueError, match="no cell 'colab-setup'"):
        Repository("github.com/a/b").put_into_notebook(nbformat.v4.new_notebook())
    notebook = nbformat.read(ROOT / "proj2.ipynb", as_version=4)
    next(cell for cell in notebook.cells if cell.id == "colab-setup").source = "pass"
    with pytest.raises(ValueError, match=r"proj2\.ipynb no longer says"):
        Repository("github.com/a/b").put_into_notebook(notebook)


def test_readme_leads_to_the_same_notebook():
    text = make_starter.starter_files(ROOT, Repository("github.com/course/proj2"))["README.md"].decode()
    assert "colab.research.google.com/github/course/proj2/blob/main/proj2.ipynb" in text
    assert "upload the zip" not in text


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_cell_clones_the_repository_and_goes_on_in_it(tmp_path, monkeypatch):
    """The cell as Colab runs it, with a repository on this disk in the place of the one on GitHub."""
    origin = tmp_path / "github" / "course" / "proj2"
    (origin / "proj2_code").mkdir(parents=True)
    (origin / "proj2_code" / "utils.py").touch()
    (origin / "requirements.txt").write_text("nbformat==0\n")  # there already, so nothing is installed
    git = ["git", "-C", origin, "-c", "user.name=x", "-c", "user.email=x"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True)
    settings = {"COUNT": "1", "KEY_0": f"url.{tmp_path}/github/.insteadOf", "VALUE_0": "https://github.com/"}
    for name, value in settings.items():
        monkeypatch.setitem(os.environ, f"GIT_CONFIG_{name}", value)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")

    cells = {cell.id: cell.source for cell in notebook_of("github.com/course/proj2").cells}
    for _ in range(2):  # run again, it finds what is there
        exec(cells["imports"] + "\n" + cells["colab-setup"], {})
    assert (tmp_path / "content" / "proj2" / "proj2_code" / "utils.py").is_file()
