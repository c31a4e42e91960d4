"""The training code: starts, data, loss, resuming, several processes, export. All on tiny frames made here."""

import copy
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import nn

import utils
from staff import ROOT
from staff.training import batch_norm, pastiche_start, weight_files
from staff.training import export as export_module
from staff.training import train as train_module
from staff.training.data import (
    CAR,
    IGNORED,
    Sampling,
    StreetCrops,
    StreetData,
    WholeFrames,
    camvid,
    get_training_transform,
    labelmefacade,
    paste_cars,
)
from staff.training.label_check import ignore_doubtful
from staff.training.starts import load_matching, load_start, read_state
from staff.training.task import (
    CAR_OUTPUT,
    OUTPUTS,
    SegmentationTask,
    StreetLoss,
    build_network,
    divergence,
    relative_distance,
)

START_WORDS = ("imagenet", "pastiche", "none")
TINY = "fpn_resnet18"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Four frames a split, in CamVid's format: a grey road, a red car on it, the rest unlabelled."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in (root / "CamVid" / split, root / "CamVid" / f"{split}annot"):
            folder.mkdir(parents=True)
        for number in range(4):
            image = rng.integers(90, 110, (80, 96, 3), dtype=np.uint8)
            labels = np.full((80, 96), 3, np.uint8)
            image[30:60, 20:60], labels[30:60, 20:60] = (200, 30, 30), CAR
            labels[:10] = 11
            name = f"{'drive' if number % 2 else 'other'}_{number}.png"
            cv2.imwrite(str(root / "CamVid" / split / name), image[..., ::-1])
            cv2.imwrite(str(root / "CamVid" / f"{split}annot" / name), labels)
    return root


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A recipe of one stage of four steps, in epochs of two; the network's name is TINY."""
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    sampling = {"crop": [64, 64], "mix": {"camvid": 1.0}}
    stage = {"name": "only", "steps": 4, "batch_size": 2, "task": {"encoder_lr": 1e-4, "lr": 1e-3}}
    stage |= {"sampling": sampling, "val_every_n_epochs": 1}
    file.write_text(yaml.safe_dump({"architecture": "fpn", "encoder": "resnet18", "start": "none", "stages": [stage]}))
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
    monkeypatch.setattr(train_module, "STEPS_PER_EPOCH", 2)


@pytest.mark.parametrize(("validated", "checkpoints"), [(1, ["best.ckpt", "last.ckpt"]), (2, ["last.ckpt"])])
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, data, recipe, short_epochs, validated, checkpoints
):
    tiny = with_stage(recipe, tmp_path / "tiny.yaml", val_every_n_epochs=validated)
    whole = train_module.train(tiny, arguments(tmp_path / "whole", data))

    class Interrupt(train_module.Clock):
        def on_train_epoch_start(self, trainer, *_):
            if trainer.global_step == 2:
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


def test_a_finished_stage_is_not_trained_again(tmp_path, data, recipe, short_epochs, capsys):
    weights = tmp_path / "tiny" / "only" / "weights.pt"
    train_module.save_weights(nn.Linear(1, 1), weights, "tiny", [])
    before = weights.stat().st_mtime_ns
    assert train_module.train(str(recipe), arguments(tmp_path, data)) == weights
    assert weights.stat().st_mtime_ns == before
    assert "is done" in capsys.readouterr().out


def test_a_stage_ends_with_the_weights_that_did_best_on_val(tmp_path, data, recipe, short_epochs, monkeypatch):
    scores, seen = iter([0.3, 0.2]), []

    def validation_step(task, batch, index, dataloader_idx=0):
        if index == 0:
            seen.append({name: value.clone() for name, value in task.network.state_dict().items()})
            task.log("val_iou", next(scores))

    monkeypatch.setattr(SegmentationTask, "validation_step", validation_step)
    weights = train_module.train(str(recipe), arguments(tmp_path, data))
    first, second = seen
    assert not torch.equal(first["encoder.conv1.weight"], second["encoder.conv1.weight"])
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
    (stage,) = weight_files.lineage_of(weights, TINY)
    assert stage["val_iou"] is None and stage["val_frames"] == 0


def test_a_run_that_reaches_its_deadline_goes_on_to_the_weights_of_one_without(tmp_path, data, recipe, short_epochs):
    frozen = with_stage(recipe, tmp_path / "tiny.yaml", "task", freeze_batch_norm=True)
    whole = train_module.train(frozen, arguments(tmp_path / "whole", data))
    with pytest.raises(SystemExit, match=r"Stopped at step 2;.*last\.ckpt"):
        train_module.train(frozen, arguments(tmp_path / "cut", data, "--max-hours", "0"))
    resumed = train_module.train(frozen, arguments(tmp_path / "cut", data, "--max-hours", "1"))
    torch.testing.assert_close(read_state(resumed), read_state(whole))


