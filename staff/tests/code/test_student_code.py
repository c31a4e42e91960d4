"""proj2_code/student_code.py against its contracts: formulas, masks, weight files, scores."""

import copy
import importlib.util
import io
import os
import pickle
import re
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torchmetrics

import student_code
import utils

ROOT = utils.ROOT
INF, NAN = float("inf"), float("nan")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
EXTREMES = (-INF, -1e4, -800.0, -88.0, -20.0, -1.0, -0.0, 0.0, 0.5, 17.0, 89.0, 1e4, INF)


@pytest.fixture
def ready_made(monkeypatch):
    """torch's own sigmoid and softmax, taken before they and their kin are made to fail."""
    kept = copy.copy(torch.sigmoid), copy.copy(torch.softmax)

    def forbidden(*args, **kwargs):
        raise AssertionError("a ready-made function was called")

    for module, names in {
        torch: "sigmoid sigmoid_ softmax log_softmax logsumexp tanh",
        torch.special: "expit softmax log_softmax logsumexp",
        torch.nn.functional: "sigmoid logsigmoid softmax log_softmax softmin tanh",
        torch.Tensor: "sigmoid sigmoid_ softmax log_softmax logsumexp tanh",
    }.items():
        for name in names.split():
            monkeypatch.setattr(module, name, forbidden)
    return kept


@pytest.fixture
def no_network(monkeypatch):
    """Addresses that something tried to connect to."""
    tried = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: tried.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: tried.append(args) or [])
    return tried


# Part 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (13,), (13, 1), (0, 3), (2, 3, 4, 5)])
def test_sigmoid_is_the_ready_made_one(ready_made, dtype, shape):
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 6).to(dtype)
    before = x.clone()
    y = student_code.sigmoid(x)
    assert y.dtype == dtype and y.shape == shape
    torch.testing.assert_close(y, ready_made[0](x), rtol=3 * torch.finfo(dtype).eps, atol=0)
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_at_the_extremes_in_value_and_gradient(ready_made, dtype):
    x = torch.tensor(EXTREMES, dtype=dtype, requires_grad=True)
    y = student_code.sigmoid(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    with np.errstate(over="ignore"):
        true = 1 / (1 + np.exp(-x.detach().double().numpy()))
    close = {"rtol": 4 * torch.finfo(dtype).eps, "atol": torch.finfo(dtype).tiny}
    torch.testing.assert_close(y.detach().double(), torch.from_numpy(true), **close)
    # y (1 - y) in double, from the smaller of both, so that 1 - y loses nothing.
    with np.errstate(over="ignore"):
        small = 1 / (1 + np.exp(x.detach().double().abs().numpy()))
    slope = torch.from_numpy(small * (1 - small))
    torch.testing.assert_close(
        gradient.double(), slope, rtol=8 * torch.finfo(dtype).eps, atol=4 * torch.finfo(dtype).tiny
    )
    assert gradient[6] == gradient[7] == 0.25


def test_sigmoid_keeps_nan_and_passes_gradcheck():
    assert student_code.sigmoid(torch.tensor(NAN)).isnan()
    x = torch.linspace(-5, 5, 11, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(student_code.sigmoid, x)
    assert torch.autograd.gradcheck(student_code.softmax, x)


@pytest.mark.parametrize("function", [student_code.sigmoid, student_code.softmax])
def test_integers_bools_arrays_and_lists_are_computed_in_floats(function):
    expected = function(torch.tensor([0.0, 1.0, 1.0]))
    for dtype in (torch.int64, torch.int32, torch.uint8, torch.bool):
        assert torch.equal(function(torch.tensor([0, 1, 1]).to(dtype)), expected)
    assert torch.equal(function(np.array([1, 1, 0], np.int64)[::-1]), expected)
    assert torch.equal(function([0, 1, 1]), expected)
    with pytest.raises(TypeError, match="complex64"):
        function(torch.tensor([1j]))


@pytest.mark.parametrize("function", [student_code.sigmoid, student_code.softmax])
def test_the_result_stays_on_the_device(function):
    x = torch.empty(2, 3, device="meta")  # a device every machine has; it refuses to be mixed with the CPU's tensors
    assert function(x).device == x.device and function(x).shape == x.shape


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "dim"), [((), 0), ((5,), 0), ((5, 1), 0), ((5, 7), 1), ((2, 3, 4), -2), ((3, 0), 0)])
def test_softmax_is_the_ready_made_one(ready_made, dtype, shape, dim):
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 6).to(dtype)
    before = x.clone()
    y = student_code.softmax(x, dim)
    assert y.dtype == dtype and y.shape == shape
    torch.testing.assert_close(y, ready_made[1](x, dim), rtol=2 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).tiny)
    torch.testing.assert_close(y.sum(dim).double(), torch.ones_like(x.sum(dim)).double(), rtol=0, atol=0.01)
    assert torch.equal(x, before)


