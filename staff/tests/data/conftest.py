"""What the tests of both downloads share: short pauses, no folder at hand, and a program's run in this process."""

import dataclasses
import re
from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def _no_folder_at_hand(monkeypatch):
    monkeypatch.delenv("CAMVID_DIR", raising=False)
    monkeypatch.delenv("LABELMEFACADE_DIR", raising=False)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    """pooch waits a second and more between its attempts."""
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "a clône" / "data set"


@pytest.fixture
def refuse_links(monkeypatch):
    def refuse(*_):
        raise OSError("A required privilege is not held by the client")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)


@pytest.fixture
def call_main(target, capfd):
    """Run a program in this process: call_main(main, source, registry, arguments) -> exit status, stdout, stderr."""

    def run(main, source, registry, arguments, **changes):
        status = main(list(arguments), target, registry, dataclasses.replace(source, **changes))
        out, err = capfd.readouterr()
        messages = "".join(line for line in re.split(r"(?<=[\r\n])", err) if line.strip() and "file/s" not in line)
        return SimpleNamespace(status=status, out=out, err=messages, bar=err)

    return run