def test_a_stage_that_began_does_not_go_on_from_another_start(tmp_path, data, recipe, short_epochs):
    with pytest.raises(SystemExit, match="Stopped"):
        train_module.train(str(recipe), arguments(tmp_path / "runs", data, "--max-hours", "0"))
    (begun,) = weight_files.lineage_of(tmp_path / "runs" / "tiny" / "only" / "last.ckpt", TINY)
    assert begun["steps"] == 2 and begun["start"] == "random weights"
    torch.save(build_network("fpn", "resnet18").state_dict(), tmp_path / "other.pt")
    with pytest.raises(SystemExit, match=r"began with random weights, not with \d+ tensors from other\.pt.*--runs"):
        train_module.train(str(recipe), arguments(tmp_path / "runs", data, "--start", str(tmp_path / "other.pt")))


@pytest.mark.parametrize(
    ("part", "odd", "told"),
    [
        (None, {"head_of_techer": True}, "unknown keys: head_of_techer"),
        ("task", {"frozn": []}, "unknown keys in task: frozn"),
        ("sampling", {"hold": "0006R0"}, "unknown keys in sampling: hold"),
        (None, {"steps": 5}, "5 steps, no multiple of 2"),
        (None, {"steps": 0}, "0 steps, no multiple of 2"),
    ],
)
def test_a_recipe_with_an_error_is_refused_before_its_first_stage(
    tmp_path, data, recipe, short_epochs, part, odd, told
):
    words = yaml.safe_load(Path(with_stage(recipe, tmp_path / "odd.yaml", part, **odd)).read_text())
    words["stages"].insert(0, yaml.safe_load(recipe.read_text())["stages"][0] | {"name": "first"})
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(words))
    with pytest.raises(SystemExit, match=f"'only' has {told}"):
        train_module.train(str(tmp_path / "odd.yaml"), arguments(tmp_path / "runs", data))
    assert not (tmp_path / "runs").exists()


def test_a_start_that_is_another_recipes_stage_is_trained_first(tmp_path, data, recipe, short_epochs, monkeypatch):
    monkeypatch.setattr(train_module, "RECIPES", tmp_path)
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
    (stage,) = weight_files.lineage_of(train_module.train("psp", runs), "pspnet_resnet18")
    assert "tiny/only" in stage["start"], "the stages of another network are told there"
    before = first.stat().st_mtime_ns
    assert train_module.resolve("tiny/only", runs) == str(first)
    assert first.stat().st_mtime_ns == before
    assert train_module.resolve("models/some.pt", runs) == "models/some.pt"
    for wrong in ("tiny/onyl", "tiny"):
        with pytest.raises(SystemExit, match=f"'{wrong}' names no stage of tiny. There are: only, later"):
            train_module.resolve(wrong, runs)


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


def test_the_head_of_the_teacher_is_put_on_the_start(tmp_path, data, recipe):
    teacher = build_network("fpn", "resnet50", outputs=1)
    file = tmp_path / "teacher.pt"
    torch.save(teacher.state_dict(), file)
    words = yaml.safe_load(recipe.read_text())
    stage = words["stages"][0] | {"teacher": str(file), "head_of_teacher": True}
    task, told = train_module.build_task(words, stage, "none", arguments(tmp_path, data))
    assert torch.equal(task.network.segmentation_head[0].weight[CAR_OUTPUT:], teacher.segmentation_head[0].weight)
    ours, theirs = (n.decoder.seg_blocks[0].block[0].block[0].weight for n in (task.network, teacher))
    assert torch.equal(ours, theirs) and "FPN-ResNet50" in told
    plain, _ = train_module.build_task(words, stage | {"head_of_teacher": False}, "none", arguments(tmp_path, data))
    assert not torch.equal(plain.network.decoder.seg_blocks[0].block[0].block[0].weight, theirs)


def test_a_teacher_that_would_teach_noise_is_refused():
    psp = build_network("pspnet", "resnet50").state_dict()
    one = build_network("fpn", "resnet50", outputs=1).state_dict()
    with pytest.raises(ValueError, match=r"psp\.pt.*not an FPN-ResNet50"):
        train_module.build_teacher(psp, Path("psp.pt"), every_output=False)
    with pytest.raises(ValueError, match=r"one\.pt.*one output, not 13"):
        train_module.build_teacher(one, Path("one.pt"), every_output=True)
    shown = train_module.build_teacher(one, Path("one.pt"), every_output=False).segmentation_head[0].weight[CAR_OUTPUT]
    assert torch.equal(shown, one["segmentation_head.0.weight"][0])
    whole = build_network("fpn", "resnet50").state_dict()
    assert train_module.build_teacher(whole, Path("all.pt"), every_output=True)


