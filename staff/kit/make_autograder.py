"""Write dist/autograder.zip, what Gradescope runs: the grader, its tests, the sample data and the weights they need.

What the tests expect of the networks, and torchmetrics' scores of masks, is worked out here with the reference, so
that the grader neither drifts from it nor needs torch itself.
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from staff import ROOT
from staff.files import write_zip
from staff.kit.autograder.grader import submission, values

KIT = ROOT / "staff" / "kit" / "autograder"

# torch and what builds on it are imported where they are used: grade.py mostly needs no more than the list of files.

ZIP = ROOT / "dist" / "autograder.zip"
WEIGHTS = ("resnet50_best_model_weights.pt", "pspnet_resnet50_best_model_weights.pt")
TEXT = {"", ".py", ".sh", ".txt", ".json"}
WINDOW = (64, 96)


def main() -> None:
    """Build the zip and print where it is."""
    try:
        files = sources()
        build(files, ZIP)
    except OSError as error:
        sys.exit(f"No autograder was written. {error}")
    print(f"Wrote {ZIP}: {len(files) + 1} files, {ZIP.stat().st_size / 2**20:.0f} MB.")


def sources() -> dict[str, Path]:
    """Return the files of the zip that lie in the repository, by their names in it. Raises FileNotFoundError."""
    files = {"/".join(parts): path for path, parts in submission.plain_files(KIT)}
    files["requirements.txt"] = ROOT / "requirements.txt"
    files["reference.py"] = ROOT / "proj2_code" / "student_code.py"
    sample = ROOT / "data" / "sample"
    project = [path for path, _ in submission.plain_files(sample)]
    project += [ROOT / "proj2_code" / "utils.py", *(ROOT / "models" / name for name in WEIGHTS)]
    files |= {f"project/{path.relative_to(ROOT).as_posix()}": path for path in project}
    for path in (*files.values(), sample):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing, and the autograder needs it.")
    return files


def build(files: dict[str, Path], target: Path) -> None:
    """Write the zip of these files and of what the reference does with them."""
    contents = {name: path.read_bytes() for name, path in files.items()}
    for name in contents:
        if Path(name).suffix in TEXT:
            contents[name] = contents[name].replace(b"\r\n", b"\n")  # Gradescope's shell takes no Windows line ends
    write_zip(target, contents | {"expected.values": values.dumps(expected_values())})


def expected_values() -> dict:
    """Return what the tests compare with: see the modules of autograder/tests for how each entry is used."""
    import torch

    import student_code
    from staff.kit.autograder.grader import objects

    torch.set_num_threads(1)  # the same sums in the same order on every run
    fpn, psp = student_code.load_FPN_resnet50(), student_code.load_PSP_resnet50()
    random = np.random.default_rng(0)
    probes = [random.normal(0, 1, (1, 3, *size)).astype(np.float32) for size in ((64, 96), (96, 32))]
    with torch.inference_mode():
        outputs = [fpn(torch.from_numpy(probe)).numpy().round(4) for probe in probes]
    frames, scores = [], {"fpn_iou": [], "psp_iou": []}
    for windows in _windows():
        both = [student_code.applyIoU(network, windows) for network in (fpn, psp)]
        gaps = [abs(float(one) - float(other)) for one, other in zip(*both, strict=True)]
        k = int(np.argmax(gaps))  # where the networks differ most, one cannot pass for the other
        frames.append(windows[k])
        for name, ious in zip(scores, both, strict=True):
            scores[name].append(round(float(ious[k]), 4))
    return {
        "fpn_state": {name: objects.fingerprint(tensor) for name, tensor in fpn.state_dict().items()},
        "probes": probes,
        "fpn_outputs": outputs,
        "frames": frames,
        **scores,
        **_masks(),
    }


def _windows() -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """For each rendered scene the windows of a grid that show a car and something else, preprocessed."""
    import utils

    scenes = utils.Dataset(
        ROOT / "data" / "sample" / "test",
        ROOT / "data" / "sample" / "testannot",
        classes=["car"],
        preprocessing=utils.get_preprocessing(utils.get_preprocessing_fn("resnet50")),
    )
    for pair in scenes:
        corners = itertools.product(
            *(range(0, n - size + 1, size) for n, size in zip(pair[1][0].shape, WINDOW, strict=True))
        )
        views = [np.s_[:, top : top + WINDOW[0], left : left + WINDOW[1]] for top, left in corners]
        yield [
            tuple(np.ascontiguousarray(array[view]) for array in pair)
            for view in views
            if 0.05 < pair[1][view].mean() < 0.95
        ]


def _masks() -> dict:
    """Pairs of masks with torchmetrics' score of each: label, predict, target, IoU."""
    import torch
    from torchmetrics.functional.classification import binary_jaccard_index

    random = np.random.default_rng(1)
    empty, full = np.zeros((12, 9), np.float32), np.ones((12, 9), np.float32)
    left = full.copy()
    left[:, 4:] = 0
    special = [
        ("an empty mask with itself", empty, empty),
        ("a full mask with itself", full, full),
        ("a full mask with an empty one", full, empty),
        ("an empty mask with a full one", empty, full),
        ("two disjoint masks", left, full - left),
        ("a mask within a full one", left, full),
    ]
    mixed = []
    for height, width, share in ((12, 9, 0.5), (1, 50, 0.3), (40, 1, 0.7), (48, 64, 0.1), (31, 17, 0.9)):
        predict = random.random((height, width)).astype(np.float32)
        target = (random.random((height, width)) < share).astype(np.float32)
        mixed.append((f"random probabilities of {height}×{width} with a mask", predict, target))
        mixed.append((f"two random masks of {height}×{width}", (predict > 1 - share).astype(np.float32), target))

    def scored(pairs):
        return [
            # Two empty masks agree; torchmetrics leaves open what that is worth.
            (*pair, binary_jaccard_index(*map(torch.from_numpy, pair[1:]), threshold=0.5, zero_division=1).item())
            for pair in pairs
        ]

    return {"special_masks": scored(special), "random_masks": scored(mixed)}


if __name__ == "__main__":
    main()
