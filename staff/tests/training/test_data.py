"""The sources, and the crops drawn from them."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from staff.training.data import (
    CAR,
    IGNORED,
    StreetCrops,
    StreetData,
    WholeFrames,
    camvid,
    get_training_transform,
    labelmefacade,
    paste_cars,
)
from staff.training.label_check import ignore_doubtful
from staff.training.recipes import Sampling
from staff.training.task import CAR_OUTPUT, OUTPUTS


def test_crops_are_the_same_for_the_same_seed_and_only_then(data):
    sampling = Sampling(crop=(64, 64), mix={"camvid": 0.5, "rendered": 0.5})
    image, labels = StreetCrops(sampling, 8, seed=1, data=data)[3]
    again, _ = StreetCrops(sampling, 8, seed=1, data=data)[3]
    other, _ = StreetCrops(sampling, 8, seed=2, data=data)[3]
    assert image.shape == (3, 64, 64) and image.dtype == torch.float32
    assert labels.shape == (64, 64) and labels.dtype == torch.int64
    assert torch.equal(image, again) and not torch.equal(image, other)


def test_every_epoch_draws_new_crops(data):
    street = StreetData(Sampling(crop=(64, 64)), batch_size=1, steps_per_epoch=2, seed=0, data=data)
    epochs = []
    for step in (0, 2):
        street.trainer = SimpleNamespace(world_size=1, global_step=step)
        epochs.append(street.train_dataloader().dataset[0][0])
    assert not torch.equal(*epochs)


def test_centred_crops_hold_a_car_and_the_mask_follows_the_image(data):
    crops = StreetCrops(Sampling(crop=(32, 32), scales=(1, 1.0001), car_centred=1), 12, seed=0, data=data)
    agreement = []
    for image, labels in crops:
        assert (labels == CAR).any()
        if (labels == 3).any():
            car, road = (image[:, labels == label].median(dim=1).values for label in (CAR, 3))
            channel = (car - road).abs().argmax()
            looks_like_car = (image[channel] > (car + road)[channel] / 2) == (car > road)[channel]
            agreement.append((looks_like_car == (labels == CAR)).float().mean().item())
    # Noise may hide the colour in one crop, but not in most of them.
    assert np.median(agreement) > 0.9


@pytest.mark.parametrize("scale", [0.7, 1.3, 1.6])
def test_labels_stay_on_the_image_when_both_are_scaled(scale):
    labels = np.zeros((48, 64), np.uint8)
    labels[13:31] = CAR
    image = np.repeat(labels[..., None] // CAR * 255, 3, axis=2)
    scaled = get_training_transform(Sampling(scales=(scale, scale)))[0](image=image, mask=labels)
    nothing = np.zeros_like(scaled["image"])
    for shown, labels_now in [scaled.values(), paste_cars(nothing, nothing[..., 0], image, labels, flip=False)]:
        assert len(shown) == pytest.approx(48 * scale, abs=1)
        assert np.array_equal(shown[..., 0] > 127, labels_now == CAR)


def test_pasted_cars_bring_their_pixels_and_their_labels(data):
    image, labels = np.full((8, 10, 3), 50, np.uint8), np.full((8, 10), 3, np.uint8)
    donor, donor_labels = np.full((16, 20, 3), 200, np.uint8), np.full((16, 20), 1, np.uint8)
    donor_labels[4:8, :6] = CAR
    pasted, pasted_labels = paste_cars(image, labels, donor, donor_labels, flip=False)
    car = np.zeros((8, 10), bool)
    car[2:4, :3] = True
    assert np.array_equal(pasted_labels, np.where(car, CAR, 3))
    assert (pasted == np.where(car[..., None], 200, 50)).all()
    _, mirrored = paste_cars(image, labels, donor, donor_labels, flip=True)
    assert np.array_equal(mirrored, pasted_labels[:, ::-1])
    assert (image == 50).all() and (labels == 3).all()

    still = Sampling(crop=(64, 64), scales=(1, 1.0001), car_centred=0)
    share = [
        np.mean([(labels == CAR).float().mean().item() for _, labels in StreetCrops(sampling, 24, 0, data)])
        for sampling in (still, still.model_copy(update={"paste": 1.0}))
    ]
    assert share[1] > 1.1 * share[0]


def test_a_held_out_drive_is_neither_trained_on_nor_missing_from_validation(data):
    sampling = Sampling(hold_out="drive", crop=(64, 64))
    assert len(StreetCrops(sampling, 1, 0, data).sources["camvid"]) == 2
    assert len(StreetCrops(Sampling(include_val=True), 1, 0, data).sources["camvid"]) == 8
    street = StreetData(sampling, batch_size=1, steps_per_epoch=1, seed=0, data=data)
    val, drive = street.val_dataloader()
    held = [WholeFrames([frame])[0][0] for name, frame in camvid("train", data).items() if name.startswith("drive")]
    assert len(val.dataset) == 4 and torch.equal(drive.dataset[0][0], held[0])


def test_a_drive_can_be_a_source_of_its_own(data):
    sources = StreetCrops(Sampling(mix={"camvid": 0.5, "camvid/drive": 0.5}), 1, 0, data).sources
    of_the_drive = {name: frame for name, frame in camvid("train", data).items() if name.startswith("drive")}
    assert [id(frame) for frame in sources["camvid/drive"]] == [id(frame) for frame in of_the_drive.values()]
    assert len(sources["camvid"]) == 4


def test_photographs_ignore_what_is_unlabelled(tmp_path):
    folder = tmp_path / "LabelMeFacade"
    labels = np.array([[CAR, CAR, 11, 3, 3]], np.uint8).repeat(8, 0)
    pictures = {"images/a.jpg": np.zeros((8, 5, 3), np.uint8), "annot/a.png": labels}
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / name), picture)
    ((_, read),) = labelmefacade(tmp_path)
    assert read[0].tolist() == [CAR, CAR, IGNORED, 3, 3]


def test_labels_that_a_network_contradicts_are_ignored():
    labels = np.array([[CAR, CAR, CAR, 3, 3, 3, IGNORED]], np.uint8).repeat(40, 0)
    probability = torch.tensor([0.9, 0.5, 0.1, 0.9, 0.5, 0.1, 0.9])

    class Network(nn.Module):
        def forward(self, x):
            logits = torch.zeros(1, OUTPUTS, *x.shape[2:])
            left = (x.shape[3] - 7) // 2
            logits[:, CAR_OUTPUT, :, left : left + 7] = probability.logit()
            return logits

    ((_, checked),) = ignore_doubtful([(np.zeros((40, 7, 3), np.uint8), labels)], Network())
    assert (checked == [CAR, CAR, IGNORED, IGNORED, 3, 3, IGNORED]).all()
    assert (labels[0] == [CAR, CAR, CAR, 3, 3, 3, IGNORED]).all()


def test_missing_data_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train is not a folder: `make train-data`"):
        camvid("train", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"images is not a folder: `make train-data`"):
        labelmefacade(tmp_path)
    (tmp_path / "LabelMeFacade" / "original").mkdir(parents=True)
    with pytest.raises(ValueError, match="only some of the photographs"):
        labelmefacade(tmp_path)


def test_whole_frames_are_padded_by_mirroring():
    image = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)
    labels = np.zeros((40, 50), np.uint8)
    labels[1] = CAR
    padded, car = WholeFrames([(image, labels)])[0]
    assert padded.shape == (3, 64, 64)
    top = (64 - 40) // 2
    assert car[top + 1].all() and car[top - 1].all() and not car[top].any()