@pytest.mark.parametrize("poison", ["loss", "weights"])
def test_a_stage_stops_at_the_first_value_that_is_not_finite(tmp_path, data, recipe, short_epochs, monkeypatch, poison):
    class Poison(train_module.Clock):
        def on_train_batch_end(self, trainer, pl_module, *args, **kwargs):
            super().on_train_batch_end(trainer, pl_module, *args, **kwargs)
            if trainer.global_step == (3 if poison == "loss" else 4):
                torch.nn.init.constant_(pl_module.network.encoder.conv1.weight, float("nan"))

    monkeypatch.setattr(train_module, "Clock", Poison)
    with pytest.raises(SystemExit, match=r"only: .*(nan at step 4|not finite after step 4).*good.*last\.ckpt.*'only'"):
        train_module.train(str(recipe), arguments(tmp_path, data))
    good = torch.load(tmp_path / "tiny" / "only" / "last.ckpt", weights_only=False)
    assert good["global_step"] == 2 and not (tmp_path / "tiny" / "only" / "weights.pt").exists()
    assert all(value.isfinite().all() for value in good["state_dict"].values())


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert train_module.provenance()["commit"] == "unknown"


@pytest.mark.parametrize("model", ["fpn_resnet50", "pspnet_resnet50"])
def test_two_processes_end_with_equal_weights(tmp_path, data, recipe, model):
    words = yaml.safe_load(recipe.read_text()) | {"task": train_module.read_recipe(model).get("task", {})}
    words["architecture"] = train_module.read_recipe(model)["architecture"]
    words["stages"].append(words["stages"][0] | {"name": "second"})
    two_stages = tmp_path / "tiny.yaml"
    two_stages.write_text(yaml.safe_dump(words))
    script = tmp_path / "two.py"
    script.write_text(
        f"""
import hashlib, sys
from pathlib import Path
from staff.training import train

class Report(train.Clock):
    def on_train_end(self, trainer, task):
        digest = hashlib.sha256()
        for parameter in task.parameters():
            digest.update(parameter.detach().numpy().tobytes())
        with Path({str(tmp_path)!r}, f"rank{{trainer.global_rank}}").open("a") as target:
            target.write(f"{{trainer.world_size}} {{digest.hexdigest()}}\\n")

train.Clock = Report
train.STEPS_PER_EPOCH = 2
train.train({str(two_stages)!r}, train.parse_arguments(sys.argv[1:]))
"""
    )
    words = ["--fast-dev-run", "--devices", "2", "--accelerator", "cpu", "--runs", tmp_path / "runs", "--data", data]
    command = [sys.executable, script, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-2000:]
    first, second = ((tmp_path / f"rank{rank}").read_text().splitlines() for rank in (0, 1))
    assert first == second and len(first) == 2 and first[0].startswith("2 ") and first[0] != first[1]


def test_every_recipe_builds_its_network_and_names_known_sources():
    for file in train_module.RECIPES.glob("*.yaml"):
        recipe = train_module.read_recipe(file.stem)
        with torch.device("meta"):
            network = build_network(recipe["architecture"], recipe["encoder"])
        for name in [recipe["start"], *(stage["teacher"] for stage in recipe["stages"] if "teacher" in stage)]:
            other, _, referred = name.partition("/")
            known = [stage["name"] for stage in train_module.read_recipe(other)["stages"]] if referred else START_WORDS
            assert (referred or name) in known
        for stage in recipe["stages"]:
            SegmentationTask(network, steps=stage["steps"], **recipe.get("task", {}) | stage["task"])
            sampling = Sampling(**stage["sampling"])
            assert {name.partition("/")[0] for name in sampling.mix} <= {"camvid", "labelmefacade", "rendered"}
            assert all(side % 32 == 0 for side in sampling.crop)
            validated = train_module.STEPS_PER_EPOCH * stage.get("val_every_n_epochs", train_module.VAL_EVERY_N_EPOCHS)
            assert sampling.include_val or stage["steps"] % validated == 0, "the last weights of a stage are validated"
    assert set(weight_files.FILES) == {file.stem for file in train_module.RECIPES.glob("*.yaml")}


def test_an_unknown_recipe_is_named_with_the_known_ones():
    with pytest.raises(SystemExit, match=r"'fpn_vgg16'.*fpn_vgg19"):
        train_module.read_recipe("fpn_vgg16")


