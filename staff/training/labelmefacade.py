"""Get LabelMeFacade, 632 street photographs with hand-drawn labels, in CamVid's classes: more streets to train on.

    python -m staff.training.labelmefacade               fetch the originals and prepare them
    python -m staff.training.labelmefacade --from DIR    use a folder that holds the prepared photographs

The result is data/LabelMeFacade with images/*.jpg and annot/*.png. The originals (945 label images, then the
photographs that are wanted) are fetched from the public repository cvjena/labelmefacade, each held against its SHA-256,
and removed when all is prepared. Without --from, the folder that the environment variable LABELMEFACADE_DIR names is
used first.

Fröhlich, Rodner, Denzler: A Fast Approach for Pixelwise Labeling of Facade Images, ICPR 2010. The photographs are for
non-commercial use and research.
"""

import argparse
import filecmp
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from data import get_camvid
from data.render_street.camera import BUILDING, CAR, PAVEMENT, ROAD, SKY, TREE, UNLABELLED
from staff import ROOT
from staff.files import write_picture

TARGET = ROOT / "data" / "LabelMeFacade"
REGISTRY = Path(__file__).with_name("labelmefacade_registry.txt")
COMMIT = "a0dbc272351f9d6914805fbba62d75740308f52f"
LABELMEFACADE = get_camvid.Source(
    title="LabelMeFacade",
    base_url=f"https://raw.githubusercontent.com/cvjena/labelmefacade/{COMMIT}/",
    advice=(
        "Run the same command again to go on where it stopped, or use a prepared folder you have: --from DIR, or the\n"
        "environment variable LABELMEFACADE_DIR."
    ),
)

CAMVID_IDS = {
    (128, 0, 0): BUILDING,
    (128, 128, 0): BUILDING,  # door
    (0, 0, 128): BUILDING,  # window
    (128, 0, 128): CAR,
    (128, 128, 128): PAVEMENT,
    (128, 64, 0): ROAD,
    (0, 128, 128): SKY,
    (0, 128, 0): TREE,  # vegetation
    (0, 0, 0): UNLABELLED,  # various: nobody labelled it, so a car may hide in it
}
"""RGB colour in the label images (the table in the README of cvjena/labelmefacade) -> CamVid's class id."""


def read_image(path):
    """Read a picture as H×W×3 uint8 RGB. Orientation tags are ignored. (cv2.imread fails on some Windows paths.)"""
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise get_camvid.DataError(f"{path} is not a picture that can be read.")
    return image


def to_camvid_ids(colours):
    """Turn a label image (H×W×3 uint8 RGB) into CamVid's ids (H×W uint8). Unknown colours become UNLABELLED."""
    keys = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    ids = np.full(keys.shape, UNLABELLED, np.uint8)
    for (red, green, blue), id_ in CAMVID_IDS.items():
        ids[keys == (red << 16 | green << 8 | blue)] = id_
    return ids


def choose(car_shares):
    """Choose the photographs to train on: all with more than 0.5 % car, and about every sixth of the others.

    Args:
        car_shares: {name: share of the pixels that are car, 0..1}.

    Returns:
        The chosen names, sorted. The draw is seeded: the same shares always give the same names.
    """
    draw = random.Random(0)
    return [name for name in sorted(car_shares) if car_shares[name] > 0.005 or draw.random() < 0.16]


def prepared_size(height, width):
    """The (height, width) to scale a photograph to: 360 rows as in CamVid, 480 if it stands upright."""
    rows = 480 if height > width else 360
    return rows, round(width * rows / height)


def prepare(photograph, ids, name, target):
    """Write one photograph and its labels to `target`, scaled, as images/<name>.jpg and annot/<name>.png.

    Args:
        photograph: H×W×3 uint8 RGB.
        ids: H×W uint8 CamVid ids.
    """
    height, width = prepared_size(*photograph.shape[:2])
    shrinks = height < photograph.shape[0]
    scaled = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    # Plain INTER_NEAREST would lay them up to half a pixel beside the photograph.
    labels = cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    bgr = cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR)
    write_picture(target / "annot" / f"{name}.png", labels)
    write_picture(target / "images" / f"{name}.jpg", bgr, cv2.IMWRITE_JPEG_QUALITY, 85)


