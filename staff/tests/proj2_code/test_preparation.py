"""The way of a frame into a network and of its mask back: augmentation, preprocessing, predict_mask."""

import socket

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

import utils


def test_validation_mirrors_frames_and_masks_to_a_size_the_networks_take():
    random = np.random.default_rng(0)
    augment = utils.get_validation_augmentation()
    image, mask = random.integers(0, 256, (360, 480, 3), np.uint8), random.random((360, 480, 1), np.float32).round()
    out = augment(image=image, mask=mask)
    border = ((12, 12), (0, 0), (0, 0))
    assert np.array_equal(out["image"], np.pad(image, border, "reflect"))
    assert np.array_equal(out["mask"], np.pad(mask, border, "reflect")) and out["mask"].dtype == np.float32
    for (h, w), size in {
        (384, 480): (384, 480),
        (10, 700): (384, 704),
        (500, 31): (512, 480),
        (385, 481): (416, 512),
    }.items():
        out = augment(image=np.zeros((h, w, 3), np.uint8), mask=np.zeros((h, w, 2), np.float32))
        assert out["image"].shape == (*size, 3) and out["mask"].shape == (*size, 2)


@pytest.mark.parametrize("size", [(360, 480), (100, 700), (720, 960)])
def test_training_changes_image_and_mask_alike(size):
    augment = utils.get_training_augmentation()
    augment.set_random_seed(0)
    mask = np.zeros((*size, 1), np.float32)
    mask[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4] = 1
    image = np.repeat((mask * 160 + 40).astype(np.uint8), 3, axis=2)
    results = [augment(image=image, mask=mask) for _ in range(12)]
    for out in results:
        assert out["image"].shape == (320, 320, 3) and out["image"].dtype == np.uint8
        assert out["mask"].shape == (320, 320, 1) and set(np.unique(out["mask"])) <= {0, 1}
        inside, outside = out["image"][out["mask"][..., 0] == 1], out["image"][out["mask"][..., 0] == 0]
        if len(inside) and len(outside):
            assert np.median(inside) > np.median(outside)
    assert any(not np.array_equal(results[0]["mask"], out["mask"]) for out in results)


@pytest.mark.parametrize("name", ["resnet50", "vgg19", "tu-vgg19"])
@pytest.mark.parametrize("change", [np.uint8, np.int64, np.float32, lambda a: a / 255, lambda a: a[::-1, :, ::-1]])
def test_preprocessing_is_smps_without_the_network(monkeypatch, name, change):
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: pytest.fail("asked the network"))
    image = change(np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8))
    before = image.copy()
    result = utils.get_preprocessing_fn(name)(image)
    smps = smp.encoders.get_preprocessing_fn("tu-" + name.removeprefix("tu-"))(image)
    assert result.dtype == np.float32 and np.allclose(result, smps, atol=1e-5)
    assert np.allclose(
        result, (image / (255 if image.max() > 1 else 1) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], atol=1e-5
    )
    assert np.array_equal(image, before)


def test_a_dark_image_of_integers_is_still_in_0_to_255():
    """smp takes every image without a value above 1 to be in 0..1."""
    fn = utils.get_preprocessing_fn("resnet50")
    dark = fn(np.ones((1, 1, 3), np.uint8))
    assert np.allclose(dark, (1 / 255 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], atol=1e-5)
    assert np.allclose(dark, fn(np.ones((1, 1, 3), np.int64)), atol=1e-6)


def test_an_encoder_whose_values_are_not_known_offline_is_named():
    with pytest.raises(ValueError, match=r"'my_net'.*'resnet50'"):
        utils.get_preprocessing_fn("my_net")


