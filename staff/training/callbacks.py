"""The callbacks of a training: clock, check for values that are not finite, whole checkpoints with their history."""

import math
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from staff import ROOT
from staff.files import replace
from staff.training.recipes import Stage
from staff.training.task import NotFiniteError


class Clock(Timer):
    """Logs the hours trained so far, and stops at the end of the epoch of the deadline.

    The time between an interruption and the next run does not count; that of a paused process does.

    Only at the end of an epoch: a run resumed from that checkpoint gets the same crops and dropout.
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
    """Stops before a checkpoint, the best or the last, is written if a weight is no longer finite."""

    def on_validation_start(self, trainer, pl_module) -> None:
        self.on_train_epoch_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        for name, value in pl_module.network.state_dict().items():
            if not torch.isfinite(value).all():
                raise NotFiniteError(f"{name} is not finite after step {trainer.global_step}.")


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint under another name and renames it. Lightning's own copy may be cut short."""

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        replace(Path(path), lambda partial: torch.save(checkpoint, partial))


class History(lightning.Callback):
    """Stores the training history in each checkpoint. Refuses to resume one that began with other starting weights."""

    def __init__(self, model: str, earlier: list[dict], stage: Stage, start_description: str):
        self.model, self.earlier, self.stage, self.start_description = model, earlier, stage, start_description
        self.provenance = provenance()  # read now: another commit may be checked out during the training

    def metadata(self, trainer: lightning.Trainer) -> dict:
        """The network's name and its lineage, one dictionary a stage."""
        stage = describe(self.stage, self.start_description, trainer) | {"provenance": self.provenance}
        return {"model": self.model, "lineage": [*self.earlier, stage]}

    def on_save_checkpoint(self, trainer, pl_module, checkpoint: dict) -> None:
        checkpoint.update(self.metadata(trainer))

    def on_load_checkpoint(self, trainer, pl_module, checkpoint: dict) -> None:
        *earlier, before = checkpoint["lineage"]
        if earlier != self.earlier:
            raise SystemExit(
                f"The stages before {self.stage.name!r} were trained again since it began: delete the stage's folder, "
                "or name another one as --runs."
            )
        if before["start"] != self.start_description:
            raise SystemExit(
                f"Stage {self.stage.name!r} began with {before['start']}, not with {self.start_description}: "
                "name another folder as --runs."
            )
        if odd := changed_settings(before, self.stage):
            raise SystemExit(
                f"Stage {self.stage.name!r} began with other settings ({odd}), and its checkpoint keeps them: delete "
                "the stage's folder, or name another one as --runs."
            )
        folder = Path(trainer.checkpoint_callback.dirpath)
        kept = [state["dirpath"] for state in checkpoint["callbacks"].values() if "dirpath" in state]
        if not all(Path(path) == folder for path in kept):
            raise SystemExit(f"{folder} was moved from {kept[0]}, and its checkpoints look there: move it back.")


def changed_settings(before: dict, stage: Stage) -> str:
    """The names of the settings that differ from a stage's description."""
    now = stage.model_dump(mode="json")
    return ", ".join(key for key in now if now[key] != before.get("settings", now).get(key))


def warm_average(average: torch.Tensor, current: torch.Tensor, updates: torch.Tensor | int) -> torch.Tensor:
    """Exponential moving average whose memory grows with the run, so that it soon forgets the first, poor weights."""
    decay = min(0.995, (1 + int(updates)) / (10 + int(updates)))
    return torch.lerp(current, average, decay) if average.is_floating_point() else current


def describe(stage: Stage, start_description: str, trainer: lightning.Trainer) -> dict:
    """The description of a stage for the model card."""
    score, data = trainer.checkpoint_callback.best_model_score, trainer.datamodule
    (clock,) = (callback for callback in trainer.callbacks if isinstance(callback, Clock))
    return {
        "stage": stage.name,
        "start": start_description,
        "steps": trainer.global_step,
        "batch_size": stage.batch_size,
        "mix": stage.sampling.mix,
        "include_val": stage.sampling.include_val,
        "settings": stage.model_dump(mode="json"),
        "hours": round(clock.hours(), 2),
        "machine": machine(trainer),
        "val_iou": None if score is None else round(score.item(), 4),
        "val_frames": 0 if score is None else len(data.val_dataloader()[0].dataset),
    }


def machine(trainer: lightning.Trainer) -> str:
    """The machine, for the model card."""
    kind = trainer.strategy.root_device.type
    if kind != "cpu":
        return f"{trainer.world_size} × {kind}"
    return cpu_threads(torch.get_num_threads() * trainer.world_size)


def cpu_threads(number: int) -> str:
    return f"{number} CPU thread{'s' * (number > 1)}"


def provenance() -> dict[str, str]:
    """Versions and commit, kept with the description of a stage."""
    packages = ("torch", "lightning", "segmentation-models-pytorch", "albumentations")
    return {name: version(name) for name in packages} | {"commit": commit()}


def commit() -> str:
    """The commit that is checked out; "unknown" without git or outside a repository."""
    try:
        git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return git.stdout.strip() or "unknown"
