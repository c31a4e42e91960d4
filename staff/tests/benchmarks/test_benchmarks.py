"""The benchmarks compare what gives the same result, and the table says what was measured."""

import itertools
from types import SimpleNamespace

import pytest
import torch

import student_code
from staff.benchmarks import __main__ as program
from staff.benchmarks import growth, harness, networks
from staff.models import NETWORKS


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "mask", "iou", "reading"])
def test_ours_and_its_rivals_give_the_same(name):
    comparisons = list(itertools.islice(program.ROWS[name](), 2))
    # The bare reading neither normalises nor makes a mask of one class: only the sizes are the same.
    for comparison in comparisons if name != "reading" else []:
        ours = torch.as_tensor(comparison.ours()).double()
        for rival in comparison.rivals:
            theirs = torch.as_tensor(rival.call()).double()
            torch.testing.assert_close(
                ours, theirs, atol=1e-6, rtol=1e-4, msg=lambda text, r=rival: f"{r.name}: {text}"
            )
    if name == "reading":
        (image, mask), (frame, labels) = comparisons[0].ours(), comparisons[0].rivals[0].call()
        assert image.shape[1:] == frame.shape[:2] == mask.shape[1:] == labels.shape


@pytest.mark.slow
def test_the_handouts_loop_scores_what_apply_iou_scores(psp):
    pairs = networks.frames(3)
    assert torch.equal(torch.stack(student_code.applyIoU(psp, pairs)), torch.stack(networks.handout_loop(psp, pairs)))


@pytest.fixture(scope="module")
def psp():
    return NETWORKS["PSPNet-ResNet50"].load()


@pytest.mark.slow
def test_folding_the_batch_norms_changes_no_mask(psp):
    folded = networks.fold(psp)
    norms = [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert not norms and any(isinstance(m, torch.nn.BatchNorm2d) for m in psp.modules())
    image = torch.from_numpy(networks.frames(1)[0][0])[None]
    before, after = (networks.forward_pass(network, image) for network in (psp, folded))
    torch.testing.assert_close(before, after, atol=1e-4, rtol=0)


class PretendTimer:
    """Stands in for torch's Timer: a call takes the seconds that it returns."""

    def __init__(self, _, globals, num_threads):
        self.call = globals["call"]

    def timeit(self, number):
        return SimpleNamespace(mean=self.call())


def test_speed_is_the_rivals_time_over_ours(monkeypatch):
    monkeypatch.setattr(harness, "Timer", PretendTimer)
    slow, half = harness.Rival("slow", lambda: 8.0, goal=5), harness.Rival("half", lambda: 8.0, goal=5, work=0.5)
    comparison = harness.Comparison("row", "case", lambda: 1.0, (slow, half))
    results = harness.measure(comparison, harness.Effort(rounds=3, seconds=10))
    assert [(r.rival, r.speed, r.seconds, r.reached) for r in results] == [
        ("slow", (8.0, 8.0, 8.0), 1.0, True),
        ("half", (4.0, 4.0, 4.0), 1.0, False),
    ]


def test_what_takes_minutes_is_called_once_a_round():
    calls = []
    comparison = harness.Comparison("row", "case", lambda: calls.append(1), (harness.Rival("r", lambda: None),))
    harness.measure(comparison, harness.Effort(rounds=3, seconds=0))
    assert len(calls) == 3


def test_the_page_holds_rows_memory_and_installing():
    results = [harness.Result("IoU", "384×480", "smp", 0.01, (1.0, 1.5, 2.0), 3)]
    text = program.page(results, [("FPN-VGG19", 700.4, 701.2)], {"Once": [("`pip install`", 181.26)]})
    for line in (
        program.table(results),
        "| FPN-VGG19 | 700 MiB | 701 MiB |",
        "**Once**",
        "| `pip install` | 181.3 s |",
        "growth.png",
    ):
        assert line in text


def test_the_table_tells_what_was_reached_and_what_fell_short():
    results = [
        harness.Result("IoU", "384×480", "torchmetrics", 0.01, (3.5, 4.0, 4.5), 3),
        harness.Result("IoU", "384×480", "smp", 0.01, (1.0, 1.5, 2.0), 3),
        harness.Result("softmax", "10^6", "torch", 0.01, (0.1, 0.2, 0.3), None),
    ]
    reached, short, reported = program.table(results).splitlines()[2:]
    assert reached.endswith("| 4.00 (3.50 to 4.50) | 3.00 | reached |")
    assert short.endswith("| 3.00 | short |") and reported.endswith("|  |  |")
    assert "smp, the goal was 3.00" in program.shortfalls(results) and "torchmetrics" not in program.shortfalls(results)
    assert program.shortfalls(results[:1]) == "None."
    short_form = program.short_form(results)
    assert "| smp | 1.50 | 3.00 |" in short_form and "torchmetrics" not in short_form and "torch |" not in short_form


def test_the_networks_take_the_sizes_that_are_drawn():
    assert not [size for size in growth.SIZES if size[0] % 32 or size[1] % 32]


def test_quartiles():
    assert harness.spread(float(k) for k in (5, 1, 4, 2, 3)) == (2, 3, 4)
    assert harness.spread([3.0]) == (3, 3, 3)
