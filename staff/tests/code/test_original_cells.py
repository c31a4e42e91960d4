"""The calls of the course's 2021 notebook, in its order, in a kernel that starts in a folder of its own.

That folder holds ./data/CamVid and ./models, as the course's did. Two calls differ, for smp 0.6 would download:
smp.FPN gets encoder_weights=None, and the preprocessing function comes from utils.
"""

import os

import nbformat
import pytest

from staff import ROOT, run_notebook

pytestmark = pytest.mark.slow

SETUP = """
import os
import math

import torch
import numpy as np
import matplotlib.pyplot as plt

from PIL import Image
from typing import List

import albumentations
import segmentation_models_pytorch as smp

import student_code as student_code
import utils as utils

%matplotlib inline
%load_ext autoreload
%autoreload 2
"""

VIS_DATASET = """
vis_dataset = student_code.create_vis_dataset()
vis_dataset.display()
"""

SIGMOID = """
logits = torch.randn(5)
print(student_code.sigmoid(logits))
from proj2_unit_tests.test_softmax_sigmoid import test_sigmoid
print("test_sigmoid: ", utils.verify(test_sigmoid))
"""

SOFTMAX = """
logits = torch.randn(5)
print(student_code.softmax(logits), torch.sum(student_code.softmax(logits)))
from proj2_unit_tests.test_softmax_sigmoid import test_softmax
print("test_softmax: ", utils.verify(test_softmax))
"""

APPLY_MASK = """
from proj2_unit_tests.test_apply_mask import test_final_seg_range,test_final_seg_values
x_test_dir = "./data/CamVid/test/"
y_test_dir = "./data/CamVid/testannot/"
dataset = utils.Dataset(x_test_dir, y_test_dir, classes=['car'])
image, mask = dataset[0]
final_seg = student_code.apply_mask_to_image(image, mask)
print("test_final_seg_range: ", utils.verify(test_final_seg_range))
print("test_final_seg_values: ", utils.verify(test_final_seg_values))
utils.visualize(image=image, cars_mask=mask.squeeze(), final_seg=final_seg)
"""

LOAD_VGG19 = """
vgg19_model = smp.FPN(encoder_name='vgg19', encoder_weights=None, classes=1, activation='sigmoid')
vgg19_model.load_state_dict(torch.load('./models/vgg19_best_model_weights.pt', map_location=torch.device('cpu')))
"""

PRINT_VGG19 = "print(student_code.print_model_summary(vgg19_model))"

PREPROCESS = """
preprocessing_fn = utils.get_preprocessing_fn('{encoder}')
test_dataset = utils.Dataset(
    x_test_dir,
    y_test_dir,
    augmentation=utils.get_validation_augmentation(),
    preprocessing=utils.get_preprocessing(preprocessing_fn),
    classes=['car'],
)
test_dataloader = torch.utils.data.DataLoader(test_dataset)
"""

PREDICT = """
for index in range(len(test_dataset)):
    image, true_mask = test_dataset[index]
    batch = torch.from_numpy(image).to('cpu').unsqueeze(0)
    pred_mask = {model}.predict(batch)
    pred_mask = (pred_mask.squeeze().cpu().numpy().round())
    utils.visualize(image=dataset[index][0], true_mask=true_mask.squeeze(), pred_mask=pred_mask)
"""

LOAD_RESNET50 = """
resnet50_model = student_code.load_FPN_resnet50()
print(student_code.print_model_summary(resnet50_model))
"""

HOOKS = """
kept = {}
def keep(name):
    def hook(model, input, output):
        kept[name] = output.detach()
    return hook
image, _ = test_dataset[0]
batch = torch.from_numpy(image).to("cpu").unsqueeze(0)
"""

FEATURE_MAPS = """
resnet50_model.{layer}.register_forward_hook(keep('{layer}'))
output = resnet50_model(batch)
maps = kept['{layer}']
plt.figure(figsize=(4, 4))
for i in range(4):
    plt.subplot(2, 2, i + 1)
    plt.imshow(maps[:,i,:,:].squeeze())
print(tuple(maps.shape))
"""

IOU = """
from proj2_unit_tests.test_iou import test_IoU1, test_IoU2
print("test_IoU1(): ", utils.verify(test_IoU1))
print("test_IoU2(): ", utils.verify(test_IoU2))
"""