def test_softmax_runs_along_the_first_axis_unless_told():
    x = torch.tensor([[0.0, 5.0], [3.0, 5.0]])
    torch.testing.assert_close(student_code.softmax(x).sum(0), torch.ones(2))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1e4, 0, -1e4], [1, 0, 0]),
        ([1e4, 1e4], [0.5, 0.5]),
        ([-1e4, -1e4, -1e4, -1e4], [0.25] * 4),
        ([-INF, 0, 0], [0, 0.5, 0.5]),
        ([3e38, -3e38], [1, 0]),
        ([-INF, -INF], [NAN, NAN]),
        ([INF, 0], [NAN, NAN]),
        ([NAN, 0], [NAN, NAN]),
    ],
)
def test_softmax_at_the_extremes_in_value_and_gradient(x, y):
    x, y = torch.tensor(x, requires_grad=True), torch.tensor(y, dtype=torch.float32)
    result = student_code.softmax(x)
    torch.testing.assert_close(result, y, equal_nan=True, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(result[-1], x)
    expected = y[-1] * (torch.eye(len(y))[-1] - y)
    torch.testing.assert_close(gradient, expected, equal_nan=True, rtol=1e-6, atol=0)


IMAGE = np.array([[[10, 20, 30], [200, 0, 255]], [[0, 0, 0], [255, 255, 255]], [[1, 2, 3], [4, 5, 6]]])  # 3×2×3
MASK = np.array([[1, 0], [0, 1], [1, 1]])
SEGMENTED = [[[255, 20, 30], [200, 0, 255]], [[0, 0, 0], [255, 255, 255]], [[255, 2, 3], [255, 5, 6]]]


@pytest.mark.parametrize("image_type", ["uint8", "uint16", "int16", "int64", "float32", "float64"])
@pytest.mark.parametrize("mask_type", ["uint8", "bool", "int64", "float32", "float64"])
@pytest.mark.parametrize("make", [np.array, torch.tensor], ids=["array", "tensor"])
def test_mask_turns_pixels_red(image_type, mask_type, make):
    image, mask = make(IMAGE.astype(image_type)), make(MASK.astype(mask_type))
    for shape in ((3, 2), (3, 2, 1)):
        result = student_code.apply_mask_to_image(image, mask.reshape(shape))
        assert result.dtype == torch.int64 and result.tolist() == SEGMENTED
    assert image.tolist() == IMAGE.tolist() and mask.tolist() == MASK.tolist()
    assert str(image.dtype).endswith(image_type) and str(mask.dtype).endswith(mask_type)


def test_mask_on_flipped_read_only_and_out_of_range_images():
    flipped = IMAGE.astype(np.uint8)[::-1]
    assert student_code.apply_mask_to_image(flipped, MASK[::-1]).tolist() == SEGMENTED[::-1]
    read_only = IMAGE.copy()
    read_only.setflags(write=False)
    assert student_code.apply_mask_to_image(read_only, MASK).tolist() == SEGMENTED
    beyond = student_code.apply_mask_to_image(IMAGE * 3 - 100, np.zeros((3, 2)))
    assert beyond.tolist() == (IMAGE * 3 - 100).clip(0, 255).tolist()
    assert student_code.apply_mask_to_image(IMAGE + 0.9, MASK * 0).tolist() == IMAGE.tolist()


@pytest.mark.parametrize(
    ("image", "mask", "named"),
    [
        (IMAGE, MASK.T, r"\(3, 2, 3\) and \(2, 3, 1\)"),
        (IMAGE, np.ones((3, 2, 2)), r"\(3, 2, 2\)"),
        (IMAGE.transpose(2, 0, 1), MASK, r"\(3, 3, 2\)"),
        (IMAGE[..., 0], MASK, r"\(3, 2\)"),
        (IMAGE, MASK * 255, "0 and 1"),
        (IMAGE, MASK * 0.5, "0 and 1"),
        (IMAGE, MASK * NAN, "0 and 1"),
    ],
)
def test_mask_refuses_what_does_not_fit(image, mask, named):
    with pytest.raises(ValueError, match=named):
        student_code.apply_mask_to_image(image, mask)


# Part 2

LOADERS = {
    "vgg19_best_model_weights.pt": (student_code.load_FPN_vgg19, smp.FPN, "VGGEncoder", 22_108_097),
    "resnet50_best_model_weights.pt": (student_code.load_FPN_resnet50, smp.FPN, "ResNetEncoder", 26_116_033),
    "pspnet_resnet50_best_model_weights.pt": (student_code.load_PSP_resnet50, smp.PSPNet, "ResNetEncoder", 24_300_993),
}


@pytest.mark.parametrize("file", LOADERS)
def test_networks_load_their_own_weights(no_network, monkeypatch, tmp_path, file):
    load, architecture, encoder, parameters = LOADERS[file]
    monkeypatch.chdir(tmp_path)
    model = load()
    assert type(model) is architecture and type(model.encoder).__name__ == encoder
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert not any(module.training for module in model.modules())
    assert isinstance(model.segmentation_head[-1].activation, torch.nn.Sigmoid)
    stored = torch.load(ROOT / "models" / file, weights_only=True)
    loaded = model.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(loaded[name], value.to(loaded[name].dtype)) for name, value in stored.items())
    assert all(p.dtype == torch.float32 and p.device.type == "cpu" for p in model.parameters())
    assert no_network == []


