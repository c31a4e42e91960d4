"""The twelve classes: their scores against torchmetrics, and the head that is trained for them."""

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics.classification import MulticlassJaccardIndex

import utils
from staff import classes
from staff.training import export as export_module
from staff.training import street_classes
from staff.training.data import UNLABELLED, camvid
from staff.training.recipes import HeadTraining
from staff.training.street_classes import Features, class_weights, compute_features, train_head
from staff.training.task import NotFiniteError, build_network
from staff.training.weight_files import fingerprint, save_weights


class Painter(nn.Module):
    """A stand-in for a network: says a class by where a pixel is, whatever the image shows."""

    def __init__(self, answers: torch.Tensor):
        super().__init__()
        self.answers, self.scale = answers, nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2] % 32 == 0 and x.shape[3] % 32 == 0
        logits = torch.zeros(1, 12, *x.shape[2:])
        height, width = self.answers.shape
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        inside = nn.functional.one_hot(self.answers, 12).permute(2, 0, 1).float()
        logits[0, :, top : top + height, left : left + width] = inside
        return logits


def test_class_scores_are_those_of_torchmetrics(data):
    images, masks = data / "CamVid" / "val", data / "CamVid" / "valannot"
    answers = torch.randint(0, 11, (80, 96), generator=torch.Generator().manual_seed(0))
    answers[30:60, 20:50] = 8
    matrix = classes.confusion_matrix(Painter(answers), images, masks)
    metric = MulticlassJaccardIndex(12, average=None, ignore_index=UNLABELLED)
    for _, labels in camvid("val", data).values():
        metric.update(answers[None], torch.from_numpy(labels)[None].long())
    expected = metric.compute()[:UNLABELLED].numpy()
    present = np.isfinite(classes.class_ious(matrix))
    assert classes.class_ious(matrix)[present] == pytest.approx(expected[present], abs=1e-6)
    labelled = sum((labels != UNLABELLED).sum() for _, labels in camvid("val", data).values())
    assert matrix.sum() == labelled, "unlabelled pixels and padding count for nothing"
    report = classes.report(matrix)
    assert f"{expected[8]:.3f}" in report and f"{np.nanmean(classes.class_ious(matrix)):.3f}" in report


def test_a_class_that_is_not_there_has_no_iou():
    matrix = np.zeros((12, 12), int)
    matrix[3, 3], matrix[3, 8] = 6, 2
    ious = classes.class_ious(matrix)
    assert ious[3] == 0.75 and ious[8] == 0 and np.isnan(ious[0]) and len(ious) == 11
    assert "of 2 classes" in classes.report(matrix)


def separable(frames: int = 6) -> Features:
    """Maps in which each of three classes has a channel of its own; class 6 is rare."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.full((frames, 32, 32), 3, dtype=torch.uint8)
    labels[:, :, 16:], labels[:, :4, :4], labels[:, 28:] = 8, 6, UNLABELLED
    maps = 0.1 * torch.randn(frames, street_classes.CHANNELS, 8, 8, generator=generator)
    for label in (3, 6, 8):
        maps[:, label] += (labels[:, 1::4, 1::4] == label).float()
    return Features(maps.half(), labels)


def test_the_head_learns_classes_and_never_says_unlabelled():
    features = separable()
    head = train_head(features, HeadTraining(epochs=30, lovasz_epochs=10, batch_size=3, lr=0.1))
    ious = classes.class_ious(street_classes.confusion(head, features))
    assert ious[3] > 0.8 and ious[8] > 0.8 and ious[6] > 0.3
    with torch.inference_mode():
        probability = street_classes.decode(head, features.maps).softmax(1)
    assert probability.shape == (6, 12, 32, 32) and probability[:, UNLABELLED].max() == 0


def test_rare_classes_weigh_more_and_missing_ones_nothing():
    labels = torch.tensor([3] * 90 + [6] * 10 + [UNLABELLED] * 50)
    weights = class_weights(labels, 0.5)
    assert weights[6] / weights[3] == pytest.approx(3.0, rel=1e-5)
    assert weights[0] == 0 and weights[UNLABELLED] == 0
    assert set(class_weights(labels, 0.0)[[3, 6]].tolist()) == {1.0}


def test_a_rate_that_ruins_the_head_stops_it():
    with pytest.raises(NotFiniteError, match="street_classes: lower its lr"):
        train_head(separable(), HeadTraining(epochs=4, lr=1e30))


def test_features_are_the_decoders_and_padding_has_no_label(data):
    network = build_network("fpn", "resnet18").eval()
    frames = list(camvid("val", data).values())[:2]
    features = compute_features(network, frames, flips=True)
    assert features.maps.shape == (4, 128, 24, 24) and features.maps.dtype == torch.float16
    assert (features.labels[0, :8] == UNLABELLED).all() and (features.labels[0, 88:] == UNLABELLED).all()
    assert torch.equal(features.labels[0].flip(1), features.labels[1])
    prepare = utils.get_preprocessing_fn("resnet50")
    image = torch.from_numpy(prepare(frames[0][0])).permute(2, 0, 1)[None].float()
    padded = nn.functional.pad(image, (0, 0, 8, 8), mode="reflect")
    with torch.inference_mode():
        expected = network(padded)
        got = network.segmentation_head(features.maps[:1].float())
    torch.testing.assert_close(got, expected, rtol=0.02, atol=0.02)


def car_network(network: nn.Module) -> nn.Module:
    shipped = build_network("fpn", "resnet50", outputs=1)
    shipped.load_state_dict(export_module.car_only(network.state_dict()))
    return shipped


@pytest.mark.slow
def test_the_head_goes_with_the_network_it_was_trained_on(tmp_path, data):
    torch.manual_seed(0)
    network = build_network("fpn", "resnet50")
    weights = tmp_path / "runs" / "all" / "weights.pt"
    save_weights(network, weights, "fpn_resnet50", [{"stage": "all"}])
    head = tmp_path / "runs" / "street_classes" / "weights.pt"
    street_classes.run_street_classes(weights, head, HeadTraining(epochs=1, lovasz_epochs=1), data)
    models = tmp_path / "models"
    models.mkdir()
    car = models / export_module.FILES["fpn_resnet50"]
    torch.save(export_module.compress(car_network(network)), car)
    target = export_module.export_street_classes(head, models)
    state = torch.load(target, weights_only=True)
    assert {name: tuple(value.shape) for name, value in state.items()} == {"weight": (12, 128, 1, 1), "bias": (12,)}
    assert target.stat().st_size < 10_000 and target.name in (models / "SHA256SUMS").read_text()
    (stage,) = export_module.read_lineages(models)["street_classes"]
    assert stage["frames"] == 8 and 0 <= stage["val_mean_iou"] <= 1

    torch.nn.init.ones_(network.encoder.conv1.weight)
    torch.save(export_module.compress(car_network(network)), car)
    with pytest.raises(ValueError, match="trained on another network"):
        export_module.export_street_classes(head, models)
    with pytest.raises(ValueError, match="no head for the street classes"):
        export_module.export_street_classes(weights, models)


@pytest.mark.slow
def test_the_shipped_head_was_trained_on_the_shipped_network():
    import student_code

    (stage,) = export_module.read_lineages(export_module.MODELS)["street_classes"]
    assert stage["network"] == fingerprint(student_code.load_FPN_resnet50().state_dict())