APPLY_IOU = """
vgg_iou = student_code.applyIoU(vgg19_model, test_dataset)
resnet_iou = student_code.applyIoU(resnet50_model, test_dataset)
print('vgg19 IoU score is: ',vgg_iou)
print('ResNet50 IoU score is: ', resnet_iou)
"""

COMPARE = """
psp_iou, fpn_iou = student_code.compare_psp_fpn(test_dataset)
print('PSPNet-ResNet50 IoU score is: ',psp_iou)
print('FPN-ResNet50 IoU score is: ', fpn_iou)
"""

CELLS = {
    "setup": SETUP,
    "vis_dataset": VIS_DATASET,
    "sigmoid": SIGMOID,
    "softmax": SOFTMAX,
    "apply_mask": APPLY_MASK,
    "load_vgg19": LOAD_VGG19,
    "print_vgg19": PRINT_VGG19,
    "preprocess_vgg19": PREPROCESS.format(encoder="vgg19"),
    "predict_vgg19": PREDICT.format(model="vgg19_model"),
    "load_resnet50": LOAD_RESNET50,
    "preprocess_resnet50": PREPROCESS.format(encoder="resnet50"),
    "predict_resnet50": PREDICT.format(model="resnet50_model"),
    "hooks": HOOKS,
    "first_encoder_layer": FEATURE_MAPS.format(layer="encoder.conv1"),
    "last_encoder_layer": FEATURE_MAPS.format(layer="encoder.layer1[2].conv2"),
    "last_decoder_layer": FEATURE_MAPS.format(layer="decoder.seg_blocks[3].block[0].block[0]"),
    "iou": IOU,
    "apply_iou": APPLY_IOU,
    "compare": COMPARE,
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each cell printed and how many pictures it showed, by the cell's name."""
    folder = tmp_path_factory.mktemp("cours 2021 é")
    (folder / "models").symlink_to(ROOT / "models")
    # One frame is enough to make every call, and the networks are slow.
    for part in ("test", "testannot"):
        (folder / "data" / "CamVid" / part).mkdir(parents=True)
        frame = ROOT / "data" / "sample" / part / "street_1.png"
        (folder / "data" / "CamVid" / part / frame.name).symlink_to(frame)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS.values()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "proj2_code"), str(ROOT)]))
        run_notebook.execute(notebook, folder)
    return dict(zip(CELLS, map(_shown, notebook.cells), strict=True))


def _shown(cell):
    text = "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)
    return text, sum(any(kind.startswith("image/") for kind in o.get("data", {})) for o in cell.outputs)


@pytest.mark.parametrize("cell", ["sigmoid", "softmax", "apply_mask", "iou"])
def test_its_checks_say_correct(outputs, cell):
    text, _ = outputs[cell]
    assert text.count("Correct") == CELLS[cell].count("verify") and "Wrong" not in text


def test_weights_load_into_the_network_it_builds(outputs):
    assert "All keys matched" in outputs["load_vgg19"][0]


def test_summaries_are_the_handouts(outputs):
    assert "22,108,097" in outputs["print_vgg19"][0] and "26,116,033" in outputs["load_resnet50"][0]
    # It printed print_model_summary's result, too.
    assert outputs["print_vgg19"][0].rstrip().endswith("None")


@pytest.mark.parametrize("cell", ["apply_mask", "predict_vgg19", "predict_resnet50"])
def test_pictures_are_shown(outputs, cell):
    assert outputs[cell][1] == 1


def test_the_frames_are_shown(outputs):
    # As many as there are at ./data/CamVid of the project itself, or in its sample.
    assert outputs["vis_dataset"][1] >= 1


@pytest.mark.parametrize(
    ("cell", "shape"),
    [
        ("first_encoder_layer", (1, 64, 192, 240)),
        ("last_encoder_layer", (1, 64, 96, 120)),
        ("last_decoder_layer", (1, 128, 96, 120)),
    ],
)
def test_feature_maps_have_the_handouts_shapes(outputs, cell, shape):
    text, pictures = outputs[cell]
    assert str(shape) in text and pictures == 1


def test_scores_are_lists_of_tensors(outputs):
    for cell in ("apply_iou", "compare"):
        lines = outputs[cell][0].splitlines()
        assert len(lines) == 2 and all("[tensor(" in line for line in lines)
    # FPN-ResNet50 is measured by both.
    assert outputs["apply_iou"][0].splitlines()[1].split(":")[1] == outputs["compare"][0].splitlines()[1].split(":")[1]
