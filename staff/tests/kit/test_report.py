"""The report: order and wording of the slides, room for every text, and answers in the reference copy alone."""

import io
import re
import zipfile
from datetime import datetime
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from pptx import Presentation
from pptx.oxml.ns import qn
from pptx.util import Emu, Pt

from staff import ROOT
from staff.kit.report import deck as deck_module
from staff.kit.report.answers import answers_from
from staff.kit.report.deck import Filling, make_deck
from staff.kit.report.inputs import FPN_RESNET50, FPN_VGG19, MODELS, PSP_RESNET50
from staff.tests.kit.report_decks import (
    CASES,
    FRAMES,
    LEVEL,
    PARTS,
    RESNET_FIRST,
    SLIDES,
    all_cells,
    places,
    plain,
    scores_of,
    slide_of,
    slides,
    text,
)


def test_committed_template_is_what_is_generated(template):
    assert (ROOT / "proj2_template.pptx").read_bytes() == template, "Run `make report` and commit proj2_template.pptx."


def test_same_bytes_whenever_it_is_made(template, pictures, references):
    assert make_deck(ROOT) == template
    assert make_deck(ROOT, Filling(scores_of(LEVEL), pictures)) == references["level"]
    properties = Presentation(io.BytesIO(template)).core_properties
    assert properties.created == properties.modified == datetime(2026, 1, 1)
    entries = zipfile.ZipFile(io.BytesIO(template)).infolist()
    assert {(entry.date_time, entry.compress_type) for entry in entries} == {
        ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED)
    }


def test_parts_are_in_the_order_of_the_handout(template, reference):
    for deck in (template, reference):
        titles = [slide.shapes.title.text for slide in slides(deck)]
        assert titles[0] == "Project 2: Segmentation with CNN"
        assert [re.split(r"\s{3}", title)[0] for title in titles[1:]] == PARTS


def test_title_slide_asks_who_hands_in(template):
    (table,) = [shape.table for shape in slides(template)[0].shapes if shape.has_table]
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    assert rows == [[name, ""] for name in ("Name", "E-mail", "GT user name", "ID", "Section")]
    assert "Save Image As" in text(slides(template)[0])


def test_pages_are_wide_and_numbered(template, reference):
    for deck in (template, reference):
        presentation = Presentation(io.BytesIO(deck))
        assert presentation.slide_width / presentation.slide_height == pytest.approx(16 / 9, rel=1e-3)
        for slide in presentation.slides:
            assert slide.element.xpath('.//a:fld[@type="slidenum"]')


def test_template_links_to_the_papers(template):
    with zipfile.ZipFile(io.BytesIO(template)) as package:
        rels = "".join(package.read(name).decode() for name in package.namelist() if "slides/_rels" in name)
    for address in ("1411.4038", "1612.03144", "1409.1556", "1512.03385", "1612.01105", "Rezatofighi_Generalized"):
        assert re.search(rf'Target="https://[^"]*{address}', rels), f"no link to {address}"


def test_template_and_reference_ask_the_same(template, reference):
    for ours, theirs in zip(slides(template)[1:], slides(reference)[1:], strict=True):
        assert ours.shapes.title.text == theirs.shapes.title.text
        assert places(ours)["Question"].text == places(theirs)["Question"].text
        assert [s.name for s in ours.shapes if s.has_table] == [s.name for s in theirs.shapes if s.has_table]


def test_template_holds_no_answer(template):
    everything = "\n".join(text(slide) for slide in slides(template))
    with zipfile.ZipFile(io.BytesIO(template)) as package:
        raw = b"".join(package.read(name) for name in package.namelist() if name.endswith(".xml"))
    raw = raw.decode().replace("\N{NO-BREAK SPACE}", " ")
    for answers in [answers_from(scores_of(case)) for case in CASES.values()]:
        assert list(answers) and set(answers) == set(PARTS)
        for part, answer in answers.items():
            assert not answer.source or f"Source: {answer.source}" not in raw
            sentences = [s for text in answer.texts for words in text for s in re.split(r"(?<=\.) ", plain(words))]
            for sentence in [words for words in sentences if words.count(" ") > 2]:
                assert sentence not in everything and sentence not in raw, f"{part}: {sentence}"
    for part, spec in zip(PARTS, SLIDES, strict=True):
        shapes = [shape for shape in slide_of(template, part).shapes if shape.has_table]
        for shape, table in zip(shapes, spec.tables, strict=True):
            rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
            assert rows == [table.header, *([cell or "" for cell in row] for row in table.rows)]
            assert any(cell is None for row in table.rows for cell in row)


