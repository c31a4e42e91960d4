"""The three networks: their weight files, what is said of bad ones, and the summary of a model."""

import io
import pickle
import socket
import sys

import pytest
import segmentation_models_pytorch as smp
import torch

import student_code
import utils
from staff import ROOT


@pytest.fixture
def no_network(monkeypatch):
    """Addresses that something tried to connect to."""
    tried = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: tried.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: tried.append(args) or [])
    return tried


HEAD = "segmentation_head.0"
LOADERS = {
    "vgg19_best_model_weights.pt": (student_code.load_FPN_vgg19, smp.FPN, "VGGEncoder", 22_108_097),
    "resnet50_best_model_weights.pt": (student_code.load_FPN_resnet50, smp.FPN, "ResNetEncoder", 26_116_033),
    "pspnet_resnet50_best_model_weights.pt": (student_code.load_PSP_resnet50, smp.PSPNet, "ResNetEncoder", 24_300_993),
}


@pytest.mark.slow
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


def small_network(classes=1, device="meta"):
    """FPN with the smallest encoder of timm."""
    with torch.device(device):
        return smp.FPN("tu-test_resnet", encoder_weights=None, classes=classes, activation="sigmoid")


@pytest.fixture(scope="module")
def small_weights():
    torch.manual_seed(0)
    return small_network(device="cpu").state_dict()


@pytest.fixture
def weight_file(tmp_path, monkeypatch):
    folder = tmp_path / "mes modèles" / "models"
    folder.mkdir(parents=True)
    monkeypatch.setattr(utils, "ROOT", folder.parent)
    return folder / "w.pt"


@pytest.mark.parametrize("zipped", [True, False])  # torch before 1.6 wrote no zip
@pytest.mark.parametrize("wrapped", [lambda w: w, lambda w: {"state_dict": w, "epoch": 3}], ids=["plain", "nested"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.module.", "_orig_mod."])
def test_weights_of_other_trainers_load(weight_file, small_weights, wrapped, prefix, zipped):
    weights = wrapped({prefix + name: value for name, value in small_weights.items()})
    torch.save(weights, weight_file, _use_new_zipfile_serialization=zipped)
    model = utils.load_weights(small_network(), "w.pt")
    assert all(torch.equal(value, small_weights[name]) for name, value in model.state_dict().items())
    assert not model.training


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
        (
            lambda w: _bytes(w | {f"{HEAD}.weight": w[f"{HEAD}.weight"].expand(3, -1, -1, -1)}),
            rf"{HEAD}.weight has shape \(3,.*\(1,",
        ),
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
    assert message.startswith(str(weight_file)) and "FPN with the encoder tu-test_resnet" in message
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
    "vgg19": ("22,108,097", "78.44", "512.50"),
    "resnet50": ("26,116,033", "21.90", "729.26"),
}


@pytest.mark.parametrize("encoder", TABLES)
def test_summary_has_the_numbers_of_the_handout(capsys, encoder):
    with torch.device("meta"):
        model = smp.FPN(encoder, encoder_weights=None, classes=1, activation="sigmoid")
    assert student_code.print_model_summary(model) is None
    printed = capsys.readouterr().out
    parameters, mult_adds, passes = TABLES[encoder]
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
    model = small_network(device="cpu")
    model.encoder.eval()
    flags = [module.training for module in model.modules()]
    student_code.print_model_summary(model, H=32, W=32)
    assert [module.training for module in model.modules()] == flags
    for arguments, named in (((3, 33, 32), "3×33×32.*divisible by 32"), ((5, 32, 32), "5×32×32.*5 channels")):
        with pytest.raises(ValueError, match=named):
            student_code.print_model_summary(model, *arguments)
    assert [module.training for module in model.modules()] == flags
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