def test_crops_are_the_same_for_the_same_seed_and_only_then(data):
    sampling = Sampling(crop=(64, 64), mix={"camvid": 0.5, "rendered": 0.5})
    image, labels = StreetCrops(sampling, 8, seed=1, data=data)[3]
    again, _ = StreetCrops(sampling, 8, seed=1, data=data)[3]
    other, _ = StreetCrops(sampling, 8, seed=2, data=data)[3]
    assert image.shape == (3, 64, 64) and image.dtype == torch.float32
    assert labels.shape == (64, 64) and labels.dtype == torch.int64
    assert torch.equal(image, again) and not torch.equal(image, other)


def test_every_epoch_draws_new_crops(data):
    street = StreetData(Sampling(crop=(64, 64)), batch_size=1, steps_per_epoch=2, seed=0, data=data)
    epochs = []
    for step in (0, 2):
        street.trainer = SimpleNamespace(world_size=1, global_step=step)
        epochs.append(street.train_dataloader().dataset[0][0])
    assert not torch.equal(*epochs)


def test_centred_crops_hold_a_car_and_the_mask_follows_the_image(data):
    crops = StreetCrops(Sampling(crop=(32, 32), scales=(1, 1.0001), car_centred=1), 12, seed=0, data=data)
    agreement = []
    for image, labels in crops:
        assert (labels == CAR).any()
        if (labels == 3).any():
            car, road = (image[:, labels == label].median(dim=1).values for label in (CAR, 3))
            channel = (car - road).abs().argmax()
            looks_like_car = (image[channel] > (car + road)[channel] / 2) == (car > road)[channel]
            agreement.append((looks_like_car == (labels == CAR)).float().mean().item())
    # Noise may hide the colour in one crop, but not in most of them.
    assert np.median(agreement) > 0.9


@pytest.mark.parametrize("scale", [0.7, 1.3, 1.6])
def test_labels_stay_on_the_image_when_both_are_scaled(scale):
    labels = np.zeros((48, 64), np.uint8)
    labels[13:31] = CAR
    image = np.repeat(labels[..., None] // CAR * 255, 3, axis=2)
    scaled = get_training_transform(Sampling(scales=(scale, scale)))[0](image=image, mask=labels)
    nothing = np.zeros_like(scaled["image"])
    for shown, told in [scaled.values(), paste_cars(nothing, nothing[..., 0], image, labels, flip=False)]:
        assert len(shown) == pytest.approx(48 * scale, abs=1)
        assert np.array_equal(shown[..., 0] > 127, told == CAR)


def test_pasted_cars_bring_their_pixels_and_their_labels(data):
    image, labels = np.full((8, 10, 3), 50, np.uint8), np.full((8, 10), 3, np.uint8)
    donor, donor_labels = np.full((16, 20, 3), 200, np.uint8), np.full((16, 20), 1, np.uint8)
    donor_labels[4:8, :6] = CAR
    pasted, pasted_labels = paste_cars(image, labels, donor, donor_labels, flip=False)
    car = np.zeros((8, 10), bool)
    car[2:4, :3] = True
    assert np.array_equal(pasted_labels, np.where(car, CAR, 3))
    assert (pasted == np.where(car[..., None], 200, 50)).all()
    _, mirrored = paste_cars(image, labels, donor, donor_labels, flip=True)
    assert np.array_equal(mirrored, pasted_labels[:, ::-1])
    assert (image == 50).all() and (labels == 3).all()

    still = Sampling(crop=(64, 64), scales=(1, 1.0001), car_centred=0)
    share = [
        np.mean([(labels == CAR).float().mean().item() for _, labels in StreetCrops(sampling, 24, 0, data)])
        for sampling in (still, replace(still, paste=1.0))
    ]
    assert share[1] > 1.1 * share[0]


def test_a_held_out_drive_is_neither_trained_on_nor_missing_from_validation(data):
    sampling = Sampling(hold_out="drive", crop=(64, 64))
    assert len(StreetCrops(sampling, 1, 0, data).sources["camvid"]) == 2
    assert len(StreetCrops(Sampling(include_val=True), 1, 0, data).sources["camvid"]) == 8
    street = StreetData(sampling, batch_size=1, steps_per_epoch=1, seed=0, data=data)
    val, drive = street.val_dataloader()
    held = [WholeFrames([frame])[0][0] for name, frame in camvid("train", data).items() if name.startswith("drive")]
    assert len(val.dataset) == 4 and torch.equal(drive.dataset[0][0], held[0])


def test_a_drive_that_is_not_there_cannot_be_held_out(data):
    with pytest.raises(ValueError, match="begins with 'drvie'"):
        StreetCrops(Sampling(hold_out="drvie"), 1, 0, data)


def test_a_drive_can_be_a_source_of_its_own(data):
    sources = StreetCrops(Sampling(mix={"camvid": 0.5, "camvid/drive": 0.5}), 1, 0, data).sources
    of_the_drive = {name: frame for name, frame in camvid("train", data).items() if name.startswith("drive")}
    assert [id(frame) for frame in sources["camvid/drive"]] == [id(frame) for frame in of_the_drive.values()]
    assert len(sources["camvid"]) == 4
    with pytest.raises(ValueError, match="'nowhere'"):
        StreetCrops(Sampling(mix={"camvid/nowhere": 1}), 1, 0, data)
    with pytest.raises(ValueError, match="'cityscapes'"):
        StreetCrops(Sampling(mix={"cityscapes": 1}), 1, 0, data)


def test_photographs_ignore_what_is_unlabelled(tmp_path):
    folder = tmp_path / "LabelMeFacade"
    labels = np.array([[CAR, CAR, 11, 3, 3]], np.uint8).repeat(8, 0)
    pictures = {"images/a.jpg": np.zeros((8, 5, 3), np.uint8), "annot/a.png": labels}
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / name), picture)
    ((_, read),) = labelmefacade(tmp_path)
    assert read[0].tolist() == [CAR, CAR, IGNORED, 3, 3]


