"""The data sets of student_code.py, and the file as a whole: as a starter, beside other modules, in any folder."""

import importlib.util
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

import student_code
import utils

ROOT = utils.ROOT


def test_data_sets_are_the_sample_and_say_so_without_camvid(capsys, monkeypatch, tmp_path):
    (tmp_path / "data" / "CamVid" / "test").mkdir(parents=True)
    (tmp_path / "data" / "CamVid" / "test" / ".DS_Store").touch()
    (tmp_path / "data" / "sample").symlink_to(ROOT / "data" / "sample")
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


def test_data_sets_are_camvid_where_it_has_been_fetched(capsys, monkeypatch, tmp_path, sample_dirs):
    (tmp_path / "data" / "CamVid").mkdir(parents=True)
    for name, folder in zip(("test", "testannot"), sample_dirs, strict=True):
        (tmp_path / "data" / "CamVid" / name).symlink_to(folder)
    monkeypatch.setattr(utils, "ROOT", tmp_path)
    dataset = student_code.create_vis_dataset()
    assert dataset.images_fps[0].is_relative_to(tmp_path / "data" / "CamVid") and capsys.readouterr().out == ""


@pytest.mark.slow
def test_scores_on_the_real_frames(camvid_dir):
    """Not the exact scores, which change with the weights: far from a network that is not trained."""
    dataset = utils.Dataset(
        camvid_dir / "test",
        camvid_dir / "testannot",
        augmentation=utils.get_validation_augmentation(),
        preprocessing=utils.get_preprocessing(utils.get_preprocessing_fn("resnet50")),
        classes=["car"],
    )
    assert dataset.names[:3] == ["0001TP_009780", "Seq05VD_f03030", "Seq05VD_f04110"]
    psp_iou, fpn_iou = student_code.compare_psp_fpn(torch.utils.data.Subset(dataset, range(3)))
    assert min(psp_iou) > 0.5 and min(fpn_iou) > 0.6


def test_the_starter_can_be_cut_out_of_the_file():
    source = (ROOT / "proj2_code" / "student_code.py").read_text(encoding="utf-8")
    region = re.compile(r"( *)# (TO-DO [^\n]*)\n\1### BEGIN SOLUTION\n.*?\1### END SOLUTION\n", re.DOTALL)
    names = [name for _, name in region.findall(source)]
    assert [name.split(":")[0].removeprefix("TO-DO ") for name in names] == ["1", "2", "3", "4", "EC", "5", "6", "EC"]
    starter = region.sub(r'\1raise NotImplementedError("\2")\n', source)
    assert "SOLUTION" not in starter
    space = {"__file__": str(ROOT / "proj2_code" / "student_code.py"), "__name__": "starter"}
    exec(compile(starter, "starter", "exec"), space)
    for name in dict.fromkeys(name.split(": ")[1] for name in names):
        function = space[name]
        assert function.__doc__ == getattr(student_code, name).__doc__ and len(function.__doc__) > 80
        with pytest.raises(NotImplementedError, match=name):
            function(
                *[torch.ones(2)]
                * {
                    "load_FPN_resnet50": 0,
                    "load_PSP_resnet50": 0,
                    "sigmoid": 1,
                    "softmax": 1,
                    "compare_psp_fpn": 1,
                }.get(name, 2)
            )


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
