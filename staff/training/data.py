"""The training data: CamVid, LabelMeFacade and rendered scenes, as augmented crops; CamVid's val split as whole frames.

Labels are CamVid's twelve ids. UNLABELLED counts as "not car", as it does when the models are scored. IGNORED counts as
nothing at all: LabelMeFacade's unlabelled pixels, in which cars may hide.
"""

from functools import cache
from pathlib import Path

import albumentations as A
import cv2
import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import utils
from data.render_street import SAMPLE_SEEDS, render
from staff import ROOT
from staff.classes import UNLABELLED
from staff.training.recipes import Sampling

DATA = ROOT / "data"

CAR, IGNORED = utils.CLASSES.index("car"), 255
RENDERED_POOL = 256
Frame = tuple[np.ndarray, np.ndarray]


def read_frames(images: Path, masks: Path) -> dict[str, Frame]:
    """Name -> (H×W×3 uint8, H×W uint8 ids), held in memory. Raises OSError or ValueError that names the file."""
    for folder in (images, masks):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder: `make train-data` fetches all training data.")
    dataset = utils.Dataset(images, masks)
    pairs = [(image, mask.argmax(-1).astype(np.uint8)) for image, mask in dataset]
    return dict(zip(dataset.names, pairs, strict=True))


@cache
def camvid(split: str, data: Path = DATA) -> dict[str, Frame]:
    """The frames of one split."""
    return read_frames(data / "CamVid" / split, data / "CamVid" / f"{split}annot")


@cache
def labelmefacade(data: Path = DATA) -> list[Frame]:
    """The street photographs; their unlabelled pixels are ignored."""
    folder = data / "LabelMeFacade"
    if (folder / "original").exists():
        raise ValueError(f"{folder} holds only some of the photographs: `make train-data` prepares the others.")
    frames = read_frames(folder / "images", folder / "annot").values()
    return [(image, np.where(labels == UNLABELLED, np.uint8(IGNORED), labels)) for image, labels in frames]


@cache
def rendered(index: int) -> Frame:
    """One of ``RENDERED_POOL`` scenes, none of them a scene of the sample."""
    image, labels = render(max(SAMPLE_SEEDS.values()) + 1 + index)
    return image, labels


class StreetCrops(Dataset):
    """Random crops, but reproducible: crop ``i`` of epoch ``e`` is the same in every run and on every machine.

    ``photographs`` takes the place of LabelMeFacade's frames as they are on disk.
    """

    def __init__(
        self, sampling: Sampling, length: int, seed: int, data: Path = DATA, photographs: list[Frame] | None = None
    ):
        self.sampling, self.length, self.seed = sampling, length, seed
        self.photographs = photographs
        self.sources = self._sources(data)
        self.transform = get_training_transform(sampling)

    def _sources(self, data: Path) -> dict[str, list[Frame] | range]:
        sources: dict[str, list[Frame] | range] = {}
        for name in self.sampling.mix:
            dataset, _, drive = name.partition("/")
            if dataset == "camvid":
                sources[name] = self._camvid_frames(data, drive)
            elif name == "labelmefacade":
                sources[name] = self.photographs or labelmefacade(data)
            else:
                sources[name] = range(RENDERED_POOL)
        return sources

    def _camvid_frames(self, data: Path, drive: str) -> list[Frame]:
        held = self.sampling.hold_out
        splits = ("train", "val") if self.sampling.include_val else ("train",)
        named = [pair for split in splits for pair in camvid(split, data).items()]
        if held and not any(name.startswith(held) for name, _ in named):
            raise ValueError(f"hold_out: no frame of CamVid's training data begins with {held!r}.")
        frames = [f for name, f in named if name.startswith(drive) and not (held and name.startswith(held))]
        if not frames:
            raise ValueError(f"mix: no frame of CamVid's training data begins with {drive!r}, or all are held out.")
        return frames

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not 0 <= index < self.length:
            raise IndexError(f"crop {index} of {self.length}")
        rng = np.random.default_rng([self.seed, index])
        shares = np.array(list(self.sampling.mix.values()))
        source = list(self.sources.values())[rng.choice(len(shares), p=shares / shares.sum())]
        image, labels = draw(source, rng)
        if rng.random() < self.sampling.paste:
            image, labels = paste_cars(image, labels, *draw(source, rng), flip=rng.random() < 0.5)
        self.transform.set_random_seed(int(rng.integers(2**31)))
        crop = self.transform(image=image, mask=labels)
        return crop["image"], crop["mask"].long()