def test_template_has_a_placeholder_for_every_picture_and_answer(template):
    for part, spec in zip(PARTS, SLIDES, strict=True):
        named = places(slide_of(template, part))
        empty = [name for name in named if name.startswith("Picture") and not hasattr(named[name], "image")]
        assert len(empty) == sum(picture.file is None for picture in spec.pictures), part
        answers = [named[name] for name in named if name.startswith("Answer")]
        assert answers and all(place.text == "" for place in answers), part


def test_reference_shows_the_pictures_whole_and_with_a_description(reference):
    cells = all_cells()
    for part, spec in zip(PARTS, SLIDES, strict=True):
        shown = [p for p in slide_of(reference, part).placeholders if hasattr(p, "image")]
        for picture, wanted in zip(shown, spec.pictures, strict=True):
            assert wanted.file or picture.image.blob in cells[wanted.cell]
            assert (picture.crop_left, picture.crop_right, picture.crop_top, picture.crop_bottom) == (0, 0, 0, 0)
            assert picture.width / picture.height == pytest.approx(np.divide(*picture.image.size), rel=0.01)
            assert picture._element.nvPicPr.cNvPr.get("descr").startswith(wanted.caption)


def test_reference_fills_every_cell_that_the_template_leaves(reference):
    for part, spec in zip(PARTS, SLIDES, strict=True):
        shapes = [shape for shape in slide_of(reference, part).shapes if shape.has_table]
        for shape, table in zip(shapes, spec.tables, strict=True):
            assert all(cell.text for row in shape.table.rows for cell in row.cells), part
            given = [[cell.text for cell in row.cells] for row in shape.table.rows][1:]
            for row, asked in zip(given, table.rows, strict=True):
                assert all(words in (None, cell) for words, cell in zip(asked, row, strict=True))


def test_frame_on_which_the_models_differ_most_is_shown(pictures, references):
    deck = references["ResNet-50 first"]
    shown = [p for p in slide_of(deck, "3.2").placeholders if hasattr(p, "image")]
    assert [p.image.blob for p in shown] == [pictures.get("vgg19-show", 1), pictures.get("resnet50-show", 1)]
    assert text(slide_of(deck, "3.2")).count(f"({FRAMES[1]})") == 2


@pytest.mark.parametrize("case", CASES)
def test_answers_follow_the_scores(case, references):
    scores, deck = scores_of(CASES[case]), references[case]
    for part, pair in (("3.2", (FPN_VGG19, FPN_RESNET50)), ("EC 2", (PSP_RESNET50, FPN_RESNET50))):
        words = text(slide_of(deck, part))
        for model in pair:
            assert all(f"{iou:.4f}" in words for iou in CASES[case][model])
            assert f"{scores.mean(model):.4f}" in words and f"{scores.mean(model):.3f}" in words
        first = max(pair, key=scores.mean)
        assert (f"{first} scores higher" in words) == (case != "level")
        assert ("are level" in words) == (case == "level")
        ordered = sorted(pair, key=scores.mean, reverse=True)
        won = sum(a > b for a, b in zip(*(CASES[case][model] for model in ordered), strict=True))
        assert f"ahead on {won} of 3 frames" in words
    assert f"{scores.mean(FPN_VGG19):.4f}" in text(slide_of(deck, "3.3"))


def test_only_the_scores_decide(references):
    """No score is typed into the answers: every three- or four-digit fraction in them comes from the table."""
    scores, deck = scores_of(RESNET_FIRST), references["ResNet-50 first"]
    means = [scores.mean(model) for model in MODELS]
    gaps = [abs(round(a, 3) - round(b, 3)) for a in means for b in means]
    known = {f"{v:.{n}f}" for v in [*scores.table.values(), *means, *gaps] for n in (3, 4)}
    for slide in slides(deck):
        assert set(re.findall(r"\b0\.\d{3,}\b", text(slide))) <= known


# ---------------------------------------------------------------------------------------------------------------------
# Room


