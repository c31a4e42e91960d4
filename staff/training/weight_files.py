"""The weight files of `models/` and of the stages: where they are, where they came from, how one is put in place."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import torch

from street_data import ROOT

MODELS = ROOT / "models"
FILES = {
    "fpn_vgg19": "vgg19_best_model_weights.pt",
    "fpn_resnet50": "resnet50_best_model_weights.pt",
    "pspnet_resnet50": "pspnet_resnet50_best_model_weights.pt",
}


def name_network(architecture: str, encoder: str) -> str:
    """The key of ``FILES`` that a network has there, whatever its recipe's name; a folded `_bn` is no difference."""
    return f"{architecture}_{encoder.removesuffix('_bn')}"


def replace(target: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``target``, then put it in its place, so that no half file is ever seen."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    write(partial)
    os.replace(partial, target)


def read_lineages(models: Path) -> dict[str, list[dict]]:
    """Model -> the stages behind its file in ``models``."""
    file = models / "lineage.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def lineage_of(file: Path, model: str) -> list[dict]:
    """The stages of ``model`` behind its file in `models/`, a stage's weights or a checkpoint; none for other files."""
    if not file.is_file():
        return []
    if file.name == FILES.get(model):
        return read_lineages(file.parent).get(model, [])
    saved = torch.load(file, map_location="cpu", weights_only=True)
    return saved["lineage"] if saved.get("model") == model else []