def stems(folder, suffix):
    """The names without suffix of the files in `folder`, without hidden ones."""
    return {path.stem for path in folder.glob(f"*{suffix}") if not path.name.startswith(".")}


def is_complete(folder):
    """Whether a folder holds prepared photographs, each with its labels, and none is left to prepare."""
    images = stems(folder / "images", ".jpg")
    return bool(images) and images == stems(folder / "annot", ".png") and not (folder / "original").exists()


def take(folder, target):
    """Link `target` to the files of the prepared `folder`, or copy them where links are not allowed."""
    counts = Counter()
    with get_camvid.temp_folder(target) as temporary:
        for part in ("annot", "images"):
            for source in sorted((folder / part).glob("[!.]*.*")):
                place = target / part / source.name
                if place.exists() and filecmp.cmp(source, place, shallow=False):
                    counts["already there"] += 1
                else:
                    counts[f"{get_camvid.place(source, place, temporary)} {folder}"] += 1
    shutil.rmtree(target / "original", ignore_errors=True)
    summary = ", ".join(f"{count} {how}" for how, count in counts.items())
    print(f"LabelMeFacade: {len(stems(target / 'images', '.jpg'))} photographs in {target} (files: {summary}).")


def fetch_and_prepare(target, registry, source):
    """Fetch the originals and prepare those that `choose` wants. What is prepared already is not fetched again."""
    from tqdm import tqdm

    original = target / "original"
    labels = {Path(name).stem: name for name in registry if name.startswith("labels/")}
    photographs = {Path(name).stem: name for name in registry if name.startswith("images/")}
    get_camvid.get(list(labels.values()), registry, original, source)

    shares, strange = {}, []
    for name, file in tqdm(labels.items(), desc="Looking for cars", unit="file", ascii=True):
        colours = read_image(original / file)
        ids = to_camvid_ids(colours)
        shares[name] = float(np.mean(ids == CAR))
        if colours[ids == UNLABELLED].any():
            strange.append(file)
    if strange:
        print(f"LabelMeFacade: colours not in the table count as not labelled in\n{get_camvid.listed(strange)}")
    chosen = choose(shares)
    left = sorted(set(chosen) - stems(target / "images", ".jpg"))
    get_camvid.get([photographs[name] for name in left], registry, original, source)

    for name in tqdm(left, desc="Preparing", unit="file", ascii=True):
        ids = to_camvid_ids(read_image(original / labels[name]))
        prepare(read_image(original / photographs[name]), ids, name, target)
    shutil.rmtree(original)
    print(f"LabelMeFacade: {len(chosen)} photographs prepared in {target}.")


def get(target, registry, source, folder=None, strict=False):
    """Bring the prepared photographs to `target`: from the prepared `folder` if given, else from their originals.

    Raises:
        DataError: with the message for the user; with `strict` also if `folder` is not a prepared one.
    """
    if folder and is_complete(folder):
        return take(folder, target)
    if folder:
        wrong = f"{folder} does not hold images/*.jpg with annot/*.png of the same names"
        if strict:
            raise get_camvid.DataError(f"{wrong}.")
        print(f"LabelMeFacade: {wrong}, so it is not used.")
    if is_complete(target):
        return print(f"LabelMeFacade: {len(stems(target / 'images', '.jpg'))} photographs are already in {target}.")
    return fetch_and_prepare(target, registry, source)


def main(argv=None, target=TARGET, registry=REGISTRY, source=LABELMEFACADE):
    """The command line; returns the exit status. The keyword arguments are for mirrors and tests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="folder", metavar="DIR", help="a prepared folder to link to (or copy from)")
    arguments = parser.parse_args(argv)
    folder, strict = get_camvid.local_folder(arguments.folder, "LABELMEFACADE_DIR")
    hashes = get_camvid.load_registry(registry)
    return get_camvid.reported(source.title, lambda: get(Path(target), hashes, source, folder, strict))


if __name__ == "__main__":
    sys.exit(main())
