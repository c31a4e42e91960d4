"""The checks before the first step of a training: the recipe, what it refers to, and every source."""

from functools import cache
from pathlib import Path

import torch

from staff import ROOT
from staff.training import recipes
from staff.training.data import StreetCrops, StreetData
from staff.training.recipes import DOWNLOADED, STARTS, Mistake, Recipe, Stage, file_of, read_recipe
from staff.training.starts import build_teacher, pretrained, read_teacher
from staff.training.task import build_network


def stage_reference(name: str) -> tuple[str, str] | None:
    """(MODEL, STAGE) of a start or teacher that names a stage of one of our recipes; None for other names."""
    model, slash, stage = name.partition("/")
    return (model, stage) if slash and (recipes.FOLDER / f"{model}.yaml").is_file() else None


def or_file(start: str, imagenet: Path | None) -> str:
    """``start``, or the file that is given in its place where it is ``imagenet``."""
    return str(imagenet) if start == "imagenet" and imagenet else start


@cache
def check(
    model: str,
    data: Path,
    start: str,
    until: str | None = None,
    path: tuple[str, ...] = (),
    imagenet: Path | None = None,
) -> None:
    """Raise Mistake if a stage of the recipe, up to ``until``, can't be trained on ``data`` from ``start``.

    imagenet: a file to take where a recipe that this one needs starts with imagenet.
    """
    recipe = read_recipe(model)
    file = file_of(model)
    names = [stage.name for stage in recipe.stages]
    if until is not None and until not in names:
        raise Mistake(f"{path[-1]} refers to {model}/{until}, which is no stage: {file} has {', '.join(names)}.")
    needed = recipe.stages[: None if until is None else names.index(until) + 1]
    check_network(recipe, file)
    where = f"{file}, start" if start == recipe.start else "--imagenet" if start == str(imagenet) else "--start"
    if start in DOWNLOADED:
        check_download(start, recipe.encoder, where, data)
    check_start(start, where)
    references = [(start, where, [])]
    for index, stage in enumerate(needed):
        where = f"{file}, stage {stage.name!r}"
        check_sources(stage, where, data)
        for key, name in (("teacher", stage.teacher), ("label_check", stage.label_check)):
            if name:
                check_teacher(name, f"{where}, {key}", key == "teacher" and stage.task.imitate == "logits")
                references.append((name, f"{where}, {key}", names[:index]))
    for name, where, earlier in references:
        check_reference(name, where, model, earlier, data, path, imagenet)


def check_sources(stage: Stage, where: str, data: Path) -> None:
    """Check that every frame and mask of the stage's sources can be read, and val too if the stage is validated."""
    try:
        StreetCrops(stage.sampling, 1, 0, data)
        if not stage.sampling.include_val:
            StreetData(stage.sampling, 1, 1, 0, data).val_dataloader()
    except (OSError, ValueError) as error:
        raise Mistake(f"{where}: {error}") from error


def check_download(start: str, encoder: str, where: str, data: Path) -> None:
    try:
        pretrained(start, encoder, data)
    except OSError as error:
        raise Mistake(f"{where}: {error}") from error


def check_start(start: str, where: str) -> None:
    if start not in STARTS and not stage_reference(start) and not (ROOT / start).is_file():
        raise Mistake(f"{where}: {start!r} is no file, no MODEL/STAGE of a recipe, and none of {', '.join(STARTS)}.")


def check_network(recipe: Recipe, file: Path) -> None:
    """Check that the network exists and that each entry of `frozen` is the beginning of a parameter's name."""
    try:
        with torch.device("meta"):
            network = build_network(recipe.architecture, recipe.encoder)
    except (KeyError, ValueError, RuntimeError) as error:
        raise Mistake(f"{file}, architecture {recipe.architecture} with encoder {recipe.encoder}: {error}") from None
    names = [name for name, _ in network.named_parameters()]
    for stage in recipe.stages:
        if all(name.startswith(stage.task.frozen) for name in names):
            raise Mistake(f"{file}, stage {stage.name!r}, task.frozen: nothing is left to train.")
        for prefix in stage.task.frozen:
            if not any(name.startswith(prefix) for name in names):
                raise Mistake(f"{file}, stage {stage.name!r}, task.frozen: no parameter's name begins with {prefix!r}.")


def check_teacher(name: str, where: str, every_output: bool) -> None:
    """Check that ``name`` is an FPN-ResNet50: a stage of a recipe, or a file, with all outputs where they are used."""
    if reference := stage_reference(name):
        named = read_recipe(reference[0])
        if (named.architecture, named.encoder) != ("fpn", "resnet50"):
            raise Mistake(f"{where}: {name} can't teach: it is not an FPN-ResNet50.")
        return
    if not (ROOT / name).is_file():
        raise Mistake(f"{where}: {name!r} is no file and no MODEL/STAGE of a recipe.")
    try:
        try_teacher(ROOT / name, every_output)
    except (OSError, ValueError) as error:
        raise Mistake(f"{where}: {error}") from error


@cache
def try_teacher(file: Path, every_output: bool) -> None:
    build_teacher(read_teacher(file), file, every_output)


def check_reference(
    name: str, where: str, model: str, earlier: list[str], data: Path, path: tuple[str, ...], imagenet: Path | None
) -> None:
    """Check that the stage ``name``, if it is one, can be trained before the one that refers to it."""
    reference = stage_reference(name)
    if reference is None:
        return
    other, stage = reference
    if other == model and stage not in earlier:
        raise Mistake(f"{where}: {name} is no earlier stage of this recipe.")
    if other in path:
        raise Mistake(f"{where}: {name} itself needs a stage of {model}.")
    if other != model:
        check(other, data, or_file(read_recipe(other).start, imagenet), stage, (*path, model), imagenet)
