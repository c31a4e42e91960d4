"""Train the three models by their recipes, stage by stage: `python staff/training/train.py [MODEL|all]`.

A recipe (`recipes/MODEL.yaml`) names the network, its start and its stages. Each stage leaves `weights.pt` (the
moving average of the weights, all thirteen outputs) in `runs/MODEL/STAGE/`, beside its checkpoint and its logs.
Run again after an interruption, finished stages are passed over and the unfinished one goes on from its last epoch.
A start or a teacher named `MODEL/STAGE` is a stage of another recipe, which is run first where it has not been.
"""

import argparse
import shutil
import subprocess
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint, Timer, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from starts import load_matching, load_start, read_state
from street_data import DATA, ROOT, Sampling, StreetCrops, StreetData
from task import SegmentationTask, build_network
from weight_files import lineage_of, replace

RECIPES = Path(__file__).parent / "recipes"
RUNS = ROOT / "runs"
STEPS_PER_EPOCH = 50
VAL_EVERY_N_EPOCHS = 4
CALIBRATION_CROPS = 16
STAGE_KEYS = {
    "name",
    "steps",
    "batch_size",
    "seed",
    "val_every_n_epochs",
    "teacher",
    "head_of_teacher",
    "task",
    "sampling",
}


def read_recipe(model: str) -> dict:
    """A recipe by the name of its model, or from a YAML file of one's own."""
    path = Path(model) if model.endswith(".yaml") else RECIPES / f"{model}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise SystemExit(f"No recipe for {model!r}. There are: {known}, or all.")
    return yaml.safe_load(path.read_text())


