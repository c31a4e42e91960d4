"""The losses, and what stays as it is."""

import copy

import pytest
import torch

from staff.training.data import CAR, IGNORED
from staff.training.recipes import TaskSettings
from staff.training.task import (
    CAR_OUTPUT,
    OUTPUTS,
    SegmentationTask,
    build_network,
    divergence,
    relative_distance,
    street_loss,
)


def test_the_loss_is_low_for_the_truth_and_ignores_unlabelled_pixels():
    labels = torch.full((1, 16, 16), 3)
    labels[:, 4:8] = CAR
    labels[:, 8:10], labels[:, 10:12] = 11, IGNORED
    right = torch.zeros(1, 13, 16, 16)
    right.scatter_(1, labels.clamp(max=11)[:, None], 20.0)
    right[:, CAR_OUTPUT] = torch.where(labels == CAR, 20.0, -20.0)
    assert street_loss(right, labels) < 1e-3
    ignored = right.clone()
    ignored[:, :, 10:12] = torch.randn(1, 13, 2, 16)
    assert torch.allclose(street_loss(ignored, labels), street_loss(right, labels))
    unlabelled = right.clone()
    unlabelled[:, :CAR_OUTPUT, 8:10] = torch.randn(1, 12, 2, 16)
    assert torch.allclose(street_loss(unlabelled, labels), street_loss(right, labels)), (
        "no class is taught where none is labelled"
    )
    unlabelled[:, CAR_OUTPUT, 8:10] = 20
    assert street_loss(unlabelled, labels) > 0.5, "but a car there is a false alarm"
    assert street_loss(right, torch.full_like(labels, IGNORED)).isfinite()


def test_frozen_layers_and_batch_statistics_stay():
    network = build_network("fpn", "resnet18")
    settings = TaskSettings(encoder_lr=1e-2, lr=1e-2, frozen=("encoder.conv1.",), freeze_batch_norm=True)
    task = SegmentationTask(network, 2, settings)
    assert not network.encoder.conv1.weight.requires_grad and network.encoder.layer1[0].conv1.weight.requires_grad
    network.eval()
    task.on_train_epoch_start()
    assert network.decoder.training
    task.log = lambda *_, **__: None
    before = copy.deepcopy(network.state_dict())
    optimizer = task.configure_optimizers()["optimizer"]
    task.training_step((torch.randn(2, 3, 64, 64), torch.full((2, 64, 64), CAR)), 0).backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("encoder.conv1.") or "running" in name for name in changed)
    assert {"encoder.layer1.0.conv1.weight", "decoder.p2.skip_conv.weight"} <= changed


@pytest.mark.parametrize("imitate", ["pyramid", "logits"])
def test_a_teacher_adds_the_distance_from_what_it_shows(imitate):
    networks = [build_network("fpn", "resnet18").eval() for _ in range(2)]
    batch = torch.randn(1, 3, 64, 64), torch.full((1, 64, 64), CAR)

    def loss(teacher, weight=1.0):
        settings = TaskSettings(encoder_lr=1e-3, lr=1e-3, teacher_weight=weight, imitate=imitate)
        task = SegmentationTask(networks[0], 2, settings, teacher)
        task.log = lambda *_, **__: None
        assert not any(name.startswith("_teacher") for name in task.state_dict())
        return task.training_step(batch, 0)

    untaught = loss(None)
    assert loss(copy.deepcopy(networks[0])).item() == pytest.approx(untaught.item(), abs=1e-5)
    taught = loss(networks[1])
    distance = taught.item() - untaught.item()
    assert distance > 1e-3
    assert loss(networks[1], weight=2.0).item() - untaught.item() == pytest.approx(2 * distance, rel=1e-3)
    taught.backward()
    assert networks[0].decoder.p2.skip_conv.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in networks[1].parameters())
    assert not any(block._forward_pre_hooks for n in networks for block in n.decoder.seg_blocks)


def test_relative_distance_is_one_for_maps_of_zeros():
    targets = [torch.randn(1, 4, 8, 8), 100 * torch.randn(1, 4, 4, 4)]
    assert relative_distance([torch.zeros_like(t) for t in targets], targets) == pytest.approx(1.0, abs=1e-6)


def test_divergence_is_torchs_of_the_classes_and_of_the_car():
    ours, theirs = torch.randn(2, 2, OUTPUTS, 5, 7)

    def kl(distribution, other):
        return torch.distributions.kl_divergence(distribution, other).mean().item()

    classes = [torch.distributions.Categorical(logits=o[:, :CAR_OUTPUT].movedim(1, -1)) for o in (theirs, ours)]
    cars = [torch.distributions.Bernoulli(logits=o[:, CAR_OUTPUT]) for o in (theirs, ours)]
    assert divergence(ours, theirs).item() == pytest.approx(kl(*classes) + kl(*cars), abs=1e-5)
