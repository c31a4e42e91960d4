"""Measure what the README says about speed (`make bench`), as ratios: seconds do not travel between machines.

1. `applyIoU` against the bare forward passes in it, and against the handout's loop of `model.predict`.
2. What importing `student_code` and `utils` adds to importing torch, smp and albumentations themselves.
3. The whole notebook against the forward passes in it.
"""

import contextlib
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

import student_code
from staff import ROOT
from staff.models import NETWORKS

CODE = ROOT / "proj2_code"

REPEATS = 7
# Predictions of all three frames, an applyIoU a model and compare_psp_fpn's two, then summaries and single frames.
NOTEBOOK_PASSES = {"FPN-VGG19": 7, "FPN-ResNet50": 14, "PSPNet-ResNet50": 3}


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def interleaved(*calls: Callable[[], object]) -> list[float]:
    """The median time of each call; they take turns, so that a busy moment falls on all of them."""
    for call in calls:
        call()
    rounds = [[seconds(call) for call in calls] for _ in range(REPEATS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def bench_apply_iou(model: torch.nn.Module, dataset: student_code.utils.Dataset) -> tuple[float, float, float]:
    """Seconds for the data set: (bare forward passes, `applyIoU`, the handout's loop)."""
    pairs = [dataset[i] for i in range(len(dataset))]

    @torch.inference_mode()
    def bare() -> None:
        for image, _ in pairs:
            model(torch.from_numpy(image)[None].contiguous(memory_format=torch.channels_last))

    def handout() -> None:
        for image, mask in pairs:
            predicted = model.predict(torch.from_numpy(image).unsqueeze(0)).squeeze().cpu().round()
            student_code.IoU(predicted, torch.from_numpy(mask).squeeze())

    return tuple(interleaved(bare, lambda: student_code.applyIoU(model, pairs), handout))


def import_seconds(statement: str) -> float:
    """The least of several fresh processes: what importing costs when nothing else happens."""
    program = f"import time; begin = time.perf_counter(); {statement}; print(time.perf_counter() - begin)"
    command = [sys.executable, "-c", program]
    return min(float(subprocess.check_output(command, cwd=CODE, text=True)) for _ in range(REPEATS))


def main() -> None:
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n")
    one_pass = {}
    with contextlib.redirect_stdout(io.StringIO()):
        datasets = {name: student_code.create_test_dataset(network.encoder) for name, network in NETWORKS.items()}
    print(f"{'applyIoU':18}{'s a frame':>10}{'/ bare passes':>15}{'handout / ours':>16}")
    for name, network in NETWORKS.items():
        bare, ours, handout = bench_apply_iou(network.load(), datasets[name])
        one_pass[name] = bare / len(datasets[name])
        print(f"{name:18}{ours / len(datasets[name]):10.2f}{ours / bare:15.3f}{handout / ours:16.2f}")
    libraries = "import torch, segmentation_models_pytorch, albumentations"
    added = import_seconds(f"{libraries}, student_code, utils") - import_seconds(libraries)
    print(f"\nimport student_code, utils adds {added:.2f} s to the libraries")
    notebook = seconds(lambda: subprocess.run([sys.executable, "-m", "staff.run_notebook"], cwd=ROOT, check=True))
    passes = sum(one_pass[name] * number for name, number in NOTEBOOK_PASSES.items())
    print(f"the notebook takes {notebook:.0f} s, the forward passes in it {passes:.0f} s")


if __name__ == "__main__":
    main()