def centre(inner: tuple[int, ...], outer: tuple[int, ...]) -> tuple[slice, slice]:
    """Where a frame of height and width ``inner`` lies in one that `WholeFrames` has padded to ``outer``."""
    top, left = ((large - small) // 2 for small, large in zip(inner, outer, strict=True))
    return slice(top, top + inner[0]), slice(left, left + inner[1])


def draw(source: list[Frame] | range, rng: np.random.Generator) -> Frame:
    frame = source[rng.integers(len(source))]
    return frame if isinstance(frame, tuple) else rendered(frame)


def paste_cars(image: np.ndarray, labels: np.ndarray, donor: np.ndarray, donor_labels: np.ndarray, flip: bool) -> Frame:
    """A copy of the frame with the donor's cars where the donor has them: the drives share one camera's perspective.

    After "simple copy-paste" (Ghiasi et al., CVPR 2021).
    """
    if flip:
        donor, donor_labels = donor[:, ::-1], donor_labels[:, ::-1]
    size = labels.shape[::-1]
    donor = cv2.resize(np.ascontiguousarray(donor), size, interpolation=cv2.INTER_LINEAR)
    donor_labels = cv2.resize(np.ascontiguousarray(donor_labels), size, interpolation=cv2.INTER_NEAREST_EXACT)
    car = donor_labels == CAR
    return np.where(car[..., None], donor, image), np.where(car, donor_labels, labels)


def get_training_transform(sampling: Sampling) -> A.Compose:
    """Scale, crop and flip, then strong changes of light, colour, sharpness and noise.

    Labels are scaled by ``INTER_NEAREST_EXACT``: plain ``INTER_NEAREST`` lays them up to half a pixel beside the image.
    """
    height, width = sampling.crop
    lowest, highest = sampling.scales
    everything_but_car = [label for label in range(256) if label != CAR]
    return A.Compose(
        [
            A.RandomScale((lowest - 1, highest - 1), mask_interpolation=cv2.INTER_NEAREST_EXACT, p=1),
            A.PadIfNeeded(height, width, border_mode=cv2.BORDER_REFLECT_101),
            A.OneOf(
                [
                    A.CropNonEmptyMaskIfExists(height, width, everything_but_car, p=sampling.car_centred),
                    A.RandomCrop(height, width, p=1 - sampling.car_centred),
                ],
                p=1,
            ),
            A.HorizontalFlip(p=0.5),
            A.RandomGamma(gamma_limit=(60, 160), p=0.4),
            A.ColorJitter(brightness=(0.45, 1.4), contrast=(0.7, 1.3), saturation=(0.5, 1.4), hue=(-0.03, 0.03), p=0.8),
            A.OneOf([A.PlanckianJitter(), A.RGBShift(15, 15, 15)], p=0.3),
            A.OneOf([A.RandomToneCurve(scale=0.2), A.RandomFog(fog_coef_range=(0.1, 0.3)), A.CLAHE(2)], p=0.15),
            A.OneOf([A.GaussianBlur((3, 5)), A.MotionBlur((3, 5)), A.Sharpen()], p=0.25),
            A.OneOf(
                [A.GaussNoise(std_range=(0.01, 0.04)), A.ISONoise(), A.ImageCompression(quality_range=(50, 95))], p=0.25
            ),
            A.Normalize(),
            A.ToTensorV2(),
        ]
    )


class WholeFrames(Dataset):
    """Frames padded to a multiple of 32 by mirroring, as the notebook and `applyIoU` see them."""

    def __init__(self, frames: list[Frame]):
        self.frames = frames
        self.transform = A.Compose(
            [
                A.PadIfNeeded(
                    None, None, pad_height_divisor=32, pad_width_divisor=32, border_mode=cv2.BORDER_REFLECT_101
                ),
                A.Normalize(),
                A.ToTensorV2(),
            ]
        )

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, labels = self.frames[index]
        padded = self.transform(image=image, mask=labels)
        return padded["image"], padded["mask"] == CAR


class StreetData(lightning.LightningDataModule):
    """Crops for training; val and, if there is one, the held-out drive for validation."""

    def __init__(
        self,
        sampling: Sampling,
        batch_size: int,
        steps_per_epoch: int,
        seed: int,
        data: Path = DATA,
        photographs: list[Frame] | None = None,
    ):
        super().__init__()
        self.photographs = photographs
        self.sampling, self.batch_size, self.steps_per_epoch = sampling, batch_size, steps_per_epoch
        self.seed, self.data = seed, data

    def train_dataloader(self) -> DataLoader:
        # Rebuilt every epoch: the seed moves on with the steps, so a resumed run sees the crops it would have seen.
        length = self.steps_per_epoch * self.batch_size * self.trainer.world_size
        crops = StreetCrops(self.sampling, length, self.seed + self.trainer.global_step, self.data, self.photographs)
        return DataLoader(crops, self.batch_size, drop_last=True)

    def val_dataloader(self) -> list[DataLoader]:
        held = self.sampling.hold_out
        drives = [list(camvid("val", self.data).values())]
        if held:
            drives.append([frame for name, frame in camvid("train", self.data).items() if name.startswith(held)])
        return [DataLoader(WholeFrames(frames)) for frames in drives]
