"""Stages from start to weights: resuming, choosing, references to other recipes, several processes."""

import csv
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import nn

import student_code
import utils
from staff import ROOT
from staff.training import callbacks, checks, recipes, weight_files
from staff.training import train as train_module
from staff.training.data import CAR, IGNORED, camvid
from staff.training.export import car_iou, car_only
from staff.training.recipes import HeadTraining, read_recipe
from staff.training.starts import build_teacher, read_state, read_teacher
from staff.training.task import CAR_OUTPUT, SegmentationTask, build_network, load_network
from staff.training.weight_files import fingerprint

ENCODER = "tu-test_resnet"  # timm's smallest: most of the time would go into the steps and files of a larger network
TINY = f"fpn_{ENCODER}"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A recipe of one stage of four steps, in epochs of two; the network's name is TINY."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    sampling = {"crop": [64, 64], "mix": {"camvid": 1.0}}
    stage = {"name": "only", "steps": 4, "batch_size": 2, "task": {"encoder_lr": 1e-4, "lr": 1e-3}}
    stage |= {"sampling": sampling, "val_every_n_epochs": 1}
    file.write_text(yaml.safe_dump({"architecture": "fpn", "encoder": ENCODER, "start": "none", "stages": [stage]}))
    return file


def with_stage(recipe: Path, target: Path, part: str | None = None, **changes) -> str:
    """Writes the recipe to ``target`` with ``changes`` of its stage, or of one ``part`` of that."""
    words = yaml.safe_load(recipe.read_text())
    stage = words["stages"][0]
    (stage[part] if part else stage).update(changes)
    target.write_text(yaml.safe_dump(words))
    return str(target)


def arguments(runs: Path, data: Path, *more: str):
    return train_module.parse_arguments(["--runs", str(runs), "--data", str(data), "--accelerator", "cpu", *more])


@pytest.fixture
def short_epochs(monkeypatch):
    monkeypatch.setattr(recipes, "STEPS_PER_EPOCH", 2)


@pytest.mark.parametrize(("validated", "checkpoints"), [(1, ["best.ckpt", "last.ckpt"]), (2, ["last.ckpt"])])
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, data, recipe, short_epochs, validated, checkpoints
):
    tiny = with_stage(recipe, tmp_path / "tiny.yaml", val_every_n_epochs=validated)
    whole = train_module.train(tiny, arguments(tmp_path / "whole", data))

    class Interrupt(train_module.Clock):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 3:  # in the middle of the second epoch
                raise RuntimeError("killed")

    class Resumed(train_module.Clock):
        steps: ClassVar[list[int]] = []

        def on_train_epoch_start(self, trainer, *_):
            self.steps.append(trainer.global_step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "Clock", Interrupt)
        with pytest.raises(RuntimeError, match="killed"):
            train_module.train(tiny, arguments(tmp_path / "cut", data))
    left = sorted(path.name for path in (tmp_path / "cut" / "tiny" / "only").iterdir() if path.is_file())
    assert left == checkpoints
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "Clock", Resumed)
        resumed = train_module.train(tiny, arguments(tmp_path / "cut", data))
    assert Resumed.steps == [2]
    torch.testing.assert_close(read_state(resumed), read_state(whole))
    (stage,) = weight_files.lineage_of(resumed, TINY)
    assert stage["steps"] == 4 and stage["stage"] == "only" and 0 <= stage["val_iou"] <= 1
    assert stage["provenance"]["torch"] == torch.__version__.split("+")[0]


def finished(recipe: str, target: Path, model: str = TINY, earlier: tuple = (), **changes) -> Path:
    """Writes what the recipe's stage leaves, with ``changes`` of its history."""
    settings = read_recipe(recipe).stages[0].model_dump(mode="json")
    history = {"stage": "only", "start": "random weights", "settings": settings} | changes
    weight_files.save_weights(nn.Linear(1, 1), target, model, [*earlier, history])
    return target


def test_a_finished_stage_is_not_trained_again(tmp_path, data, recipe, short_epochs, capsys):
    weights = finished(str(recipe), tmp_path / "tiny" / "only" / "weights.pt")
    before = weights.stat().st_mtime_ns
    assert train_module.train(str(recipe), arguments(tmp_path, data)) == weights
    assert weights.stat().st_mtime_ns == before
    assert "is done" in capsys.readouterr().out