def test_labels_that_a_network_contradicts_are_ignored():
    labels = np.array([[CAR, CAR, CAR, 3, 3, 3, IGNORED]], np.uint8).repeat(40, 0)
    probability = torch.tensor([0.9, 0.5, 0.1, 0.9, 0.5, 0.1, 0.9])

    class Network(nn.Module):
        def forward(self, x):
            logits = torch.zeros(1, OUTPUTS, *x.shape[2:])
            left = (x.shape[3] - 7) // 2
            logits[:, CAR_OUTPUT, :, left : left + 7] = probability.logit()
            return logits

    ((_, checked),) = ignore_doubtful([(np.zeros((40, 7, 3), np.uint8), labels)], Network())
    assert (checked == [CAR, CAR, IGNORED, IGNORED, 3, 3, IGNORED]).all()
    assert (labels[0] == [CAR, CAR, CAR, 3, 3, 3, IGNORED]).all()


def test_missing_data_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="make train-data"):
        camvid("train", tmp_path)
    with pytest.raises(FileNotFoundError, match="make train-data"):
        labelmefacade(tmp_path)


def test_whole_frames_are_padded_by_mirroring():
    image = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    labels = np.zeros((40, 50), np.uint8)
    labels[1] = CAR
    padded, car = WholeFrames([(image, labels)])[0]
    assert padded.shape == (3, 64, 64)
    top = (64 - 40) // 2
    assert car[top + 1].all() and car[top - 1].all() and not car[top].any()


def test_the_loss_is_low_for_the_truth_and_blind_where_told():
    labels = torch.full((1, 16, 16), 3)
    labels[:, 4:8] = CAR
    labels[:, 8:10], labels[:, 10:12] = 11, IGNORED
    right = torch.zeros(1, 13, 16, 16)
    right.scatter_(1, labels.clamp(max=11)[:, None], 20.0)
    right[:, CAR_OUTPUT] = torch.where(labels == CAR, 20.0, -20.0)
    loss = StreetLoss()
    assert loss(right, labels) < 1e-3
    ignored = right.clone()
    ignored[:, :, 10:12] = torch.randn(1, 13, 2, 16)
    assert torch.allclose(loss(ignored, labels), loss(right, labels))
    unlabelled = right.clone()
    unlabelled[:, :CAR_OUTPUT, 8:10] = torch.randn(1, 12, 2, 16)
    assert torch.allclose(loss(unlabelled, labels), loss(right, labels)), "no class is taught where none is labelled"
    unlabelled[:, CAR_OUTPUT, 8:10] = 20
    assert loss(unlabelled, labels) > 0.5, "but a car there is a false alarm"


def test_frozen_layers_and_batch_statistics_stay(data):
    network = build_network("fpn", "resnet18")
    task = SegmentationTask(
        network, steps=2, encoder_lr=1e-2, lr=1e-2, frozen=("encoder.conv1.",), freeze_batch_norm=True
    )
    assert not network.encoder.conv1.weight.requires_grad and network.encoder.layer1[0].conv1.weight.requires_grad
    network.eval()
    task.on_train_epoch_start()
    assert network.decoder.training and not network.encoder.bn1.training


