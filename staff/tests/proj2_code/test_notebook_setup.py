"""The set-up cells of proj2.ipynb, which have to work where no test can run the whole notebook."""

import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

from staff.tests.proj2_code.notebook_cells import cell_of


@pytest.mark.parametrize("start", ["", "proj2_code", "..", "staff/tests"])
def test_the_project_is_found_from_any_folder(stored, tmp_path, monkeypatch, capsys, start):
    project = tmp_path / "é b" / "proj 2"
    for part in ("proj2_code", "staff/tests"):
        (project / part).mkdir(parents=True)
    (project / "proj2_code" / "student_code.py").touch()
    monkeypatch.chdir(project / start)
    path = ["first", str(project), "last"]
    scope = {"os": os, "Path": Path, "sys": types.SimpleNamespace(path=path)}

    for _ in range(2):
        exec(cell_of(stored, "project-root").source, scope)

        assert Path.cwd() == scope["ROOT"] == project.resolve()
        assert path == [str(project / "proj2_code"), str(project), "first", "last"]
        # The outputs are stored: where the project lies is nobody's business.
        assert capsys.readouterr().out == "Working in the folder proj 2\n"


def test_a_folder_without_the_project_is_an_error_that_says_so(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="or directly below it: open this notebook inside the project's folder"):
        exec(cell_of(stored, "project-root").source, {"os": os, "Path": Path, "sys": sys})


def test_the_colab_cell_does_nothing_elsewhere(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("top", ["", "proj2_starter/"])
@pytest.mark.parametrize("uploaded_before", [True, False])
def test_the_colab_cell_unpacks_and_installs_what_is_missing(stored, tmp_path, monkeypatch, top, uploaded_before):
    def upload():
        with zipfile.ZipFile("any name.zip", "w") as archive:
            archive.writestr(f"{top}proj2_code/student_code.py", "")
            pins = "# pinned\nnumpy==1.0\nnot-on-colab==1.2.3\nAlso_Missing==4\njupyterlab==4.6.6\n"
            archive.writestr(f"{top}requirements.txt", pins)
        return {"any name.zip": b""}

    monkeypatch.chdir(tmp_path)
    if uploaded_before:
        upload()
    colab = types.SimpleNamespace(files=types.SimpleNamespace(upload=upload))
    monkeypatch.setitem(sys.modules, "google", types.SimpleNamespace(colab=colab))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    commands = []
    monkeypatch.setattr(subprocess, "check_call", commands.append)

    exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})

    assert (tmp_path / top / "proj2_code" / "student_code.py").is_file()
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert [word for word in command if "==" in word] == ["not-on-colab==1.2.3", "Also_Missing==4"]

    # Once everything is there, pip has nothing to do, and would say so with an error.
    (tmp_path / top / "requirements.txt").write_text("numpy==1.0\n")
    exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})
    assert len(commands) == 1


def test_the_colab_cell_refuses_another_zip_and_none(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colab = types.SimpleNamespace(files=types.SimpleNamespace(upload=dict))
    monkeypatch.setitem(sys.modules, "google", types.SimpleNamespace(colab=colab))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    with pytest.raises(FileNotFoundError, match="upload the project's zip"):
        exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.writestr("street.jpg", "")
    with pytest.raises(FileNotFoundError, match=r"photos\.zip"):
        exec(cell_of(stored, "colab-setup").source, {"Path": Path, "sys": sys})
