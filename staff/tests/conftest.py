"""What the maintainers' tests share: the repository's root, the sample scenes, and the real frames where they are."""

import os
from pathlib import Path

import pytest

from staff import ROOT


@pytest.fixture
def sample_dirs():
    """The folders (frames, masks) of the three rendered scenes."""
    return ROOT / "data" / "sample" / "test", ROOT / "data" / "sample" / "testannot"


@pytest.fixture
def camvid_dir():
    """A folder with CamVid's test, testannot and so on, from CAMVID_DIR; without it the test is skipped."""
    if not os.environ.get("CAMVID_DIR"):
        pytest.skip("CAMVID_DIR is not set: no real frames")
    return Path(os.environ["CAMVID_DIR"])