@pytest.mark.parametrize("imitate", ["pyramid", "logits"])
def test_a_teacher_adds_the_distance_from_what_it_shows(imitate):
    networks = [build_network("fpn", "resnet18").eval() for _ in range(2)]
    batch = torch.randn(1, 3, 64, 64), torch.full((1, 64, 64), CAR)

    def loss(teacher, weight=1.0):
        task = SegmentationTask(
            networks[0], steps=2, encoder_lr=1e-3, lr=1e-3, teacher=teacher, teacher_weight=weight, imitate=imitate
        )
        task.log = lambda *_, **__: None
        assert not any(name.startswith("_teacher") for name in task.state_dict())
        return task.training_step(batch, 0)

    untaught = loss(None)
    assert loss(copy.deepcopy(networks[0])).item() == pytest.approx(untaught.item(), abs=1e-5)
    taught = loss(networks[1])
    distance = taught.item() - untaught.item()
    assert distance > 1e-3
    assert loss(networks[1], weight=2.0).item() - untaught.item() == pytest.approx(2 * distance, rel=1e-3)
    taught.backward()
    assert networks[0].decoder.p2.skip_conv.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in networks[1].parameters())
    assert not any(block._forward_pre_hooks for n in networks for block in n.decoder.seg_blocks)


def test_what_a_network_imitates_is_named_correctly():
    with pytest.raises(ValueError, match="pyramid or logits, not 'head'"):
        SegmentationTask(build_network("fpn", "resnet18"), steps=2, encoder_lr=1e-3, lr=1e-3, imitate="head")


def test_relative_distance_is_one_for_maps_of_zeros():
    targets = [torch.randn(1, 4, 8, 8), 100 * torch.randn(1, 4, 4, 4)]
    assert relative_distance([torch.zeros_like(t) for t in targets], targets) == pytest.approx(1.0, abs=1e-6)


def test_divergence_is_torchs_of_the_classes_and_of_the_car():
    ours, theirs = torch.randn(2, 2, OUTPUTS, 5, 7)

    def kl(distribution, other):
        return torch.distributions.kl_divergence(distribution, other).mean().item()

    classes = [torch.distributions.Categorical(logits=o[:, :CAR_OUTPUT].movedim(1, -1)) for o in (theirs, ours)]
    cars = [torch.distributions.Bernoulli(logits=o[:, CAR_OUTPUT]) for o in (theirs, ours)]
    assert divergence(ours, theirs).item() == pytest.approx(kl(*classes) + kl(*cars), abs=1e-5)


@pytest.fixture(scope="module")
def packed_vgg(tmp_path_factory) -> Path:
    """Random weights packed as in the package: a table of 256 values and, for each weight, its place in the table."""
    generator, packed, channels = torch.Generator().manual_seed(0), {}, 3
    for block, indices in pastiche_start.CONVOLUTIONS.items():
        width = min(64 * 2 ** (block - 1), 512)
        for number in range(1, len(indices) + 1):
            layer = f"block{block}_conv{number}"
            size = (width, channels, 3, 3)
            packed[f"{layer}_W_q"] = torch.randint(256, size, generator=generator, dtype=torch.uint8)
            packed[f"{layer}_W_table"] = torch.randn(256, generator=generator) * (2 / (9 * channels)) ** 0.5
            packed[f"{layer}_b"] = torch.randn(width, generator=generator)
            channels = width
    file = tmp_path_factory.mktemp("pastiche") / "vgg19.bin"
    torch.save(packed, file)
    return file


def test_vgg19_gives_on_prepared_rgb_what_the_package_gives_on_bgr(packed_vgg):
    encoder = build_network("fpn", "vgg19").encoder
    encoder.load_state_dict(pastiche_start.convert(packed_vgg))
    packed = torch.load(packed_vgg, weights_only=True)

    def original(layer, x):
        weight = packed[f"{layer}_W_table"].double()[packed[f"{layer}_W_q"].long()]
        return nn.functional.conv2d(x, weight, packed[f"{layer}_b"].double(), padding=1).relu()

    bgr = torch.rand(1, 3, 32, 32, dtype=torch.double, generator=torch.Generator().manual_seed(1)) * 255
    x = bgr - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    # The networks pad with zeros before they add the mean, so the first convolution differs along the edge.
    expected = original("block1_conv1", x)
    rgb = bgr[0].flip(0).permute(1, 2, 0).numpy()
    prepared = torch.from_numpy(utils.get_preprocessing_fn("vgg19")(rgb)).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        got = encoder.features[:2](prepared).double()
    torch.testing.assert_close(got[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=1e-3, atol=2e-2)
    positions = iter(i for i, layer in enumerate(encoder.features) if isinstance(layer, nn.Conv2d))
    for block, indices in pastiche_start.CONVOLUTIONS.items():
        for number, index in enumerate(indices, 1):
            assert index == next(positions)
            layer = f"block{block}_conv{number}"
            if index:
                weight = packed[f"{layer}_W_table"][packed[f"{layer}_W_q"].long()]
                assert torch.equal(encoder.features[index].weight, weight)
                assert torch.equal(encoder.features[index].bias, packed[f"{layer}_b"])


def test_starts_from_a_bare_encoder_and_from_a_one_output_network(tmp_path, monkeypatch):
    donor, network = build_network("fpn", "resnet18", outputs=1), build_network("fpn", "resnet18")
    torch.save(donor.encoder.state_dict(), tmp_path / "encoder.pt")
    load_start(network, str(tmp_path / "encoder.pt"), "resnet18", tmp_path, [])
    assert torch.equal(network.encoder.conv1.weight, donor.encoder.conv1.weight)
    torch.save(donor.state_dict(), tmp_path / "whole.pt")
    load_start(network, str(tmp_path / "whole.pt"), "resnet18", tmp_path, [])
    assert torch.equal(network.segmentation_head[0].weight[CAR_OUTPUT:], donor.segmentation_head[0].weight)
    stage = tmp_path / "net" / "only"
    train_module.save_weights(donor, stage / "weights.pt", "net", [])
    monkeypatch.chdir(stage)
    assert load_start(network, "weights.pt", "resnet18", tmp_path, []).endswith("tensors from net/only")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt.*imagenet"):
        load_start(network, str(tmp_path / "nowhere.pt"), "resnet18", tmp_path, [])
    with pytest.raises(ValueError, match="another architecture"):
        load_matching(network, {"encoder.conv1.weight": torch.zeros(1)})


@pytest.fixture(scope="module")
def plain_vgg() -> nn.Module:
    """FPN + VGG-19 with biases and with activations in the hundreds, as trained ones have them."""
    torch.manual_seed(0)
    network = build_network("fpn", "vgg19").eval()
    for module in network.encoder.features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, std=20.0)
    return network