def test_a_finished_stage_that_was_trained_otherwise_is_not_passed_over(tmp_path, data, recipe, short_epochs):
    weights, other = tmp_path / "tiny" / "only" / "weights.pt", with_stage(recipe, tmp_path / "tiny.yaml", seed=1)
    for left, message in (
        (lambda: finished(other, weights), r"only was trained with other settings \(seed\)"),
        (lambda: finished(str(recipe), weights, "unet_vgg19"), f"trained as unet_vgg19, not as {TINY}"),
        (lambda: finished(str(recipe), weights, start="9 tensors from a.pt"), "began with 9 tensors.*now with none"),
        (lambda: finished(str(recipe), weights, earlier=({"stage": "before"},)), "began with random weights"),
        (lambda: weight_files.save_weights(nn.Linear(1, 1), weights, TINY, []), "is not what a stage leaves"),
    ):
        left()
        with pytest.raises(checks.Mistake, match=message):
            train_module.train(str(recipe), arguments(tmp_path, data))


def test_a_held_out_drive_is_scored_beside_val(tmp_path, data, recipe, short_epochs):
    shutil.copytree(data, tmp_path / "data")
    for mask in (tmp_path / "data" / "CamVid" / "trainannot").glob("drive_*.png"):
        cv2.imwrite(str(mask), np.full((80, 96), CAR, np.uint8))  # so that its score is not that of val
    held = with_stage(recipe, tmp_path / "tiny.yaml", "sampling", hold_out="drive")
    weights = train_module.train(held, arguments(tmp_path / "runs", tmp_path / "data"))
    with (weights.parent / "metrics" / "version_0" / "metrics.csv").open(newline="") as file:
        scored = [row for row in csv.DictReader(file) if row["val_iou"]]
    best = max(scored, key=lambda row: float(row["val_iou"]))
    network = load_network("fpn", ENCODER, car_only(read_state(weights)), outputs=1)
    drive = [frame for name, frame in camvid("train", tmp_path / "data").items() if name.startswith("drive")]
    assert len(scored) == 2 and float(best["drive_iou"]) == pytest.approx(car_iou(network, drive), abs=2e-3)
    (stage,) = weight_files.lineage_of(weights, TINY)
    assert stage["val_iou"] == pytest.approx(float(best["val_iou"]), abs=1e-4), "val chooses, not the drive"


def test_labels_that_a_stage_contradicts_are_not_trained_on(tmp_path, data, recipe, short_epochs, monkeypatch):
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    shutil.copytree(data / "CamVid", tmp_path / "data" / "CamVid")
    for part, of_camvid in (("images", "train"), ("annot", "trainannot")):
        shutil.copytree(data / "CamVid" / of_camvid, tmp_path / "data" / "LabelMeFacade" / part)
    words = yaml.safe_load(recipe.read_text())
    (tmp_path / "fpn_resnet50.yaml").write_text(yaml.safe_dump(words | {"encoder": "resnet50"}))
    words["stages"][0] |= {"steps": 2, "label_check": "fpn_resnet50/only"}
    words["stages"][0]["sampling"]["mix"] = {"labelmefacade": 1.0}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(words))
    sees_cars, runs = build_network("fpn", "resnet50"), tmp_path / "runs"
    head = sees_cars.segmentation_head[0]
    with torch.no_grad():  # certain of a car at every pixel
        head.weight[CAR_OUTPUT], head.bias[CAR_OUTPUT] = 0, 9
    of_recipe = read_recipe("fpn_resnet50").stages[0].model_dump(mode="json")
    weight_files.save_weights(
        sees_cars, runs / "fpn_resnet50" / "only" / "weights.pt", "fpn_resnet50", [{"settings": of_recipe}]
    )
    step, trained_on = SegmentationTask.training_step, set()

    def training_step(task, batch, index):
        trained_on.update(batch[1].unique().tolist())
        return step(task, batch, index)

    monkeypatch.setattr(SegmentationTask, "training_step", training_step)
    weights = train_module.train("tiny", arguments(runs, tmp_path / "data"))
    assert trained_on == {CAR, IGNORED}, "the road was contradicted"
    (stage,) = weight_files.lineage_of(weights, TINY)
    assert stage["start"].endswith("labels checked by fpn_resnet50/only")


@pytest.mark.parametrize(("start", "expected"), [(None, "a.pt"), ("none", "none")])
def test_options_replace_the_start(start, expected):
    options = SimpleNamespace(start=start, imagenet=Path("a.pt"))
    assert train_module.first_start(SimpleNamespace(start="imagenet"), options) == expected


