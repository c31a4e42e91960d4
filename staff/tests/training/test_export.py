"""From a trained stage to a weight file of the course."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from staff.models import FILES
from staff.training import batch_norm, weight_files
from staff.training import export as export_module
from staff.training.data import WholeFrames, camvid
from staff.training.task import CAR_OUTPUT, build_network, load_network
from staff.training.weight_files import save_weights

pytestmark = pytest.mark.slow


def test_export_folds_batch_normalisation(tmp_path, data, monkeypatch, plain_vgg):
    monkeypatch.setattr(export_module, "read_recipe", lambda _: SimpleNamespace(architecture="fpn", encoder="vgg19_bn"))
    frames = list(camvid("val", data).values())[:1]
    images = torch.stack([image for image, _ in WholeFrames(frames)])
    network = load_network("fpn", "vgg19_bn", batch_norm.insert(plain_vgg.state_dict(), images))
    save_weights(network, tmp_path / "weights.pt", "fpn_vgg19", [{"stage": "only"}])
    shipped = torch.load(
        export_module.export("fpn_vgg19", tmp_path / "weights.pt", frames, tmp_path), weights_only=True
    )
    assert export_module.export("fpn_vgg19", tmp_path / FILES["fpn_vgg19"], frames, tmp_path), "once more"
    course = load_network("fpn", "vgg19", shipped, outputs=1).eval()
    with torch.inference_mode():
        expected, got = network.eval()(images)[:, CAR_OUTPUT:], course(images)
    torch.testing.assert_close(got / expected.std(), expected / expected.std(), rtol=0.02, atol=0.02)
    assert {value.dtype for value in shipped.values() if value.ndim == 4} == {torch.float16}


def test_a_course_file_knows_its_lineage_by_the_list_beside_it(tmp_path):
    (tmp_path / "lineage.json").write_text(json.dumps({"fpn_vgg19": [{"stage": "first"}]}))
    for name in FILES.values():
        (tmp_path / name).write_bytes(b"")
    assert weight_files.lineage_of(tmp_path / FILES["fpn_vgg19"], "fpn_vgg19") == [{"stage": "first"}]
    assert weight_files.lineage_of(tmp_path / FILES["fpn_resnet50"], "fpn_resnet50") == []
    assert weight_files.lineage_of(Path("imagenet"), "fpn_resnet50") == []
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert weight_files.lineage_of(tmp_path / "old.pth", "fpn_resnet50") == []


def test_export_keeps_the_scores_and_halves_the_file(tmp_path, data, monkeypatch):
    recipe = SimpleNamespace(architecture="pspnet", encoder="resnet50")
    monkeypatch.setattr(export_module, "read_recipe", lambda _: recipe)
    torch.manual_seed(0)
    network = build_network("pspnet", "resnet50")
    weights = tmp_path / "weights.pt"
    save_weights(network, weights, "pspnet_resnet50", [{"stage": "only", "hours": 1.0}])
    frames = list(camvid("val", data).values())[:2]
    target = export_module.export("pspnet_resnet50", weights, frames, tmp_path)
    shipped = torch.load(target, weights_only=True)
    assert shipped["segmentation_head.0.weight"].shape[0] == 1
    assert torch.equal(shipped["segmentation_head.0.weight"][0], network.segmentation_head[0].weight[CAR_OUTPUT].half())
    assert shipped["encoder.conv1.weight"].dtype == torch.float16
    assert shipped["encoder.bn1.running_var"].dtype == torch.float32
    assert not shipped["encoder.layer4.0.conv1.weight"].any() and shipped["encoder.layer2.0.conv1.weight"].any()
    assert json.loads((tmp_path / "lineage.json").read_text())["pspnet_resnet50"][0]["hours"] == 1.0
    assert target.stat().st_size < 6e6, "zeros take no room"
    course = load_network("pspnet", "resnet50", shipped, outputs=1)
    assert not course.encoder.layer4[0].conv1.weight.any() and course.encoder.layer4[0].conv1.weight.is_contiguous()
    for line in (tmp_path / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


def test_export_writes_nothing_where_the_score_would_change(tmp_path, data, monkeypatch):
    recipe = SimpleNamespace(architecture="fpn", encoder="resnet18")
    monkeypatch.setattr(export_module, "read_recipe", lambda _: recipe)
    scores = iter([0.9, 0.89])
    monkeypatch.setattr(export_module, "car_iou", lambda *_: next(scores))
    weights = tmp_path / "weights.pt"
    save_weights(build_network("fpn", "resnet18"), weights, "fpn_resnet50", [{"stage": "only"}])
    with pytest.raises(ValueError, match="not written"):
        export_module.export("fpn_resnet50", weights, [], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pt"]


def test_export_refuses_weights_that_do_not_tell_how_they_were_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "read_recipe", lambda _: SimpleNamespace(architecture="fpn", encoder="resnet18"))
    torch.save(build_network("fpn", "resnet18").state_dict(), tmp_path / "bare.pt")
    with pytest.raises(ValueError, match=r"bare\.pt holds no training history of fpn_resnet50"):
        export_module.export("fpn_resnet50", tmp_path / "bare.pt", [], tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        export_module.export("fpn_resnet50", tmp_path / "nowhere.pt", [], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["bare.pt"]


def test_export_refuses_what_a_dry_run_left(tmp_path):
    with pytest.raises(ValueError, match="was trained for two steps"):
        export_module.export("fpn_resnet50", tmp_path / "fast_dev_run" / "fpn_resnet50" / "weights.pt", [], tmp_path)


def test_export_refuses_weights_that_are_not_finite(tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "read_recipe", lambda _: SimpleNamespace(architecture="fpn", encoder="resnet18"))
    network, weights = build_network("fpn", "resnet18"), tmp_path / "weights.pt"
    for value in (float("nan"), float("inf"), 1e30):  # the last is finite, but not in half precision
        torch.nn.init.constant_(network.decoder.p2.skip_conv.weight, value)
        save_weights(network, weights, "fpn_resnet50", [{"stage": "only"}])
        monkeypatch.setattr(export_module, "car_iou", lambda *_: 0.0)
        with pytest.raises(ValueError, match=r"weights\.pt can't be shipped: 1 of \d+ tensors.*decoder\.p2"):
            export_module.export("fpn_resnet50", weights, [], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pt"]
