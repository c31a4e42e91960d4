"""What the tests of the students' code and notebook share: a small data set on disk, and the stored notebook."""

import cv2
import nbformat
import numpy as np
import pytest

import utils
from staff import ROOT


@pytest.fixture
def street(tmp_path):
    """A folder with blanks and accents: frames b, a, É (16×20) and their masks of random ids; the arrays besides."""
    random = np.random.default_rng(0)
    images, masks = tmp_path / "Mis imágenes" / "test", tmp_path / "Mis imágenes" / "testannot"
    arrays = {}
    for stem in ("b", "a", "É"):
        image, ids = random.integers(0, 256, (16, 20, 3), np.uint8), random.integers(0, 12, (16, 20), np.uint8)
        for folder, array in ((images, image[..., ::-1]), (masks, ids)):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{stem}.png").write_bytes(cv2.imencode(".png", array)[1].tobytes())
        arrays[stem] = image, ids
    return images, masks, arrays


@pytest.fixture
def prepared(street):
    """The cars of `street`, padded and preprocessed."""
    return utils.Dataset(
        *street[:2],
        classes=["car"],
        augmentation=utils.get_validation_augmentation(),
        preprocessing=utils.get_preprocessing(utils.get_preprocessing_fn("resnet50")),
    )


@pytest.fixture(scope="session")
def stored():
    return nbformat.read(ROOT / "proj2.ipynb", as_version=4)