def small_network(**changes):
    arguments = {"encoder_name": "mobilenet_v2", "encoder_weights": None, "classes": 1, "activation": "sigmoid"}
    return smp.FPN(**(arguments | changes))


@pytest.fixture(scope="module")
def small_weights():
    torch.manual_seed(0)
    return small_network().state_dict()


@pytest.fixture
def weight_file(tmp_path, monkeypatch):
    folder = tmp_path / "mes modèles" / "models"
    folder.mkdir(parents=True)
    monkeypatch.setattr(utils, "ROOT", folder.parent)
    return folder / "w.pt"


@pytest.mark.parametrize("wrapped", [lambda w: w, lambda w: {"state_dict": w, "epoch": 3}], ids=["plain", "nested"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.module.", "_orig_mod."])
def test_weights_of_other_trainers_load(weight_file, small_weights, wrapped, prefix):
    torch.save(wrapped({prefix + name: value for name, value in small_weights.items()}), weight_file)
    model = utils.load_weights(small_network(), "w.pt")
    assert all(torch.equal(value, small_weights[name]) for name, value in model.state_dict().items())
    assert not model.training


@pytest.mark.parametrize("zipped", [True, False])
def test_a_course_era_checkpoint_loads(weight_file, zipped):
    """A full float32 state_dict, as smp 0.2 had it; torch before 1.6 wrote no zip."""
    network = smp.FPN("resnet50", encoder_weights=None, classes=1, activation="sigmoid")
    weights = {name: value.float() if value.ndim else value for name, value in network.state_dict().items()}
    target = weight_file.with_name("resnet50_best_model_weights.pt")
    torch.save(weights, target, _use_new_zipfile_serialization=zipped)
    model = student_code.load_FPN_resnet50()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def _bytes(weights):
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return buffer.getvalue()


def _pickled_model(weights):
    buffer = io.BytesIO()
    torch.save(torch.nn.Conv2d(1, 1, 1), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda w: b"", "cannot be read"),
        (lambda w: _bytes(w)[:-5000], "cannot be read"),
        (lambda w: _bytes(w)[:50], "cannot be read"),
        (lambda w: b"version https://git-lfs.github.com/spec/v1\n", "cannot be read"),
        (lambda w: bytes(range(256)) * 9, "cannot be read"),
        (lambda w: pickle.dumps({"a": print}), "cannot be read"),
        (_pickled_model, "cannot be read"),
        (lambda w: _bytes([1, 2]), "no state_dict"),
        (lambda w: _bytes({"epoch": 3}), "no state_dict"),
        (lambda w: _bytes({1: torch.ones(1)}), "no state_dict"),
        (lambda w: _bytes({}), "tensors are missing"),
        (lambda w: _bytes(small_network(classes=3).state_dict()), r"segmentation_head.0.\w+ has shape \(3,.*\(1,"),
        (lambda w: _bytes({k: v for k, v in w.items() if "head" not in k}), "2 of .* such as segmentation_head.0.bias"),
        (
            lambda w: _bytes(w | {"aux.weight": torch.ones(1)}),
            "1 tensors belong to another network, such as aux.weight",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bad_weight_file_is_named_with_what_was_expected_and_a_cure(weight_file, small_weights, spoil, named):
    weight_file.write_bytes(spoil(small_weights))
    with pytest.raises(ValueError, match=named) as caught:
        utils.load_weights(small_network(), "w.pt")
    message = str(caught.value)
    assert message.startswith(str(weight_file)) and "FPN with the encoder mobilenet_v2" in message
    assert "Copy models/w.pt again from the project's zip or repository." in message and "\n" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("error", [MemoryError, PermissionError])
def test_a_weight_file_is_not_blamed_for_the_system(weight_file, monkeypatch, error):
    weight_file.touch()
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: (_ for _ in ()).throw(error))
    with pytest.raises(error):
        utils.load_weights(small_network(), "w.pt")


@pytest.mark.parametrize("name", ["models/w.pt", "../w.pt", "models/"])
def test_a_weight_file_is_given_by_its_name_alone(weight_file, name):
    with pytest.raises(ValueError, match=rf"without its folder: .* not {name!r}"):
        utils.load_weights(small_network(), name)


def test_a_weight_file_cannot_run_code(weight_file, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    torch.save({"state_dict": Attack()}, weight_file)
    with pytest.raises(ValueError, match="cannot be read"):
        utils.load_weights(small_network(), "w.pt")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("file", LOADERS)
def test_a_missing_weight_file_is_named_with_a_cure(weight_file, file):
    with pytest.raises(
        FileNotFoundError, match=rf"^The weights of (FPN|PSPNet) .* are missing: there is no .*{file}\. Copy"
    ) as caught:
        LOADERS[file][0]()
    assert str(weight_file.parent) in str(caught.value)


TABLES = {
    "vgg19_best_model_weights.pt": ("22,108,097", "78.44", "512.50"),
    "resnet50_best_model_weights.pt": ("26,116,033", "21.90", "729.26"),
}


@pytest.mark.parametrize("file", TABLES)
def test_summary_has_the_numbers_of_the_handout(capsys, file):
    model = LOADERS[file][0]()
    assert student_code.print_model_summary(model) is None
    printed = capsys.readouterr().out
    parameters, mult_adds, passes = TABLES[file]
    for line in (
        f"Total params: {parameters}",
        f"Total mult-adds (G): {mult_adds}",
        f"Forward/backward pass size (MB): {passes}",
        "Input size (MB): 2.21",
    ):
        assert printed.count(line + "\n") == 1
    assert "├─" in printed and "[1, 1, 384, 480]" in printed


def test_summary_on_a_console_without_box_characters(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    student_code.print_model_summary(small_network(), H=64, W=32)
    console.flush()
    printed = console.buffer.getvalue().decode("cp1252")
    assert "+ Conv2d" in printed and "?" not in printed and "[1, 1, 64, 32]" in printed


def test_summary_restores_training_flags_and_says_what_the_model_does_not_take(capsys):
    model = small_network()
    model.encoder.eval()
    flags = [module.training for module in model.modules()]
    student_code.print_model_summary(model, H=32, W=32)
    assert [module.training for module in model.modules()] == flags
    for arguments, named in (((3, 33, 32), "3×33×32.*divisible by 32"), ((5, 32, 32), "5×32×32.*5 channels")):
        with pytest.raises(ValueError, match=named):
            student_code.print_model_summary(model, *arguments)
    assert [module.training for module in model.modules()] == flags
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


# Part 3


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1, 9), (24, 32), (1, 12, 8)])
@pytest.mark.parametrize("seed", range(3))
def test_iou_is_torchmetrics(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    predict, target = torch.rand(shape, generator=generator), (torch.rand(shape, generator=generator) > 0.4)
    target[..., 0] = True  # torchmetrics has another convention for an empty union
    score = student_code.IoU(predict, target)
    assert score.shape == () and score.dtype == torch.float32
    torch.testing.assert_close(score, torchmetrics.functional.jaccard_index(predict, target.long(), task="binary"))
    assert student_code.IoU(target, predict) == score


REAL = [torch.bool, torch.uint8, torch.uint16, torch.int8, torch.int32, torch.int64, *FLOATS]


@pytest.mark.parametrize("dtype", REAL)
def test_iou_takes_every_real_dtype(dtype):
    predict, target = torch.tensor([[1, 1], [0, 1], [0, 0]]).to(dtype), torch.tensor([[1, 0], [1, 1], [0, 0]])
    for a, b in ((predict, target), (target, predict)):
        assert student_code.IoU(a, b) == 0.5


@pytest.mark.parametrize(
    ("predict", "target", "score"),
    [
        ([[0, 0]], [[0, 0]], 1),
        ([[1, 1]], [[1, 1]], 1),
        ([[0, 1]], [[1, 0]], 0),
        ([[0, 0]], [[1, 0]], 0),
        ([[1, 1]], [[0, 1]], 0.5),
        ([[0.5, 0.9]], [[0, 1]], 1),
        ([[0.5000001, 0.9]], [[0, 1]], 0.5),
        ([[0.49, 0.51]], [[1, 0.5]], 0),
        ([], [], 1),
    ],
)
def test_iou_by_hand(predict, target, score):
    result = student_code.IoU(torch.tensor(predict), torch.tensor(target))
    assert result == score and result.shape == () and result.is_floating_point()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.bool])
