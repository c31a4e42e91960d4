"""The data sets of student_code.py, and the file as a whole: as a starter, beside other modules, in any folder."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import student_code
import utils
from staff import ROOT


def test_data_sets_are_the_sample_and_say_so_without_camvid(capsys, monkeypatch, tmp_path):
    (tmp_path / "data" / "CamVid" / "test").mkdir(parents=True)
    (tmp_path / "data" / "CamVid" / "test" / ".DS_Store").touch()
    shutil.copytree(ROOT / "data" / "sample", tmp_path / "data" / "sample")
    monkeypatch.setattr(utils, "ROOT", tmp_path)
    raw, prepared = student_code.create_vis_dataset(), student_code.create_test_dataset()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("sample" in line and "python data/get_camvid.py" in line for line in lines)
    assert len(raw) == len(prepared) == 3 and raw.classes == prepared.classes == ["car"]
    image, mask = raw[0]
    assert (image.shape, image.dtype) == ((360, 480, 3), np.uint8) and mask.shape == (360, 480, 1)
    image, mask = prepared[0]
    assert (image.shape, image.dtype) == ((3, 384, 480), np.float32)
    assert (mask.shape, mask.dtype) == ((1, 384, 480), np.float32) and set(np.unique(mask)) == {0, 1}


def test_another_utils_imported_before_is_named(monkeypatch, tmp_path):
    other = type(sys)("utils")
    other.__file__ = str(tmp_path / "utils.py")
    monkeypatch.setitem(sys.modules, "utils", other)
    spec = importlib.util.spec_from_file_location("copy_of_student_code", student_code.__file__)
    with pytest.raises(ImportError, match=re.escape(other.__file__)):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.slow
def test_a_folder_with_blanks_and_accents_from_elsewhere_with_another_utils_on_the_path(tmp_path):
    home = tmp_path / "José's Übung 2"
    (home / "proj2_code").mkdir(parents=True)
    for name in ("student_code.py", "utils.py"):
        (home / "proj2_code" / name).write_bytes((ROOT / "proj2_code" / name).read_bytes())
    for name in ("models", "data"):
        (home / name).symlink_to(ROOT / name)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "utils").mkdir(parents=True)
    (elsewhere / "utils" / "__init__.py").write_text("raise SystemExit('the wrong utils')")
    script = """
        import os, sys
        import student_code, utils
        assert utils.__file__.startswith(sys.argv[1]), utils.__file__
        assert "matplotlib" not in sys.modules
        assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"
        print(student_code.create_vis_dataset()[0][0].shape)
        student_code.load_PSP_resnet50()
        def test_wrong():
            raise AssertionError("y ≥ 0 for José → no")
        print(utils.verify(test_wrong), utils.verify(print))
    """
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(home / "proj2_code")],
        cwd=elsewhere,
        env=environment | {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(home / "proj2_code")},
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr.decode("utf-8", "replace")
    printed = result.stdout.decode("cp1252")
    assert "(360, 480, 3)" in printed and 'Wrong"\x1b[0m y ? 0 for José ? no' in printed and '"Correct"' in printed