@torch.inference_mode()
def test_batch_normalisation_goes_in_and_out_without_a_change(plain_vgg):
    state, images = plain_vgg.state_dict(), torch.randn(2, 3, 64, 96)
    expected = plain_vgg(images)
    inserted = batch_norm.insert(state, torch.randn(2, 3, 64, 96))
    normalised = build_network("fpn", "vgg19_bn").eval()
    normalised.load_state_dict(inserted)
    scale = expected.std()
    torch.testing.assert_close(normalised(images) / scale, expected / scale, rtol=1e-4, atol=1e-4)
    assert batch_norm.is_inserted(inserted) and not batch_norm.is_inserted(state)

    generator = torch.Generator().manual_seed(1)
    for value in normalised.state_dict().values():
        if value.is_floating_point():  # any network, not only one that has just been calibrated
            value.mul_(0.8 + 0.4 * torch.rand(value.shape, generator=generator))
    folded = build_network("fpn", "vgg19").eval()
    folded.load_state_dict(batch_norm.fold(normalised.state_dict()))
    expected = normalised(images)
    torch.testing.assert_close(folded(images) / expected.std(), expected / expected.std(), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_inserted_statistics_are_those_of_the_images_and_outputs_have_unit_size(plain_vgg):
    images = torch.randn(2, 3, 64, 96)
    network = build_network("fpn", "vgg19_bn")
    network.load_state_dict(batch_norm.insert(plain_vgg.state_dict(), images))
    outputs = {}
    for name, module in network.encoder.features.named_children():
        module.register_forward_hook(lambda _, inputs, output, name=name: outputs.update({name: (inputs[0], output)}))
    network.eval()
    network.encoder(images)
    for name, module in network.encoder.features.named_children():
        inputs, output = outputs[name]
        if isinstance(module, nn.BatchNorm2d):
            mean, size = inputs.mean((0, 2, 3)), inputs.square().mean()
            torch.testing.assert_close(module.running_mean, mean, rtol=1e-3, atol=1e-4 * size.sqrt().item())
            assert output.relu().square().mean() == pytest.approx(1, rel=1e-3)


def test_a_plain_start_gets_batch_normalisation_where_the_network_has_it(tmp_path, data, plain_vgg):
    torch.save(plain_vgg.encoder.state_dict(), tmp_path / "encoder.pt")
    network = build_network("fpn", "vgg19_bn")
    crops = StreetCrops(Sampling(crop=(64, 64)), 2, 0, data)
    load_start(network, str(tmp_path / "encoder.pt"), "vgg19_bn", tmp_path, crops)
    assert torch.equal(network.encoder.features[3].weight, plain_vgg.encoder.features[2].weight)
    inserted = batch_norm.insert(plain_vgg.state_dict(), torch.stack([image for image, _ in crops]))
    torch.testing.assert_close(network.encoder.features[1].running_var, inserted["encoder.features.1.running_var"])


def test_export_folds_batch_normalisation(tmp_path, data, monkeypatch, plain_vgg):
    monkeypatch.setattr(export_module, "read_recipe", lambda _: {"architecture": "fpn", "encoder": "vgg19_bn"})
    frames = list(camvid("val", data).values())[:1]
    images = torch.stack([image for image, _ in WholeFrames(frames)])
    network = build_network("fpn", "vgg19_bn")
    network.load_state_dict(batch_norm.insert(plain_vgg.state_dict(), images))
    train_module.save_weights(network, tmp_path / "weights.pt", "fpn_vgg19", [{"stage": "only"}])
    shipped = torch.load(
        export_module.export("fpn_vgg19", tmp_path / "weights.pt", frames, tmp_path), weights_only=True
    )
    course = build_network("fpn", "vgg19", outputs=1).eval()
    course.load_state_dict(shipped)
    with torch.inference_mode():
        expected, got = network.eval()(images)[:, CAR_OUTPUT:], course(images)
    torch.testing.assert_close(got / expected.std(), expected / expected.std(), rtol=0.02, atol=0.02)
    assert {value.dtype for value in shipped.values() if value.ndim == 4} == {torch.float16}


def test_a_course_file_knows_its_lineage_by_the_list_beside_it(tmp_path):
    (tmp_path / "lineage.json").write_text(json.dumps({"fpn_vgg19": [{"stage": "first"}]}))
    for name in weight_files.FILES.values():
        (tmp_path / name).write_bytes(b"")
    assert weight_files.lineage_of(tmp_path / weight_files.FILES["fpn_vgg19"], "fpn_vgg19") == [{"stage": "first"}]
    assert weight_files.lineage_of(tmp_path / weight_files.FILES["fpn_resnet50"], "fpn_resnet50") == []
    assert weight_files.lineage_of(Path("imagenet"), "fpn_resnet50") == []
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert weight_files.lineage_of(tmp_path / "old.pth", "fpn_resnet50") == []


def test_export_keeps_the_scores_and_halves_the_file(tmp_path, data, monkeypatch):
    recipe = {"architecture": "pspnet", "encoder": "resnet50"}
    monkeypatch.setattr(export_module, "read_recipe", lambda _: recipe)
    torch.manual_seed(0)
    network = build_network("pspnet", "resnet50")
    weights = tmp_path / "weights.pt"
    train_module.save_weights(network, weights, "pspnet_resnet50", [{"stage": "only", "hours": 1.0}])
    frames = list(camvid("val", data).values())[:2]
    target = export_module.export("pspnet_resnet50", weights, frames, tmp_path)
    shipped = torch.load(target, weights_only=True)
    assert shipped["segmentation_head.0.weight"].shape[0] == 1
    assert torch.equal(shipped["segmentation_head.0.weight"][0], network.segmentation_head[0].weight[CAR_OUTPUT].half())
    assert shipped["encoder.conv1.weight"].dtype == torch.float16
    assert shipped["encoder.bn1.running_var"].dtype == torch.float32
    assert not shipped["encoder.layer4.0.conv1.weight"].any() and shipped["encoder.layer2.0.conv1.weight"].any()
    assert json.loads((tmp_path / "lineage.json").read_text())["pspnet_resnet50"][0]["hours"] == 1.0
    assert target.stat().st_size < 6e6, "zeros take no room"
    course = build_network("pspnet", "resnet50", outputs=1)
    course.load_state_dict(shipped)
    assert not course.encoder.layer4[0].conv1.weight.any() and course.encoder.layer4[0].conv1.weight.is_contiguous()
    check = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path, capture_output=True)
    assert check.returncode == 0


def test_export_writes_nothing_where_the_score_would_change(tmp_path, data, monkeypatch):
    recipe = {"architecture": "fpn", "encoder": "resnet18"}
    monkeypatch.setattr(export_module, "read_recipe", lambda _: recipe)
    scores = iter([0.9, 0.89])
    monkeypatch.setattr(export_module, "car_iou", lambda *_: next(scores))
    weights = tmp_path / "weights.pt"
    train_module.save_weights(build_network("fpn", "resnet18"), weights, "fpn_resnet50", [{"stage": "only"}])
    with pytest.raises(ValueError, match="not written"):
        export_module.export("fpn_resnet50", weights, [], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pt"]


def test_export_refuses_weights_that_do_not_tell_how_they_were_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "read_recipe", lambda _: {"architecture": "fpn", "encoder": "resnet18"})
    torch.save(build_network("fpn", "resnet18").state_dict(), tmp_path / "bare.pt")
    with pytest.raises(ValueError, match=r"bare\.pt does not tell how fpn_resnet50 was trained"):
        export_module.export("fpn_resnet50", tmp_path / "bare.pt", [], tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        export_module.export("fpn_resnet50", tmp_path / "nowhere.pt", [], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["bare.pt"]