def test_iou_counts_more_pixels_than_its_dtype_can(dtype):
    predict, target = torch.ones(600, 400, dtype=dtype), torch.ones(600, 400, dtype=dtype)
    target[0, 0] = 0
    torch.testing.assert_close(student_code.IoU(predict, target).item(), 239999 / 240000, rtol=1e-7, atol=0)


@pytest.mark.parametrize(
    ("predict", "target", "named"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2), r"\(2, 3\) and \(3, 2\)"),
        (torch.zeros(1, 2, 3), torch.zeros(2, 3), r"\(1, 2, 3\) and \(2, 3\)"),
        (torch.tensor([NAN, 1]), torch.zeros(2), "predict"),
        (torch.zeros(2), torch.tensor([NAN, 1]), "target"),
        (torch.tensor([-3.0, 1]), torch.zeros(2), "predict.*sigmoid"),
        (torch.zeros(2), torch.tensor([0, 255]), "target"),
    ],
)
def test_iou_refuses_what_is_no_pair_of_masks(predict, target, named):
    with pytest.raises(ValueError, match=named):
        student_code.IoU(predict, target)


class Threshold(torch.nn.Module):
    """A network that says how bright a pixel is, and keeps what it was called with."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.dropout = torch.nn.Dropout(0.9)
        self.calls = []

    def forward(self, x):
        self.calls.append((x, self.training, torch.is_inference_mode_enabled()))
        return self.dropout((x * self.scale).mean(1, keepdim=True))


class Pairs(torch.utils.data.Dataset):
    """Images whose upper half is bright; the mask of pair k has its upper 8 and k more rows."""

    def __init__(self, n=4, fails_at=None):
        self.n, self.fails_at = n, fails_at

    def __len__(self):
        return self.n

    def __getitem__(self, k):
        if k == self.fails_at:
            raise RuntimeError("unreadable")
        image, mask = np.zeros((3, 16, 8), np.float32), np.zeros((1, 16, 8), np.float32)
        image[:, :8], mask[:, : 8 + k] = 1, 1
        return image, mask


SCORES = [1.0, 8 / 9, 8 / 10, 8 / 11]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_applyiou_scores_each_pair_in_order(dtype):
    model = Threshold().to(dtype)
    scores = student_code.applyIoU(model, Pairs())
    assert isinstance(scores, list) and all(isinstance(s, torch.Tensor) and s.shape == () for s in scores)
    torch.testing.assert_close([s.item() for s in scores], SCORES)
    assert not any(s.is_inference() or s.requires_grad for s in scores)
    for x, training, inference in model.calls:
        assert x.shape == (1, 3, 16, 8) and x.dtype == dtype
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert not training and inference
    assert student_code.applyIoU(model, Pairs(0)) == []


@pytest.mark.parametrize("wrap", [torch.from_numpy, lambda a: a], ids=["tensors", "arrays"])
def test_applyiou_takes_tensors_subsets_and_networks_without_parameters(wrap):
    class Wrapped(Pairs):
        def __getitem__(self, k):
            return tuple(wrap(a) for a in super().__getitem__(k))

    class Bare(torch.nn.Module):
        def forward(self, x):
            return x[:, :1]

    scores = student_code.applyIoU(Bare(), torch.utils.data.Subset(Wrapped(), [2, 0]))
    torch.testing.assert_close([s.item() for s in scores], [SCORES[2], SCORES[0]])


@pytest.mark.parametrize("fails_at", [None, 2])
def test_applyiou_restores_every_training_flag(fails_at):
    model = torch.nn.Sequential(Threshold(), torch.nn.BatchNorm2d(1), torch.nn.Dropout(0.5))
    model.train()
    model[2].eval()
    statistics = model[1].running_mean.clone()
    flags = [module.training for module in model.modules()]
    if fails_at is None:
        student_code.applyIoU(model, Pairs(1))
    else:
        with pytest.raises(RuntimeError, match="unreadable"):
            student_code.applyIoU(model, Pairs(fails_at=fails_at))
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(model[1].running_mean, statistics)
    assert model[0].scale.requires_grad and not torch.is_inference_mode_enabled()


def test_applyiou_says_when_the_data_set_is_not_preprocessed(sample_dirs):
    with pytest.raises(ValueError, match=r"Pair 0 is \(360, 480, 3\) and \(360, 480, 1\)"):
        student_code.applyIoU(Threshold(), utils.Dataset(*sample_dirs, classes=["car"]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_everything_follows_the_device():
    model = Threshold().cuda()
    torch.testing.assert_close([s.item() for s in student_code.applyIoU(model, Pairs())], SCORES)
    x = torch.tensor([-1e4, 0.0, 1e4], device="cuda")
    assert student_code.sigmoid(x).tolist() == [0, 0.5, 1] and student_code.sigmoid(x).device == x.device
    assert student_code.softmax(x).tolist() == [0, 0, 1] and student_code.softmax(x).device == x.device
    image = torch.from_numpy(IMAGE).cuda()
    assert student_code.apply_mask_to_image(image, MASK).tolist() == SEGMENTED
    assert student_code.IoU(x > 0, (x > 0).cpu()) == 1


def test_psp_and_fpn_are_compared_in_this_order(monkeypatch):
    loaded = []

    def stand_in(name, scale):
        def load():
            model = Threshold()
            model.scale.data.fill_(scale)
            loaded.append(name)
            return model

        return load

    monkeypatch.setattr(student_code, "load_PSP_resnet50", stand_in("psp", 0.4))  # never above 0.5: no object at all
    monkeypatch.setattr(student_code, "load_FPN_resnet50", stand_in("fpn", 1.0))
    psp_iou, fpn_iou = student_code.compare_psp_fpn(Pairs())
    assert psp_iou == [0, 0, 0, 0]
    torch.testing.assert_close([s.item() for s in fpn_iou], SCORES)
    assert sorted(loaded) == ["fpn", "psp"]


# The data sets and the file as a whole


def test_data_sets_are_the_sample_and_say_so_without_camvid(capsys, monkeypatch, tmp_path):
    (tmp_path / "data" / "CamVid" / "test").mkdir(parents=True)
    (tmp_path / "data" / "CamVid" / "test" / ".DS_Store").touch()
    (tmp_path / "data" / "sample").symlink_to(ROOT / "data" / "sample")
    monkeypatch.setattr(utils, "ROOT", tmp_path)
    raw, prepared = student_code.create_vis_dataset(), student_code.create_test_dataset()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("sample" in line and "python data/get_camvid.py" in line for line in lines)
    assert len(raw) == len(prepared) == 3 and raw.classes == prepared.classes == ["car"]
    image, mask = raw[0]
    assert (image.shape, image.dtype) == ((360, 480, 3), np.uint8) and mask.shape == (360, 480, 1)
    image, mask = prepared[0]
    assert (image.shape, image.dtype) == ((3, 384, 480), np.float32)
    assert (mask.shape, mask.dtype) == ((1, 384, 480), np.float32) and set(np.unique(mask)) == {0, 1}


def test_data_sets_are_camvid_where_it_has_been_fetched(capsys, monkeypatch, tmp_path, sample_dirs):
    (tmp_path / "data" / "CamVid").mkdir(parents=True)
    for name, folder in zip(("test", "testannot"), sample_dirs, strict=True):
        (tmp_path / "data" / "CamVid" / name).symlink_to(folder)
    monkeypatch.setattr(utils, "ROOT", tmp_path)
    dataset = student_code.create_vis_dataset()
    assert dataset.images_fps[0].is_relative_to(tmp_path / "data" / "CamVid") and capsys.readouterr().out == ""


def test_scores_on_the_real_frames(camvid_dir):
    """Not the exact scores, which change with the weights: far from a network that is not trained."""
    dataset = utils.Dataset(
        camvid_dir / "test",
        camvid_dir / "testannot",
        augmentation=utils.get_validation_augmentation(),
        preprocessing=utils.get_preprocessing(utils.get_preprocessing_fn("resnet50")),
        classes=["car"],
    )
    assert dataset.names[:3] == ["0001TP_009780", "Seq05VD_f03030", "Seq05VD_f04110"]
    psp_iou, fpn_iou = student_code.compare_psp_fpn(torch.utils.data.Subset(dataset, range(3)))
    assert min(psp_iou) > 0.5 and min(fpn_iou) > 0.6


def test_the_starter_can_be_cut_out_of_the_file():
    source = (ROOT / "proj2_code" / "student_code.py").read_text(encoding="utf-8")
    region = re.compile(r"( *)# (TO-DO [^\n]*)\n\1### BEGIN SOLUTION\n.*?\1### END SOLUTION\n", re.DOTALL)
    names = [name for _, name in region.findall(source)]
    assert [name.split(":")[0].removeprefix("TO-DO ") for name in names] == ["1", "2", "3", "4", "EC", "5", "6", "EC"]
    starter = region.sub(r'\1raise NotImplementedError("\2")\n', source)
    assert "SOLUTION" not in starter
    space = {"__file__": str(ROOT / "proj2_code" / "student_code.py"), "__name__": "starter"}
    exec(compile(starter, "starter", "exec"), space)
    for name in dict.fromkeys(name.split(": ")[1] for name in names):
        function = space[name]
        assert function.__doc__ == getattr(student_code, name).__doc__ and len(function.__doc__) > 80
        with pytest.raises(NotImplementedError, match=name):
            function(
                *[torch.ones(2)]
                * {
                    "load_FPN_resnet50": 0,
                    "load_PSP_resnet50": 0,
                    "sigmoid": 1,
                    "softmax": 1,
                    "compare_psp_fpn": 1,
                }.get(name, 2)
            )


def test_another_utils_imported_before_is_named(monkeypatch, tmp_path):
    other = type(sys)("utils")
    other.__file__ = str(tmp_path / "utils.py")
    monkeypatch.setitem(sys.modules, "utils", other)
    spec = importlib.util.spec_from_file_location("copy_of_student_code", student_code.__file__)
    with pytest.raises(ImportError, match=re.escape(other.__file__)):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_a_folder_with_blanks_and_accents_from_elsewhere_with_another_utils_on_the_path(tmp_path):
    home = tmp_path / "José's Übung 2"
    (home / "proj2_code").mkdir(parents=True)
    for name in ("student_code.py", "utils.py"):
        (home / "proj2_code" / name).write_bytes((ROOT / "proj2_code" / name).read_bytes())
    for name in ("models", "data"):
        (home / name).symlink_to(ROOT / name)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "utils").mkdir(parents=True)
    (elsewhere / "utils" / "__init__.py").write_text("raise SystemExit('the wrong utils')")
    script = """
        import os, sys
        sys.path.append(sys.argv[1])
        import student_code, utils
        assert utils.__file__.startswith(sys.argv[1]), utils.__file__
        assert "matplotlib" not in sys.modules
        assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"
        print(student_code.create_vis_dataset()[0][0].shape)
        student_code.load_PSP_resnet50()
        def test_wrong():
            raise AssertionError("y ≥ 0 for José → no")
        print(utils.verify(test_wrong), utils.verify(print))
    """
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(home / "proj2_code")],
        cwd=elsewhere,
        env=environment | {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": ""},
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr.decode("utf-8", "replace")
    printed = result.stdout.decode("cp1252")
    assert "(360, 480, 3)" in printed and 'Wrong"\x1b[0m y ? 0 for José ? no' in printed and '"Correct"' in printed