def test_a_recipe_ends_with_the_head_for_all_classes(tmp_path, data, recipe, short_epochs, monkeypatch):
    called, with_head = [], tmp_path / "tiny.yaml"
    monkeypatch.setattr(train_module, "run_street_classes", lambda *given: called.append(given))
    with_head.write_text(
        yaml.safe_dump(yaml.safe_load(recipe.read_text()) | {"street_classes": {}, "encoder": "resnet50"})
    )
    weights = finished(str(with_head), tmp_path / "tiny" / "only" / "weights.pt", "fpn_resnet50")
    head = tmp_path / "tiny" / "street_classes" / "weights.pt"
    train_module.train(str(with_head), arguments(tmp_path, data))
    assert called.pop()[:2] == (weights, head)
    history = {"settings": HeadTraining().model_dump(mode="json"), "network": fingerprint(read_state(weights))}
    for changes, message in (
        ({"settings": {}}, "street_classes was trained with other settings"),
        ({"network": "before"}, "street_classes was trained on another network"),
        ({}, None),
    ):
        weight_files.save_weights(nn.Linear(1, 1), head, "street_classes", [history | changes])
        with pytest.raises(checks.Mistake, match=message) if message else nullcontext():
            train_module.train(str(with_head), arguments(tmp_path, data))
    assert not called, "it is done"


def test_a_stage_ends_with_the_weights_that_did_best_on_val(tmp_path, data, recipe, short_epochs, monkeypatch):
    scores, seen = iter([0.3, 0.2]), []

    def validation_step(task, batch, index, dataloader_idx=0):
        if index == 0:
            seen.append({name: value.clone() for name, value in task.network.state_dict().items()})
            task.log("val_iou", next(scores))

    monkeypatch.setattr(SegmentationTask, "validation_step", validation_step)
    weights = train_module.train(str(recipe), arguments(tmp_path, data))
    first, second = seen
    assert not torch.equal(first["encoder.model.conv1.0.weight"], second["encoder.model.conv1.0.weight"])
    for name, value in read_state(weights).items():
        torch.testing.assert_close(value, first[name], msg=name)
    (stage,) = weight_files.lineage_of(weights, TINY)
    assert stage["val_iou"] == pytest.approx(0.3) and stage["val_frames"] == 4


def test_a_stage_that_trains_on_val_ends_with_its_last_weights_and_names_no_score(
    tmp_path, data, recipe, short_epochs, monkeypatch
):
    monkeypatch.setattr(SegmentationTask, "validation_step", lambda *_: pytest.fail("it has seen what would judge it"))
    of_all = with_stage(recipe, tmp_path / "tiny.yaml", "sampling", include_val=True)
    weights = train_module.train(of_all, arguments(tmp_path, data))
    last = torch.load(weights.with_name("last.ckpt"), weights_only=False)
    assert last["global_step"] == 4
    for name, value in read_state(weights).items():
        torch.testing.assert_close(value, last["state_dict"][f"network.{name}"], msg=name)
    now = last["current_model_state"]
    assert any(not torch.equal(now[name], value) for name, value in last["state_dict"].items()), "not averaged"
    (stage,) = weight_files.lineage_of(weights, TINY)
    assert stage["val_iou"] is None and stage["val_frames"] == 0


def test_a_run_that_reaches_its_deadline_goes_on_to_the_weights_of_one_without(tmp_path, data, recipe, short_epochs):
    frozen = with_stage(recipe, tmp_path / "tiny.yaml", "task", freeze_batch_norm=True)
    whole = train_module.train(frozen, arguments(tmp_path / "whole", data))
    with pytest.raises(SystemExit, match=r"Stopped at step 2;.*last\.ckpt"):
        train_module.train(frozen, arguments(tmp_path / "cut", data, "--max-hours", "0"))
    resumed = train_module.train(frozen, arguments(tmp_path / "cut", data, "--max-hours", "1"))
    torch.testing.assert_close(read_state(resumed), read_state(whole))


def test_a_stage_that_began_does_not_go_on_with_another_start_rate_or_folder(tmp_path, data, recipe, short_epochs):
    with pytest.raises(SystemExit, match="Stopped"):
        train_module.train(str(recipe), arguments(tmp_path / "runs", data, "--max-hours", "0"))
    (begun,) = weight_files.lineage_of(tmp_path / "runs" / "tiny" / "only" / "last.ckpt", TINY)
    assert begun["steps"] == 2 and begun["start"] == "random weights"
    torch.save(build_network("fpn", ENCODER).state_dict(), tmp_path / "other.pt")
    with pytest.raises(SystemExit, match=r"began with random weights, not with \d+ tensors from other\.pt.*--runs"):
        train_module.train(str(recipe), arguments(tmp_path / "runs", data, "--start", str(tmp_path / "other.pt")))
    slower = with_stage(recipe, tmp_path / "tiny.yaml", "task", lr=1e-4)
    with pytest.raises(SystemExit, match=r"began with other settings \(task\).*delete the stage's folder"):
        train_module.train(slower, arguments(tmp_path / "runs", data))
    checkpoint = tmp_path / "runs" / "tiny" / "only" / "last.ckpt"
    saved = torch.load(checkpoint, weights_only=False)
    torch.save(saved | {"lineage": [{"stage": "before"}, *saved["lineage"]]}, checkpoint)
    with pytest.raises(SystemExit, match=r"stages before 'only' were trained again.*delete the stage's folder"):
        train_module.train(str(recipe), arguments(tmp_path / "runs", data))
    torch.save(saved, checkpoint)
    (tmp_path / "runs").rename(tmp_path / "moved")
    with pytest.raises(SystemExit, match=r"was moved from .*runs"):
        train_module.train(str(recipe), arguments(tmp_path / "moved", data))