def test_preprocessing_with_a_function_of_smps_gives_what_a_network_takes(street):
    preprocessing = utils.get_preprocessing(smp.encoders.get_preprocessing_fn("tu-vgg19"))
    image, mask = utils.Dataset(*street[:2], classes=["car", "sky"], preprocessing=preprocessing)[0]
    raw, raw_mask = utils.Dataset(*street[:2], classes=["car", "sky"])[0]
    assert image.shape == (3, 16, 20) and mask.shape == (2, 16, 20)
    assert image.dtype == mask.dtype == np.float32
    assert np.array_equal(mask, raw_mask.transpose(2, 0, 1))
    assert np.allclose(image, utils.get_preprocessing_fn("vgg19")(raw).transpose(2, 0, 1), atol=1e-5)


def test_the_sample_stands_in_for_camvid_until_that_is_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(utils, "ROOT", tmp_path)
    data = tmp_path / "data"
    sample = data / "sample" / "test", data / "sample" / "testannot"
    assert utils.get_test_dirs() == sample
    assert "CamVid is not in data/CamVid: using the rendered scenes" in capsys.readouterr().out
    folders = data / "CamVid" / "test", data / "CamVid" / "testannot"
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.png").touch()
    assert utils.get_test_dirs() == folders and capsys.readouterr().out == ""
    (folders[0] / "b.png").touch()
    assert utils.get_test_dirs() == sample
    assert "CamVid is not whole in data/CamVid: using the rendered scenes" in capsys.readouterr().out


class Bright(torch.nn.Module):
    """A network for normalised images: object where the red channel is bright; only takes multiples of 32."""

    def __init__(self):
        super().__init__()
        self.threshold = torch.nn.Parameter(torch.tensor(0.0))
        self.sizes = []

    def forward(self, x):
        self.sizes.append(tuple(x.shape))
        assert x.shape[2] % 32 == x.shape[3] % 32 == 0 and not self.training and torch.is_inference_mode_enabled()
        return torch.special.expit((x[:, :1] - self.threshold) * 9)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((360, 480), (384, 480)),
        ((301, 333), (320, 352)),
        ((1, 1), (32, 32)),
        ((2000, 1500), (960, 736)),
        ((3, 4000), (32, 960)),
    ],
)
def test_a_picture_of_any_size_gets_a_mask_of_its_size(size, seen):
    picture = np.zeros((*size, 3), np.uint8)
    picture[:, size[1] // 2 :] = 255
    model = Bright().train()
    mask = utils.predict_mask(model, picture, utils.get_preprocessing_fn("resnet50"))
    assert mask.shape == size and mask.dtype == np.uint8 and model.sizes == [(1, 3, *seen)] and model.training
    wrong = mask != (picture[..., 0] > 127)
    assert wrong.sum() <= 2 * size[0]


def test_the_mask_of_a_shrunk_picture_is_not_shifted():
    rows = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), 1000)
    picture = np.broadcast_to(rows[:, None, None], (1000, 50, 3))
    masks = [
        utils.predict_mask(Bright(), np.ascontiguousarray(seen), utils.get_preprocessing_fn("resnet50"), max_side=639)
        for seen in (picture, picture[::-1])
    ]
    assert 0 < masks[0].mean() < 1 and np.array_equal(masks[1], masks[0][::-1])


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 4), (1, 20, 30, 3)])
def test_a_picture_that_is_not_rgb_is_refused(shape):
    with pytest.raises(ValueError, match="×".join(map(str, shape))):
        utils.predict_mask(Bright(), np.zeros(shape, np.uint8), utils.get_preprocessing_fn("resnet50"))


def test_evaluation_mode_restores_every_flag_after_an_error_too():
    model = smp.FPN("mobilenet_v2", encoder_weights=None)
    model.freeze_encoder()
    model.decoder.eval()
    flags = [module.training for module in model.modules()]
    assert len(set(flags)) == 2
    with pytest.raises(KeyError), utils.evaluation_mode(model) as same:
        assert same is model and not any(module.training for module in model.modules())
        raise KeyError
    assert [module.training for module in model.modules()] == flags
