"""The report's theme and slides.yaml, what is written, and what goes wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pptx import Presentation
from pptx.util import Inches

from staff import ROOT
from staff.kit import make_report
from staff.kit.report import deck as deck_module
from staff.kit.report import slides as slides_module
from staff.kit.report.answers import answers_from
from staff.kit.report.deck import THEME, Filling, make_deck
from staff.kit.report.inputs import MODELS, NotebookPictures, ReportError
from staff.kit.report.slides import read_slides
from staff.tests.kit.report_decks import (
    LEVEL,
    SLIDES,
    VGG_FIRST,
    all_cells,
    csv_of,
    notebook_of,
    output_of,
    scores_of,
    slide_of,
)


@pytest.fixture
def repository(tmp_path):
    """A repository after `make run`, with what the report reads and nothing else."""
    for name in ("build", "proj2_code"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "proj2_code" / "iou_question.png", tmp_path / "proj2_code")
    (tmp_path / "build" / "iou.csv").write_text(csv_of(VGG_FIRST), encoding="utf-8")
    (tmp_path / "build" / "proj2.ipynb").write_text(notebook_of(all_cells()), encoding="utf-8")
    return tmp_path


def test_look_is_that_of_the_theme(tmp_path):
    """Whoever moves, renames or recolours in theme.pptx finds it in the report."""
    theme = Presentation(THEME)
    assert len(theme.slides) == 0
    assert {slide.layout for slide in SLIDES} | {"Title"} == {layout.name for layout in theme.slide_layouts}
    (layout,) = [layout for layout in theme.slide_layouts if layout.name == "Answer beside a table"]
    (table,) = [shape for shape in layout.placeholders if shape.name == "Table 1"]
    table.left, table.top, table.width, table.height = Inches(7), Inches(3), Inches(5), Inches(2)
    theme.save(tmp_path / "theme.pptx")
    slide = slide_of(make_deck(ROOT, theme=tmp_path / "theme.pptx"), "2.2a")
    (shape,) = [shape for shape in slide.shapes if shape.has_table]
    assert (shape.left, shape.top, shape.width) == (Inches(7), Inches(3), Inches(5))
    assert shape.height == pytest.approx(Inches(2), rel=1e-4)


def test_theme_without_a_layout_or_placeholder_is_named(tmp_path):
    theme = Presentation(THEME)
    theme.slide_layouts[1].placeholders[1].name = "Body"
    theme.save(tmp_path / "placeholder.pptx")
    theme.slide_layouts[1].name = "Renamed"
    theme.save(tmp_path / "layout.pptx")
    for name, complaint in (("placeholder", "no placeholder 'Question'"), ("layout", "no layout 'Answer'")):
        with pytest.raises(ReportError, match=complaint):
            make_deck(ROOT, theme=tmp_path / f"{name}.pptx")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("    question: >-", "    qestion: >-", "slides.0.question: Field required"),
        ('part: "1.1"', "part: 1.1", "slides.0.part: Input should be a valid string"),
        ('part: "1.2"', 'part: "1.1"', "two slides have the same part"),
        ("reading: [FCN]", "reading: [FCM]", r"names papers that are not listed: \['FCM'\]"),
        ('["ReLU", ~, ~]', '["ReLU", ~]', "slides.6.tables.0: .*3 columns in every row"),
        ("      - cell: vis-dataset\n", "      - file: a.png\n        cell: b\n", "either `cell` or `file`"),
        ("slides:", "slides: [", "cannot be read"),
    ],
)
def test_mistake_in_the_slides_is_named(tmp_path, old, new, complaint):
    path = tmp_path / "slides.yaml"
    path.write_text(slides_module.SLIDES.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ReportError, match=complaint) as error:
        read_slides(path)
    assert "slides.yaml" in str(error.value)


def test_slide_without_an_answer_or_with_a_wrong_table_is_named(monkeypatch, pictures):
    filling = Filling(scores_of(LEVEL), pictures)
    answers = answers_from(filling.scores)
    wrong_table = {**answers, "2.2a": answers["2.3a"]}
    without = {part: answer for part, answer in answers.items() if part != "1.2"}
    for broken, complaint in ((without, "slide 1.2"), (wrong_table, "2.2a: 2 tables for 1")):
        monkeypatch.setattr(deck_module, "answers_from", lambda _, broken=broken: broken)
        with pytest.raises(ReportError, match=complaint):
            make_deck(ROOT, filling)


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_writes_template_reference_and_pdf(repository, monkeypatch, capsys):
    def office(command, **options):
        folder = Path(command[command.index("--outdir") + 1])
        profile = next(part for part in command if part.startswith("-env:UserInstallation=file:///"))
        assert folder.name in profile, "LibreOffice's usual profile was used"
        (folder / "proj2_reference.pdf").write_bytes(b"%PDF of " + Path(command[-1]).read_bytes()[:4])

    before = files(repository)
    monkeypatch.setattr(make_report, "find_office", lambda: "soffice")
    monkeypatch.setattr(make_report.subprocess, "run", office)
    assert make_report.main(repository) == 0
    made = {"proj2_template.pptx", "dist/proj2_reference.pptx", "dist/proj2_reference.pdf"}
    assert files(repository) - before == made
    assert (repository / "dist" / "proj2_reference.pdf").read_bytes() == b"%PDF of PK\x03\x04"
    assert "reference" in Presentation(repository / "dist" / "proj2_reference.pptx").core_properties.title
    said = capsys.readouterr().out
    assert all(str(Path(name)) in said for name in made)


@pytest.mark.parametrize(
    ("office", "words"), [(None, "LibreOffice is not installed"), ("no-such-program", "could not convert")]
)
def test_without_a_working_libreoffice_the_rest_is_made(repository, monkeypatch, capsys, office, words):
    (repository / "dist").mkdir()
    (repository / "dist" / "proj2_reference.pdf").write_bytes(b"of last term")
    monkeypatch.setattr(make_report, "make_deck", lambda *_: b"a deck")  # which takes long to make
    monkeypatch.setattr(make_report, "find_office", lambda: office)
    assert make_report.main(repository) == 0
    assert words in capsys.readouterr().err
    assert {name for name in files(repository) if name.startswith("dist")} == {"dist/proj2_reference.pptx"}


def test_missing_scores_say_what_to_run_and_write_no_reference(repository, capsys):
    (repository / "build" / "iou.csv").unlink()
    before = files(repository)
    assert make_report.main(repository) == 1
    error = capsys.readouterr().err
    assert "iou.csv" in error and "make run" in error and error.count("\n") == 1
    assert files(repository) - before == {"proj2_template.pptx"}
    assert not (repository / "dist").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "columns model,frame,iou"),
        ("model,frame\nFPN-VGG19,a\n", "columns model,frame,iou"),
        (csv_of(VGG_FIRST).replace("0.9312", "high"), "line 3: the IoU should be a number in 0..1, got 'high'"),
        (csv_of(VGG_FIRST).replace("0.9312", "93.12"), "line 3: the IoU should be a number in 0..1, got '93.12'"),
        (csv_of(VGG_FIRST).replace("0.9312", "nan"), "line 3: the IoU should be a number in 0..1, got 'nan'"),
        (csv_of({m: VGG_FIRST[m] for m in MODELS[:2]}), "has no score of PSPNet-ResNet50 on 0001TP_009780"),
        ("model,frame,iou\n" + "".join(f"{m},a,0.9\n" for m in MODELS), "at least three frames, got 1"),
    ],
)
def test_damaged_scores_are_named(repository, text, complaint):
    (repository / "build" / "iou.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ReportError) as error:
        make_report.make_reference(repository)
    assert complaint in str(error.value) and "iou.csv" in str(error.value)
    assert not (repository / "dist").exists()


def test_earlier_reference_survives_an_error(repository):
    (repository / "dist").mkdir()
    (repository / "dist" / "proj2_reference.pptx").write_bytes(b"of yesterday")
    (repository / "build" / "proj2.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(ReportError):
        make_report.make_reference(repository)
    assert {p.name: p.read_bytes() for p in (repository / "dist").iterdir()} == {
        "proj2_reference.pptx": b"of yesterday"
    }


def test_missing_notebook_cell_and_picture_are_named(repository):
    notebook = repository / "build" / "proj2.ipynb"
    cells = all_cells()
    cases = [
        (notebook_of({**cells, "vgg19-show": []}), "cell 'vgg19-show' holds 0 pictures"),
        (notebook_of({k: v for k, v in cells.items() if k != "chart-draw"}), "no cell with the id or tag 'chart-draw'"),
        ("[]", "is not a notebook"),
        (None, "no executed notebook"),
    ]
    for words, complaint in cases:
        notebook.unlink() if words is None else notebook.write_text(words, encoding="utf-8")
        with pytest.raises(ReportError) as error:
            make_report.make_reference(repository)
        assert all(words in str(error.value) for words in (complaint, "make run", "proj2.ipynb"))
        assert not (repository / "dist").exists()


def test_missing_question_picture_is_named(repository, capsys):
    (repository / "proj2_code" / "iou_question.png").unlink()
    assert make_report.main(repository) == 1
    error = capsys.readouterr().err
    assert "iou_question.png" in error and "make figures" in error
    assert not (repository / "proj2_template.pptx").exists()


def test_notebook_of_the_last_run_comes_before_the_committed_one(repository):
    (repository / "proj2.ipynb").write_text(notebook_of({}), encoding="utf-8")
    assert make_report.make_reference(repository).is_file()
    (repository / "build" / "proj2.ipynb").unlink()
    with pytest.raises(ReportError, match="no cell"):
        make_report.make_reference(repository)


def test_cells_are_found_by_tag_too(tmp_path):
    cell = {"id": "a1", "metadata": {"tags": ["chart-draw"]}, "outputs": [output_of(b"\x89PNG")]}
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    assert NotebookPictures([tmp_path / "none.ipynb", tmp_path / "n.ipynb"]).get("chart-draw") == b"\x89PNG"


def test_notebook_has_the_cells_that_the_report_shows():
    notebook = json.loads((ROOT / "proj2.ipynb").read_text(encoding="utf-8"))
    code = {cell["id"] for cell in notebook["cells"] if cell["cell_type"] == "code"}
    assert set(all_cells()) <= code


@pytest.mark.slow
def test_runs_as_a_program(tmp_path, template):
    root = tmp_path / "Entwürfe für später"
    shutil.copytree(ROOT / "staff", root / "staff", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    shutil.copytree(ROOT / "proj2_code", root / "proj2_code", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "data").mkdir()
    shutil.copy(ROOT / "data" / "get_camvid.py", root / "data")
    command = [sys.executable, "-m", "staff.kit.make_report"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 1 and "make run" in run.stderr and "Traceback" not in run.stderr
    assert (root / "proj2_template.pptx").read_bytes() == template