def test_a_start_that_is_another_recipes_stage_is_trained_first(tmp_path, data, recipe, short_epochs, monkeypatch):
    monkeypatch.setattr(recipes, "FOLDER", tmp_path)
    words = yaml.safe_load(recipe.read_text())
    later = words["stages"][0] | {"name": "later"}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(words | {"stages": [*words["stages"], later]}))
    (tmp_path / "next.yaml").write_text(yaml.safe_dump(words | {"start": "tiny/only"}))
    (tmp_path / "psp.yaml").write_text(yaml.safe_dump(words | {"start": "tiny/only", "architecture": "pspnet"}))
    runs = arguments(tmp_path / "runs", data)
    last = train_module.train("next", runs)
    first = tmp_path / "runs" / "tiny" / "only" / "weights.pt"
    assert [folder.name for folder in (tmp_path / "runs" / "tiny").iterdir()] == ["only"], "no stage that is not needed"
    before, stage = weight_files.lineage_of(last, TINY)
    assert before["start"] == "random weights" and "tiny/only" in stage["start"]
    assert stage["machine"].startswith(f"{torch.get_num_threads()} CPU thread")
    (stage,) = weight_files.lineage_of(train_module.train("psp", runs), f"pspnet_{ENCODER}")
    assert "tiny/only" in stage["start"], "the stages of another network are named there"
    before = first.stat().st_mtime_ns
    assert train_module.resolve("tiny/only", runs) == str(first)
    assert first.stat().st_mtime_ns == before
    assert train_module.resolve("models/some.pt", runs) == "models/some.pt"


def test_a_dry_run_leaves_nothing_that_a_real_run_would_take_for_done(
    tmp_path, data, recipe, short_epochs, monkeypatch
):
    words = ["train.py", str(recipe), "--runs", str(tmp_path), "--data", str(data), "--accelerator", "cpu"]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", [*words, "--fast-dev-run"])
        train_module.main()
        assert [path.name for path in tmp_path.iterdir()] == ["fast_dev_run"]
    monkeypatch.setattr(sys, "argv", words)
    train_module.main()
    assert weight_files.lineage_of(tmp_path / "tiny" / "only" / "weights.pt", TINY)[0]["steps"] == 4


def test_the_head_of_the_teacher_is_put_on_the_start(tmp_path, data, recipe, short_epochs):
    teacher = build_network("fpn", "resnet50", outputs=1)
    file = tmp_path / "teacher.pt"
    torch.save(teacher.state_dict(), file)
    words = read_recipe(str(recipe))
    stage = words.stages[0].model_copy(update={"teacher": str(file), "head_of_teacher": True})
    task, description = train_module.build_task(words, stage, "none", arguments(tmp_path, data))
    assert torch.equal(task.network.segmentation_head[0].weight[CAR_OUTPUT:], teacher.segmentation_head[0].weight)
    ours, theirs = (n.decoder.seg_blocks[0].block[0].block[0].weight for n in (task.network, teacher))
    assert torch.equal(ours, theirs) and "FPN-ResNet50" in description
    headless = stage.model_copy(update={"head_of_teacher": False})
    plain, _ = train_module.build_task(words, headless, "none", arguments(tmp_path, data))
    assert not torch.equal(plain.network.decoder.seg_blocks[0].block[0].block[0].weight, theirs)