def provenance() -> dict[str, str]:
    """Versions and commit, kept in every checkpoint and in each stage's weights."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    packages = ("torch", "lightning", "segmentation-models-pytorch", "albumentations")
    return {name: version(name) for name in packages} | {"commit": git.stdout.strip() or "unknown"}


class Clock(Timer):
    """Logs the hours trained so far, interruptions left out, and signs every checkpoint."""

    def on_train_batch_end(self, trainer, pl_module, *args, **kwargs) -> None:
        super().on_train_batch_end(trainer, pl_module, *args, **kwargs)
        pl_module.log("hours", self.hours())

    def on_save_checkpoint(self, trainer, pl_module, checkpoint: dict) -> None:
        checkpoint["provenance"] = provenance()

    def hours(self) -> float:
        return self.time_elapsed("train") / 3600


def build_task(recipe: dict, stage: dict, start: str, arguments: argparse.Namespace) -> tuple[SegmentationTask, str]:
    """The network with its start in it and, where the stage has one, its teacher; and a sentence on both."""
    network = build_network(recipe["architecture"], recipe["encoder"])
    crops = StreetCrops(Sampling(**stage["sampling"]), CALIBRATION_CROPS, stage.get("seed", 0), arguments.data)
    told = load_start(network, start, recipe["encoder"], arguments.runs / "downloads", crops)
    teacher = None
    if "teacher" in stage:
        state = read_state(ROOT / resolve(stage["teacher"], arguments))
        teacher = build_network("fpn", "resnet50")
        load_matching(teacher, state)
        told += ", taught by FPN-ResNet50"
        if stage.get("head_of_teacher"):
            head = ("decoder.seg_blocks.", "segmentation_head.")
            load_matching(network, {name: value for name, value in state.items() if name.startswith(head)})
            told += ", whose head it begins with"
    settings = recipe.get("task", {}) | stage["task"]
    return SegmentationTask(network, teacher=teacher, **settings, steps=stage["steps"]), told


def run_stage(recipe: dict, stage: dict, folder: Path, start: str, arguments: argparse.Namespace) -> Path:
    """Train one stage from ``start`` unless it is done; returns its weight file."""
    weights, last = folder / "weights.pt", folder / "last.ckpt"
    if weights.exists():
        print(f"{folder} is done")
        return weights
    if unknown := set(stage) - STAGE_KEYS:
        raise SystemExit(f"Stage {stage['name']!r} has unknown keys: {', '.join(sorted(unknown))}.")
    seed = stage.get("seed", 0)
    lightning.seed_everything(seed, verbose=False)
    task, told = build_task(recipe, stage, start, arguments)
    print(f"{folder.name}: {told}", flush=True)
    data = StreetData(Sampling(**stage["sampling"]), stage["batch_size"], STEPS_PER_EPOCH, 1000 * seed, arguments.data)
    clock = Clock(timedelta(hours=arguments.max_hours) if arguments.max_hours else None)
    trainer = build_trainer(stage, folder, clock, arguments)
    trainer.fit(task, data, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    if trainer.global_step < stage["steps"] and not arguments.fast_dev_run:
        raise SystemExit(f"Stopped at step {trainer.global_step}; the same command goes on from {last}.")
    if trainer.is_global_zero:
        kept = trainer.checkpoint_callback
        if kept.best_model_path:
            task.load_state_dict(torch.load(kept.best_model_path, weights_only=False)["state_dict"])
        model = folder.parent.name
        lineage = [*lineage_of(Path(start), model), describe(stage, told, clock, trainer)]
        save_weights(task.network, weights, model, lineage)
    return weights


def warm_average(average: torch.Tensor, current: torch.Tensor, updates: torch.Tensor | int) -> torch.Tensor:
    """Exponential moving average whose memory grows with the run, so that it forgets the first, poor weights soon."""
    decay = min(0.995, (1 + int(updates)) / (10 + int(updates)))
    return torch.lerp(current, average, decay) if average.is_floating_point() else current


def build_trainer(stage: dict, folder: Path, clock: Clock, arguments: argparse.Namespace) -> lightning.Trainer:
    """A Trainer whose ``checkpoint_callback`` keeps the best on val, or the last where val is trained on."""
    epochs = -(-stage["steps"] // STEPS_PER_EPOCH)
    best = ModelCheckpoint(
        folder, "best", "val_iou", mode="max", save_on_train_epoch_end=False, enable_version_counter=False
    )
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    trained_on_val = stage["sampling"].get("include_val", False)
    checkpoints = [last] if trained_on_val else [best, last]
    return lightning.Trainer(
        accelerator=arguments.accelerator,
        devices=arguments.devices,
        precision=arguments.precision,
        max_epochs=-1,
        max_steps=stage["steps"],
        fast_dev_run=2 if arguments.fast_dev_run else False,
        callbacks=[*checkpoints, WeightAveraging(avg_fn=warm_average), clock],
        logger=CSVLogger(folder, name="metrics", flush_logs_every_n_steps=10),
        log_every_n_steps=10,
        check_val_every_n_epoch=min(stage.get("val_every_n_epochs", VAL_EVERY_N_EPOCHS), epochs),
        limit_val_batches=0 if trained_on_val else None,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        enable_model_summary=False,
    )


def machine(trainer: lightning.Trainer) -> str:
    """What computes, for the model card."""
    kind = trainer.strategy.root_device.type
    if kind != "cpu":
        return f"{trainer.world_size} × {kind}"
    threads = torch.get_num_threads() * trainer.world_size
    return f"{threads} CPU thread{'s' * (threads > 1)}"


def describe(stage: dict, told: str, clock: Clock, trainer: lightning.Trainer) -> dict:
    """What the model card tells of a stage."""
    score, sampling = trainer.checkpoint_callback.best_model_score, trainer.datamodule.sampling
    return {
        "stage": stage["name"],
        "start": told,
        "steps": trainer.global_step,
        "batch_size": stage["batch_size"],
        "mix": dict(sampling.mix),
        "include_val": sampling.include_val,
        "hours": round(clock.hours(), 2),
        "machine": machine(trainer),
        "val_iou": None if score is None else round(score.item(), 4),
        "val_frames": 0 if score is None else len(trainer.val_dataloaders[0].dataset),
        "provenance": provenance(),
    }


def save_weights(network: torch.nn.Module, target: Path, model: str, lineage: list[dict]) -> None:
    saved = {"state_dict": network.state_dict(), "model": model, "lineage": lineage}
    replace(target, lambda partial: torch.save(saved, partial))


def resolve(name: str, arguments: argparse.Namespace) -> str:
    """The weight file of a start or teacher that names a stage of a recipe as MODEL/STAGE, other names as they are."""
    model, _, stage = name.partition("/")
    if not (RECIPES / f"{model}.yaml").is_file():
        return name
    weights = arguments.runs / model / stage / "weights.pt"
    if not weights.exists():
        train(model, argparse.Namespace(**vars(arguments) | {"start": None}))
    return str(weights.resolve())


def train(model: str, arguments: argparse.Namespace) -> Path:
    """All stages of one recipe, each from the one before; returns the last one's weight file."""
    recipe = read_recipe(model)
    start = resolve(arguments.start or recipe["start"], arguments)
    for stage in recipe["stages"]:
        start = str(run_stage(recipe, stage, arguments.runs / Path(model).stem / stage["name"], start, arguments))
    return Path(start)


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="all", help="a recipe's name, a YAML file, or all")
    parser.add_argument("--start", help="imagenet, hed, none or a weight file, in place of the recipe's")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where checkpoints, logs and weights go")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds CamVid and LabelMeFacade")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", default="auto")
    parser.add_argument("--precision", default="32-true", help="Lightning's name, such as bf16-mixed")
    parser.add_argument("--max-hours", type=float, help="stop after this long; the same command goes on later")
    parser.add_argument("--fast-dev-run", action="store_true", help="two steps of each stage, to see that all runs")
    return parser.parse_args(words)


def main() -> None:
    arguments = parse_arguments()
    if arguments.fast_dev_run:
        # Apart, and anew each time: a real run would take a trial's stages for finished.
        arguments.runs /= "fast_dev_run"
        rank_zero_only(shutil.rmtree)(arguments.runs, ignore_errors=True)
    models = sorted(path.stem for path in RECIPES.glob("*.yaml")) if arguments.model == "all" else [arguments.model]
    for model in models:
        print(f"{model}: {train(model, arguments)}")


if __name__ == "__main__":
    main()
