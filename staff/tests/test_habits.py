"""The Makefiles, the list of systems and the maintainers' files."""

import os
import platform
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

import zip_submission
from staff import ROOT
from staff.kit.autograder.grader import archives

MAKEFILES = [ROOT / "Makefile", ROOT / "staff" / "kit" / "starter" / "Makefile"]


def system_check(makefile):
    return re.search(r"define CHECK_SYSTEM\n(.*?)\nendef", makefile.read_text(encoding="utf-8"), re.DOTALL)[1]


def test_both_makefiles_check_the_system_alike():
    assert system_check(MAKEFILES[0]) == system_check(MAKEFILES[1])
    for makefile in MAKEFILES:
        text = makefile.read_text(encoding="utf-8").partition("\n.venv/ready:")[2]
        assert text.index('-c "$$CHECK_SYSTEM"') < text.index("-m venv")


@pytest.mark.parametrize(
    ("system", "machine", "release", "version", "said"),
    [
        ("Linux", "x86_64", "glibc", (3, 11), ""),
        ("Linux", "aarch64", "glibc", (3, 14), ""),
        ("Windows", "AMD64", "", (3, 12), "make does not work on Windows"),
        ("Darwin", "arm64", "14.0", (3, 13), ""),
        ("Darwin", "arm64", "26.1", (3, 13), ""),
        ("Darwin", "arm64", "13.7", (3, 11), "Colab"),
        ("Darwin", "x86_64", "15.1", (3, 11), "Colab"),
        ("Linux", "armv7l", "glibc", (3, 11), "Colab"),
        ("Linux", "x86_64", "musl", (3, 11), "Colab"),
        ("FreeBSD", "amd64", "", (3, 11), "Colab"),
        ("Linux", "x86_64", "glibc", (3, 10), "3.11 to 3.14"),
        ("Linux", "x86_64", "glibc", (3, 15), "3.11 to 3.14"),
    ],
)
def test_systems_without_pytorch_get_a_message_before_anything_is_installed(
    monkeypatch, system, machine, release, version, said
):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (release, ""))
    monkeypatch.setattr(platform, "mac_ver", lambda: (release if system == "Darwin" else "", ("", "", ""), ""))
    monkeypatch.setattr(sys, "version_info", version)
    check = compile(system_check(MAKEFILES[0]), "CHECK_SYSTEM", "exec")
    if said:
        with pytest.raises(SystemExit, match=said):
            exec(check, {})
    else:
        exec(check, {})


def test_zip_submission_refuses_what_the_autograder_does_not_read():
    assert zip_submission.LARGEST_FILE == archives.LARGEST_FILE


def test_the_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    requirements = (ROOT / "staff" / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.search(r"^torch==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert citation["version"] == project
    assert f"## {project}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert hooks["repos"][0]["hooks"][0]["additional_dependencies"][0] in requirements.splitlines()
    assert f"PyTorch {pinned}" in (ROOT / "README.md").read_text(encoding="utf-8")
    starter = (ROOT / "staff" / "kit" / "starter" / "README.md").read_text(encoding="utf-8")
    assert f"PyTorch {pinned.rpartition('.')[0]} " in starter


def test_windows_runs_the_commands_of_make_check():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["check"]["steps"]
    windows = steps[-1]["run"].replace("python -m ", "").splitlines()[1:]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = (re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1] for target in ("style", "check"))
    assert [re.sub(r"\t@(\$\(PY\) -m |\.venv/bin/)", "", line) for line in "".join(recipes).splitlines()] == windows


@pytest.mark.skipif(os.name == "nt", reason="the console script lies elsewhere")
def test_an_import_that_points_up_is_found(tmp_path):
    """The contract as it stands finds a violation; `make check` shows that the repository has none."""
    for folder in ("staff", "data", "proj2_code", "proj2_unit_tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "proj2_code").unlink()
    (tmp_path / "proj2_code").mkdir()
    (tmp_path / "proj2_code" / "utils.py").write_text("import student_code\nimport staff.files\n")
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 1
    assert "utils does not import student_code BROKEN" in done.stdout
    assert "What students receive does not import staff BROKEN" in done.stdout