def test_a_teacher_that_would_teach_noise_is_refused():
    psp = build_network("pspnet", "resnet50").state_dict()
    one = build_network("fpn", "resnet50", outputs=1).state_dict()
    with pytest.raises(ValueError, match=r"psp\.pt.*not an FPN-ResNet50"):
        build_teacher(psp, Path("psp.pt"), every_output=False)
    with pytest.raises(ValueError, match=r"one\.pt.*one output, not 13"):
        build_teacher(one, Path("one.pt"), every_output=True)
    shown = build_teacher(one, Path("one.pt"), every_output=False).segmentation_head[0].weight[CAR_OUTPUT]
    assert torch.equal(shown, one["segmentation_head.0.weight"][0])
    whole = build_network("fpn", "resnet50").state_dict()
    assert build_teacher(whole, Path("all.pt"), every_output=True)


def test_a_head_of_another_network_does_not_teach(tmp_path):
    network = build_network("fpn", "resnet50", outputs=1).state_dict()
    torch.save(network, tmp_path / "resnet50_best_model_weights.pt")
    head = torch.nn.Conv2d(128, 12, 1).state_dict()
    torch.save(head, tmp_path / "resnet50_street_classes_head.pt")
    (tmp_path / "lineage.json").write_text('{"street_classes": [{"network": "another"}]}')
    with pytest.raises(ValueError, match="belongs to another network"):
        read_teacher(tmp_path / "resnet50_best_model_weights.pt")


def test_the_course_s_resnet_teaches_with_its_head_for_all_classes():
    file = ROOT / "models" / "resnet50_best_model_weights.pt"
    image = torch.rand(1, 3, 64, 64)
    car_network = student_code.load_FPN_resnet50()
    with torch.inference_mode():
        taught = build_teacher(read_teacher(file), file, every_output=True).eval()(image)
        car, classes = (n.eval()(image) for n in (car_network, utils.with_street_classes(car_network)))
    torch.testing.assert_close(taught[:, CAR_OUTPUT:].sigmoid(), car)
    torch.testing.assert_close(taught[:, :CAR_OUTPUT].argmax(1), classes.argmax(1))


@pytest.mark.parametrize("poison", ["loss", "weights"])
def test_a_stage_stops_at_the_first_value_that_is_not_finite(tmp_path, data, recipe, short_epochs, monkeypatch, poison):
    class Poison(train_module.Clock):
        def on_train_batch_end(self, trainer, pl_module, *args, **kwargs):
            super().on_train_batch_end(trainer, pl_module, *args, **kwargs)
            if trainer.global_step == (3 if poison == "loss" else 4):
                torch.nn.init.constant_(pl_module.network.encoder.model.conv1[0].weight, float("nan"))

    monkeypatch.setattr(train_module, "Clock", Poison)
    with pytest.raises(SystemExit, match=r"only: .*(nan at step 4|not finite after step 4).*good.*last\.ckpt.*'only'"):
        train_module.train(str(recipe), arguments(tmp_path, data))
    good = torch.load(tmp_path / "tiny" / "only" / "last.ckpt", weights_only=False)
    assert good["global_step"] == 2 and not (tmp_path / "tiny" / "only" / "weights.pt").exists()
    assert all(value.isfinite().all() for value in good["state_dict"].values())


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert callbacks.provenance()["commit"] == "unknown"


def test_two_processes_end_with_equal_weights(tmp_path, data, recipe):
    """Also where layers that no image reaches are frozen, as in the PSPNet."""
    words, shipped = yaml.safe_load(recipe.read_text()), read_recipe("pspnet_resnet50")
    words |= {"architecture": shipped.architecture, "encoder": "resnet18"}
    words["stages"][0]["task"]["frozen"] = list(shipped.stages[0].task.frozen)
    words["stages"].append(words["stages"][0] | {"name": "second"})
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(words))
    script = tmp_path / "two.py"
    script.write_text(
        f"""
import hashlib, sys
from pathlib import Path
from staff.training import recipes, train

class Report(train.Clock):
    def on_train_end(self, trainer, task):
        digest = hashlib.sha256()
        for parameter in task.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        with Path({str(tmp_path)!r}, f"rank{{trainer.global_rank}}").open("a") as target:
            target.write(f"{{trainer.world_size}} {{digest.hexdigest()}}\\n")

train.Clock = Report
recipes.STEPS_PER_EPOCH = 2
train.train(str(Path({str(tmp_path)!r}, "two.yaml")), train.parse_arguments(sys.argv[1:]))
"""
    )
    words = ["--fast-dev-run", "--devices", "2", "--accelerator", "cpu", "--runs", tmp_path / "runs", "--data", data]
    command = [sys.executable, script, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-2000:]
    first, second = ((tmp_path / f"rank{rank}").read_text().splitlines() for rank in (0, 1))
    assert len(first) == len(set(first)) == 2, "both stages train"
    assert all(line.startswith("2 ") for line in first), "there are two processes"
    assert first == second