def read_widths(face: str) -> dict[str, float]:
    """Advance widths, in ems, of a Helvetica face (Arial's are the same), from the tables that matplotlib brings."""
    table = Path(matplotlib.get_data_path(), "fonts", "pdfcorefonts", f"{face}.afm").read_text(encoding="latin-1")
    found = re.findall(r"^C (\d+) ; WX (\d+) ;", table, re.MULTILINE)
    return {chr(int(code)): int(width) / 1000 for code, width in found if int(code) < 127}


WIDTHS = {False: read_widths("Helvetica"), True: read_widths("Helvetica-Bold")}
LINE, AFTER = 1.2, Pt(5)


def count_lines(paragraph, size, width, all_bold=False) -> int:
    """Break a paragraph into lines, word by word, and return how many there are."""
    words, blank = [0.0], WIDTHS[False][" "] * size
    for run in paragraph.runs:
        table = WIDTHS[all_bold or bool(run.font.bold)]
        for letter in run.text:
            if letter == " ":
                words.append(0.0)
            else:
                words[-1] += table.get(letter, 0.6) * size
    lines, at = 1, 0.0
    for word in words:
        assert word <= width, f"a word is wider than its box: {paragraph.text!r}"
        if at + word > width:
            lines, at = lines + 1, 0.0
        at += word + blank
    return lines


def text_height(frame, size, width, all_bold=False) -> float:
    return sum(count_lines(p, size, width, all_bold) * size * LINE + AFTER for p in frame.paragraphs) - AFTER


def type_of(slide, name) -> tuple[float, float]:
    """Return the size of the type in a placeholder, and the blank at each side of it, as the layout has them."""
    (place,) = [shape for shape in slide.slide_layout.placeholders if shape.name == name]
    size = place._element.find(".//" + qn("a:lvl1pPr") + "/" + qn("a:defRPr")).get("sz")
    return Pt(int(size) / 100), Emu(int(place._element.find(".//" + qn("a:bodyPr")).get("lIns")))


def boxes(slide) -> dict:
    """The rectangles (left, top, right, bottom) that a slide's shapes cover, page number aside, by name."""
    return {
        name: (shape.left, shape.top, shape.left + shape.width, shape.top + shape.height)
        for name, shape in places(slide).items()
        if name != "Slide number"
    }


def test_every_text_fits_its_box(template, reference):
    for deck in (template, reference):
        for slide in slides(deck)[1:]:
            for name, shape in places(slide).items():
                if name == "Slide number" or not shape.has_text_frame:
                    continue
                size, inset = type_of(slide, name)
                bullet = Emu(228600) if name.startswith("Answer") else 0
                width = shape.width - 2 * inset - bullet
                height = text_height(shape.text_frame, size, width, all_bold=name == "Title")
                room = shape.height - 2 * inset
                assert height <= room, f"{slide.shapes.title.text}: {name} is too small for {shape.text_frame.text!r}"


def test_every_table_cell_fits_its_row(template, reference):
    size, margin = deck_module.TABLE_PT, Emu(91440)
    for deck in (template, reference):
        for slide in slides(deck):
            for table in [shape.table for shape in slide.shapes if shape.has_table]:
                for row in table.rows:
                    for column, cell in zip(table.columns, row.cells, strict=True):
                        height = text_height(cell.text_frame, size, column.width - 2 * margin)
                        room = row.height - cell.margin_top - cell.margin_bottom
                        assert height <= room, f"{slide.shapes.title.text}: no room for {cell.text_frame.text!r}"


def test_nothing_overlaps_or_leaves_the_page(template, reference):
    margin, foot = Emu(914400 // 2), Emu(int(914400 * 6.95))
    for deck in (template, reference):
        width = Presentation(io.BytesIO(deck)).slide_width
        for slide in slides(deck):
            covered = list(boxes(slide).items())
            for i, (name, (left, top, right, bottom)) in enumerate(covered):
                assert left >= margin and right <= width - margin and top >= 0 and bottom <= foot, name
                for other, (left_2, top_2, right_2, bottom_2) in covered[:i]:
                    apart = left >= right_2 or right <= left_2 or top >= bottom_2 or bottom <= top_2
                    assert apart, f"{slide.shapes.title.text}: {name} overlaps {other}"
