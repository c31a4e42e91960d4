"""Whole programs, each in a process of its own: imports, the notebook, grading a class, peak memory, installing."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from staff import ROOT
from staff.benchmarks import networks
from staff.benchmarks.harness import Comparison, Rival
from staff.models import NETWORKS

LIBRARIES = "import torch, segmentation_models_pytorch, albumentations"
PEAK = """
import json, re, sys
from pathlib import Path
from staff.benchmarks.networks import frames
from staff.models import NETWORKS
import student_code
network = NETWORKS[sys.argv[1]]
student_code.applyIoU(network.load(), frames(int(sys.argv[2])))
# Not ru_maxrss: a program begins with that of the one that started it.
print(json.dumps(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024))
"""


def run(*arguments: object, folder: Path = ROOT) -> str:
    """Run this Python with these arguments, quietly; CalledProcessError where it fails."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def importing() -> Iterator[Comparison]:
    code = ROOT / "proj2_code"
    libraries = Rival("importing torch, smp and albumentations", lambda: run("-c", LIBRARIES, folder=code), 0.97)
    ours = f"{LIBRARIES}, student_code, utils"
    yield Comparison("importing", "student_code and utils too", lambda: run("-c", ours, folder=code), (libraries,))


def notebook() -> Iterator[Comparison]:
    """The rival does the forward passes of the handout's part: all frames and a few single ones with each network."""
    passes = {"FPN-VGG19": 7, "FPN-ResNet50": 14, "PSPNet-ResNet50": 3}
    loaded = [(NETWORKS[name].load(), networks.frames(number)) for name, number in passes.items()]

    def forward_passes() -> None:
        for model, pairs in loaded:
            networks.bare_passes(model, pairs)

    rival = Rival("the forward passes in it", forward_passes)
    yield Comparison(
        "the whole notebook", "python -m staff.run_notebook", lambda: run("-m", "staff.run_notebook"), (rival,)
    )


def notebook_sections() -> list[tuple[str, float]]:
    """(section, seconds) of one run of the notebook; what comes before its first cell counts as starting."""
    seconds: dict[str, float] = defaultdict(float)
    section, last = "starting", time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "staff.run_notebook"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as program:
        for line in program.stdout:
            if found := re.match(r"cell +\d+ of \d+ +(.*)", line):
                now = time.perf_counter()
                seconds[section] += now - last
                section, last = found[1], now
    seconds[section] += time.perf_counter() - last
    return sorted(seconds.items(), key=lambda item: -item[1])


def grading() -> Iterator[Comparison]:
    """Many submissions of the reference, each with a comment of its own, so that no grade is kept from another's."""
    for number in (1, 8, 32):
        one, two = (grade_all(number, jobs) for jobs in (1, 2))
        goal = 1.7 if number > 1 else None
        case = f"{number} submission{'s' * (number > 1)}, --jobs 2"
        yield Comparison("grading a class", case, two, (Rival("--jobs 1", one, goal),))


def grade_all(number: int, jobs: int) -> Callable[[], None]:
    def call() -> None:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "submissions")
            for k in range(number):
                (folder / f"student_{k}").mkdir(parents=True)
                for name in ("student_code.py", "utils.py"):
                    shutil.copy(ROOT / "proj2_code" / name, folder / f"student_{k}")
                with (folder / f"student_{k}" / "student_code.py").open("a", encoding="utf-8") as code:
                    code.write(f"\n# student {k}\n")
            run("-m", "staff.kit.grade", "--all", folder, "--csv", Path(place, "grades.csv"), "--jobs", jobs)

    return call


def peak_memory() -> list[tuple[str, float, float]]:
    """(model, MiB over 3 frames, MiB over 32 frames) of a process that does nothing but `applyIoU`."""
    return [
        (name, *(json.loads(run("-c", PEAK, name, number).splitlines()[-1]) for number in (3, 32))) for name in NETWORKS
    ]


def installing() -> list[tuple[str, float]]:
    """(what, seconds), each done once: the first and second `make run` of a fresh copy, and pip installing the same."""
    data = ("CamVid", "LabelMeFacade", "starts")
    leave = shutil.ignore_patterns(".venv", ".git", "build", "dist", "runs", *data, "__pycache__")
    with tempfile.TemporaryDirectory() as place:
        copy, pip_only = Path(place, "project"), Path(place, "pip")
        shutil.copytree(ROOT, copy, ignore=leave)
        run("-m", "venv", pip_only)
        pip = [pip_only / "bin" / "python", "-m", "pip", "install", "-q", "-r", ROOT / "requirements.txt"]
        commands = {"first `make run`, installing with uv": ["make", "run"], "second `make run`": ["make", "run"]}
        return [(what, wall_time(command, copy)) for what, command in (commands | {"`pip install`": pip}).items()]


def wall_time(command: list, folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def machine() -> str:
    """The machine in one line."""
    from torch.utils import collect_env

    found = collect_env.get_cpu_info(collect_env.run) or ""
    names = [line.partition(":")[2].strip() for line in found.splitlines() if line.startswith("Model name")]
    threads, instructions = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    return f"{(names or ['a processor'])[0]}, {threads} threads, {instructions}"
