"""Turn a trained stage into a weight file of the course: `python -m staff.training.export MODEL WEIGHTS`.

MODEL is a recipe's name, WEIGHTS a stage's `weights.pt`, a training checkpoint or an earlier course file. Written are
`models/<name>_best_model_weights.pt` (one output, float16, batch-norm statistics float32, layers that never run as
zeros, VGG-19's batch normalisation folded into its convolutions), its line in `models/SHA256SUMS` and its history in
`models/lineage.json`. Nothing is written if a weight is not finite, if the file would not score on val what the network
scored before, or if it is not known how it was trained.

MODEL `street_classes`, with the weights of that stage, writes the head for all twelve classes in the same way.
"""

import argparse
import json
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn
from torchmetrics.classification import BinaryJaccardIndex

from staff.files import replace, write_text
from staff.models import FILES, MODELS, STREET_CLASSES_FILE
from staff.training import batch_norm
from staff.training.data import DATA, Frame, WholeFrames, camvid
from staff.training.recipes import read_recipe
from staff.training.starts import HEAD, read_state
from staff.training.task import CAR_OUTPUT, load_network
from staff.training.weight_files import digest, fingerprint, lineage_of, read_lineages, read_saved

TOLERANCE = 0.002


def car_only(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Keep the car output of a thirteen-output head; other tensors as they are."""
    head = (f"{HEAD}.weight", f"{HEAD}.bias")
    cut = {name: value[CAR_OUTPUT:] for name, value in state.items() if name in head and len(value) > 1}
    return state | cut


def unused_layers(network: nn.Module) -> tuple[str, ...]:
    """Prefixes of encoder stages that the network never runs: a PSPNet stops after its third."""
    if isinstance(network, smp.PSPNet):
        return ("encoder.layer3.", "encoder.layer4.")
    return ()


def compress(network: nn.Module) -> dict[str, torch.Tensor]:
    """The network's state dict as it is shipped."""
    unused = unused_layers(network)
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    shipped = {}
    for name, value in network.state_dict().items():
        in_norm = name.rpartition(".")[0] in norms
        value = value.clone() if in_norm or not value.is_floating_point() else value.half()
        # One zero, expanded to the full shape: it takes no space in the file, and load_state_dict copies it everywhere.
        shipped[name] = value.new_zeros(()).expand(value.shape) if name.startswith(unused) else value
    return shipped


@torch.inference_mode()
def car_iou(network: nn.Module, frames: list[Frame]) -> float:
    """Data-set IoU of class car over whole frames, from logits."""
    metric = BinaryJaccardIndex()
    network.eval()
    for image, car in WholeFrames(frames):
        metric.update(network(image[None])[0, 0] > 0, car)
    return metric.compute().item()


def export(model: str, weights: Path, frames: list[Frame], models: Path = MODELS) -> Path:
    """Write the course's file of ``model`` if it scores on ``frames`` what ``weights`` does; ValueError if it does not.

    Also raises ValueError for weights without a training history: the model card needs it.
    """
    if "fast_dev_run" in weights.parts:
        raise ValueError(f"{weights} was trained for two steps, to try the recipe: export what a real run left.")
    recipe = read_recipe(model)
    state = car_only(read_state(weights))
    refuse_not_finite(state, weights)
    stages = lineage_of(weights, model)
    if not stages:
        raise ValueError(f"{weights} holds no training history of {model}: export a weights.pt from the folder runs.")
    encoder = recipe.encoder
    if encoder == batch_norm.NORMALISED:
        encoder = batch_norm.PLAIN  # an earlier course file is folded already
        state = batch_norm.fold(state) if batch_norm.is_inserted(state) else state
    network = load_network(recipe.architecture, encoder, state, outputs=1)
    before = car_iou(network, frames)
    shipped = compress(network)
    refuse_not_finite(shipped, weights)
    network.load_state_dict(shipped)
    after = car_iou(network, frames)
    print(f"{model}: IoU on val {before:.4f} before, {after:.4f} as written ({len(frames)} frames)")
    if abs(before - after) > TOLERANCE:
        raise ValueError(f"{weights}: half precision moves the score of {model} by more than {TOLERANCE}; not written.")
    head = read_lineages(models).get("street_classes")
    if model == "fpn_resnet50" and head and head[-1]["network"] != fingerprint(shipped):
        print(f"{STREET_CLASSES_FILE} belongs to the network that was there before: export street_classes next.")
    return write(models / FILES[model], shipped, model, stages)


def export_street_classes(weights: Path, models: Path = MODELS) -> Path:
    """Write the head for all twelve classes; ValueError if it was not trained on the FPN-ResNet50 in ``models``."""
    saved = read_saved(weights)
    if saved.get("model") != "street_classes":
        raise ValueError(f"{weights} is no head for the street classes: take what the stage street_classes left.")
    state, stages = saved["state_dict"], saved["lineage"]
    refuse_not_finite(state, weights)
    car = models / FILES["fpn_resnet50"]
    network = load_network("fpn", "resnet50", read_state(car), outputs=1)
    if fingerprint(network.state_dict()) != stages[-1]["network"]:
        raise ValueError(
            f"{weights} was trained on another network than {car}: export that one, or train the head again."
        )
    # The car network's lineage lists the earlier stages; this one lists the head's stage only.
    return write(models / STREET_CLASSES_FILE, state, "street_classes", stages[-1:])


def write(target: Path, state: dict[str, torch.Tensor], model: str, stages: list[dict]) -> Path:
    """Put a weight file in its place, and its line into SHA256SUMS and lineage.json beside it."""
    replace(target, lambda partial: torch.save(state, partial))
    write_sums(target.parent)
    lineages = read_lineages(target.parent) | {model: stages}
    write_text(target.parent / "lineage.json", json.dumps(lineages, indent=2) + "\n")
    return target


def refuse_not_finite(state: dict[str, torch.Tensor], weights: Path) -> None:
    bad = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if bad:
        raise ValueError(f"{weights} can't be shipped: {len(bad)} of {len(state)} tensors are not finite ({bad[0]}).")


def write_sums(models: Path) -> None:
    """SHA256SUMS of the weight files, in the form that `sha256sum --check` reads."""
    lines = [f"{digest(file)}  {file.name}\n" for file in sorted(models.glob("*.pt"))]
    write_text(models / "SHA256SUMS", "".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=[*FILES, "street_classes"])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds CamVid")
    arguments = parser.parse_args()
    try:
        if arguments.model == "street_classes":
            print(export_street_classes(arguments.weights))
        else:
            print(export(arguments.model, arguments.weights, list(camvid("val", arguments.data).values())))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
