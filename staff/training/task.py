"""The training task: losses for the eleven street classes and, as the last of thirteen outputs, for the car."""

from collections.abc import Iterator
from contextlib import contextmanager

import lightning
import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.losses import DiceLoss, SoftBCEWithLogitsLoss
from torch import nn
from torchmetrics.classification import BinaryJaccardIndex

from staff.training.data import CAR, IGNORED, UNLABELLED
from staff.training.recipes import TaskSettings

CAR_OUTPUT = 12
OUTPUTS = 13


def build_network(architecture: str, encoder: str, outputs: int = OUTPUTS) -> nn.Module:
    """The network without its last activation and without any download."""
    return smp.create_model(architecture, encoder, encoder_weights=None, classes=outputs)


def load_network(architecture: str, encoder: str, state: dict[str, torch.Tensor], outputs: int = OUTPUTS) -> nn.Module:
    """The network with a copy of the weights of ``state`` in float32.

    Drawing random weights first would take longer than all the rest, above all for VGG-19.
    """
    with torch.device("meta"):
        network = build_network(architecture, encoder, outputs)
    network = network.to_empty(device="cpu")
    network.load_state_dict(state)
    return network


def street_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over the eleven classes, plus binary cross-entropy and Dice on the car output.

    N×13×H×W logits and N×H×W int64 labels (0..11 or IGNORED) -> scalar. Pixels without a label teach no class. Eleven
    classes give the encoder far more to learn from than the car alone; only the car output is shipped.
    """
    classes = labels.masked_fill(labels == UNLABELLED, IGNORED)
    car = (labels == CAR).float().masked_fill(labels == IGNORED, IGNORED)[:, None]
    # Not reduction="mean": that is NaN where no pixel has a label.
    loss = nn.functional.cross_entropy(logits[:, :CAR_OUTPUT], classes, ignore_index=IGNORED, reduction="sum")
    loss = loss / (classes != IGNORED).sum().clamp(min=1)
    car_terms = SoftBCEWithLogitsLoss(ignore_index=IGNORED), DiceLoss("binary", ignore_index=IGNORED)
    return loss + sum(term(logits[:, CAR_OUTPUT:], car) for term in car_terms)


@contextmanager
def record_pyramid(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Collects the FPN's four 256-channel maps p5, p4, p3, p2 of the forward passes made inside."""
    maps: list[torch.Tensor] = []
    hooks = [
        block.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
        for block in network.decoder.seg_blocks
    ]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def relative_distance(maps: list[torch.Tensor], targets: list[torch.Tensor]) -> torch.Tensor:
    """Mean over the maps of the squared distance from a teacher's, relative to the teacher's mean square."""
    pairs = list(zip(maps, targets, strict=True))
    return sum(nn.functional.mse_loss(ours, theirs) / theirs.square().mean() for ours, theirs in pairs) / len(pairs)


def divergence(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over pixels of the Kullback-Leibler divergences from a teacher's classes and from its car, both N×13×H×W.

    Source: Hinton et al., *Distilling the Knowledge in a Neural Network*, 2015, at temperature 1.
    """

    def distributions(outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        classes, car = outputs.float().split([CAR_OUTPUT, 1], dim=1)
        return classes.log_softmax(1), nn.functional.logsigmoid(torch.cat([car, -car], 1))

    pairs = zip(distributions(logits), distributions(targets), strict=True)
    terms = (nn.functional.kl_div(ours, theirs, reduction="none", log_target=True) for ours, theirs in pairs)
    return sum(term.sum(1).mean() for term in terms)


class NotFiniteError(RuntimeError):
    """The loss or a weight became infinite or NaN."""


def fast_channels_last() -> bool:
    """Whether the memory format channels-last is the faster one: measured so on GPUs and AVX-512, not on AVX2."""
    return torch.cuda.is_available() or torch.backends.cpu.get_cpu_capability() == "AVX512"


DISTANCES = {"pyramid": relative_distance, "logits": divergence}


class SegmentationTask(lightning.LightningModule):
    """Trains ``network`` for ``steps`` on batches of (image, labels), and to imitate a teacher if there is one."""

    def __init__(self, network: nn.Module, steps: int, settings: TaskSettings, teacher: nn.Module | None = None):
        super().__init__()
        self.steps, self.settings = steps, settings
        self.channels_last = fast_channels_last() if settings.channels_last is None else settings.channels_last
        self.network = network.to(memory_format=torch.channels_last) if self.channels_last else network
        # In a list, so that the teacher is neither saved in checkpoints nor averaged with the network.
        self._teacher = [teacher.eval().requires_grad_(False)] if teacher else []
        self.val_iou = nn.ModuleList([BinaryJaccardIndex(), BinaryJaccardIndex()])
        for name, parameter in network.named_parameters():
            if name.startswith(settings.frozen):
                parameter.requires_grad_(False)

    def on_train_epoch_start(self) -> None:
        # The Trainer leaves the mode of the modules alone after a validation, so it is set here.
        self.network.train()
        if self.settings.freeze_batch_norm:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def on_train_batch_start(self, *_) -> None:
        # Reseed before every batch, so that a resumed run repeats the same dropout. (Once an epoch is not enough: the
        # Trainer draws numbers of its own there.)
        torch.manual_seed(1000 * self.global_step + self.global_rank)

    def _arrange(self, images: torch.Tensor) -> torch.Tensor:
        return images.to(memory_format=torch.channels_last) if self.channels_last else images

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        images, labels = batch
        images = self._arrange(images)
        logits, shown = self._outputs(self.network, images)
        loss = street_loss(logits, labels)
        if self._teacher:
            with torch.no_grad():
                _, target = self._outputs(self._teacher[0].to(images.device), images)
            distance = DISTANCES[self.settings.imitate](shown, target)
            self.log("teacher_distance", distance, on_step=False, on_epoch=True)
            loss = loss + self.settings.teacher_weight * distance
        if not torch.isfinite(loss):
            raise NotFiniteError(f"The loss is {loss.item()} at step {self.global_step + 1}.")
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=False)
        return loss

    def _outputs(
        self, network: nn.Module, images: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | list[torch.Tensor] | None]:
        """The logits, and what is compared with the teacher: nothing without one, the logits, or the pyramid maps."""
        if not self._teacher:
            return network(images), None
        if self.settings.imitate == "logits":
            logits = network(images)
            return logits, logits
        with record_pyramid(network) as maps:
            return network(images), maps

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int, dataloader_idx: int = 0) -> None:
        images, car = batch
        logits = self.network(self._arrange(images))[:, CAR_OUTPUT]
        name = ("val_iou", "drive_iou")[dataloader_idx]
        metric = self.val_iou[dataloader_idx]
        metric.update(logits > 0, car)
        self.log(name, metric, prog_bar=True, add_dataloader_idx=False, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> dict:
        encoder = [p for p in self.network.encoder.parameters() if p.requires_grad]
        known = {id(p) for p in encoder}
        rest = [p for p in self.network.parameters() if p.requires_grad and id(p) not in known]
        groups = [{"params": encoder, "lr": self.settings.encoder_lr}, {"params": rest, "lr": self.settings.lr}]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=self.settings.weight_decay)
        warmup = min(self.settings.warmup, max(1, self.steps // 10))
        schedule = torch.optim.lr_scheduler.SequentialLR(
            optimizer,
            [
                torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, total_iters=warmup),
                torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.steps - warmup)),
            ],
            milestones=[warmup],
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
