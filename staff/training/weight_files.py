"""The weight files of `models/` and of the stages: where they are, where they came from, how one is put in place."""

import json
from pathlib import Path

import torch

from staff.files import replace
from staff.models import FILES


def name_network(architecture: str, encoder: str) -> str:
    """The network's key in ``FILES``. vgg19_bn counts as vgg19: its batch normalisation is folded before export."""
    return f"{architecture}_{encoder.removesuffix('_bn')}"


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


def save_weights(network: torch.nn.Module, target: Path, model: str, lineage: list[dict]) -> None:
    """Write a stage's weights with the network's name and the stages behind it."""
    saved = {"state_dict": network.state_dict(), "model": model, "lineage": lineage}
    replace(target, lambda partial: torch.save(saved, partial))
