"""The weight files of `models/` and of the stages: where they are, where they came from, how one is put in place."""

import hashlib
import json
from pathlib import Path

import torch

from staff.files import replace
from staff.models import FILES


def name_network(architecture: str, encoder: str) -> str:
    """The network's key in ``FILES``. vgg19_bn counts as vgg19: its batch normalisation is folded before export."""
    return f"{architecture}_{'vgg19' if encoder == 'vgg19_bn' else encoder}"


def read_lineages(models: Path) -> dict[str, list[dict]]:
    """Model -> the stages behind its file in ``models``."""
    file = models / "lineage.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def read_saved(file: Path) -> dict:
    """The dictionary that torch.save wrote to a file: a state dict, a stage's weights or a checkpoint.

    Raises ValueError that names the file if it is damaged or holds anything else.
    """
    damaged = ValueError(f"{file} holds no weights written by torch.save: is it whole, and the right file?")
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception:  # torch raises a dozen types, depending on the damage
        raise damaged from None
    if not isinstance(saved, dict) or not isinstance(saved.get("state_dict", saved), dict):
        raise damaged
    return saved


def lineage_of(file: Path, model: str) -> list[dict]:
    """The training history of a file of ``model``: a shipped file, a stage's weights or a checkpoint; else []."""
    if not file.is_file():
        return []
    if file.name == FILES.get(model):
        return read_lineages(file.parent).get(model, [])
    saved = read_saved(file)
    return saved["lineage"] if saved.get("model") == model else []


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def fingerprint(state: dict[str, torch.Tensor]) -> str:
    """SHA-256 of the encoder and decoder below the head, in the precision of the weight files."""
    sha256 = hashlib.sha256()
    for name, value in sorted(state.items()):
        if not name.startswith("segmentation_head.") and value.is_floating_point():
            sha256.update(name.encode() + value.half().numpy().tobytes())
    return sha256.hexdigest()


def save_weights(network: torch.nn.Module, target: Path, model: str, lineage: list[dict]) -> None:
    """Write a stage's weights with the network's name and the stages behind it."""
    saved = {"state_dict": network.state_dict(), "model": model, "lineage": lineage}
    replace(target, lambda partial: torch.save(saved, partial))
