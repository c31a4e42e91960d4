"""What the maintainers' tests share: the repository's root, the sample scenes, and the real frames where they are."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")  # no window, and no Tcl, on any system
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: let each compute on one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
from pathlib import Path

import pytest

from staff import ROOT


def pytest_collection_modifyitems(items):
    """What needs a browser, all figures or the autograder is slow. Slow files come first, so that none runs last."""
    full_size = {"test_compare_psp_fpn.py", "test_model.py"}  # students' tests have no marks
    for item in items:
        if item.path.name in full_size or {"browser", "figures", "autograder"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def sample_dirs():
    """The folders (frames, masks) of the three rendered scenes."""
    return ROOT / "data" / "sample" / "test", ROOT / "data" / "sample" / "testannot"


@pytest.fixture(scope="session")
def camvid_dir():
    """The folder with CamVid's test and testannot: CAMVID_DIR or data/CamVid; without one the test is skipped."""
    folder = Path(os.environ.get("CAMVID_DIR") or ROOT / "data" / "CamVid")
    if not all((folder / f"{split}/0001TP_009780.png").is_file() for split in ("test", "testannot")):
        pytest.skip("there are no real frames: run `make data`, or set CAMVID_DIR")
    return folder


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; without one on this machine the test is skipped."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """A function that opens a file with the network off: open_page(path, width=1280, **options of the context)."""
    contexts = []

    def open_it(path, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
