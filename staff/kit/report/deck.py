"""Turns the table of slides into a presentation: the template with room to write, or the reference copy filled in."""

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from pptx.enum.dml import MSO_THEME_COLOR
from pptx.enum.text import MSO_ANCHOR
from pptx.oxml import parse_xml
from pptx.util import Inches, Pt

from staff.kit.report import content, design
from staff.kit.report.content import Slide, Table
from staff.kit.report.inputs import NotebookPictures, ReportError, Scores

_MARKUP = re.compile(r"\*\*(?P<bold>.+?)\*\*|_\{(?P<lowered>.+?)\}")
_MADE = datetime(2026, 1, 1)
# Sizes and percentages stay on one line.
_UNBROKEN = re.compile(r"(?<=\d) (?=[×%])|(?<=×) (?=\d)")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class Filling(NamedTuple):
    """What turns the template into the reference copy."""

    scores: Scores
    pictures: NotebookPictures


def make_deck(root: Path, filling: Filling | None = None) -> bytes:
    """Return the report as a .pptx file: the template, or the reference copy if there is something to fill in.

    The bytes depend on nothing but the table of slides, the pictures and the scores.

    Args:
        root: the repository, where the pictures lie that are part of a question.
        filling: scores and pictures for the answers.

    Raises:
        ReportError: a picture is missing.
    """
    deck = design.blank_deck()
    layouts = dict(zip(design.LAYOUTS, list(deck.slide_layouts)[1:], strict=True))
    _add_title_slide(deck, filling is not None)
    for slide in content.SLIDES:
        _add_question_slide(deck, layouts[slide.layout], slide, root, filling)
    properties = deck.core_properties
    properties.title = f"{content.TITLE}: " + ("reference answers" if filling else "report")
    properties.author = properties.last_modified_by = properties.comments = ""
    properties.created = properties.modified = _MADE
    properties.revision, properties.language = 1, "en-GB"
    return _with_fixed_times(deck)


def _add_title_slide(deck, filled: bool) -> None:
    page = deck.slides.add_slide(deck.slide_layouts[0])
    _write(page.shapes.title, [content.TITLE])
    subtitle = content.REFERENCE_SUBTITLE if filled else content.TEMPLATE_SUBTITLE
    _write(page.placeholders[design.QUESTION_IDX], subtitle)
    rows = [(name, "Reference copy" if filled and name == "Name" else "") for name in content.FIELDS]
    _add_table(page, "Fields", design.FIELDS, rows, widths=(1, 3), head=False)
    _add_number(page)


def _add_question_slide(deck, layout, slide: Slide, root: Path, filling: Filling | None) -> None:
    page = deck.slides.add_slide(layout)
    spec = design.LAYOUTS[slide.layout]
    _write(page.shapes.title, [f"**{slide.part}**   {slide.title}"])
    _colour_part_number(page.shapes.title)
    _write(page.placeholders[design.QUESTION_IDX], [slide.question])
    for number, (table, box) in enumerate(zip(slide.tables, spec.tables, strict=True), 1):
        _add_table(page, f"Table {number}", box, _table_rows(table, filling), table.widths)
    if filling:
        for index, answer in zip(design.ANSWER_IDX, slide.answers, strict=False):
            _write(page.placeholders[index], answer(filling.scores) if callable(answer) else answer)
    _add_pictures(page, slide, root, filling)
    _add_reading(page, slide, filling is not None)
    _add_number(page)


def _table_rows(table: Table, filling: Filling | None) -> list[Sequence[str]]:
    """Return header and rows, with only the given columns written in the template."""
    rows = table.rows
    if callable(rows):
        rows = rows(filling.scores if filling else Scores.unknown())
    if not filling:
        rows = [[words if column in table.given else "" for column, words in enumerate(row)] for row in rows]
    return [table.header, *rows]


def _add_table(page, name, box: design.Box, rows, widths=(), head=True) -> None:
    columns = len(rows[0])
    widths = widths or (1,) * columns
    height = min(box.h / len(rows), design.ROW)
    frame = page.shapes.add_table(
        len(rows), columns, Inches(box.x), Inches(box.y), Inches(box.w), Inches(height * len(rows))
    )
    frame.name = name
    table = frame.table
    table.first_row, table.horz_banding = head, False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Inches(box.w * width / sum(widths))
    for i, row in enumerate(rows):
        table.rows[i].height = Inches(height)
        for j, words in enumerate(row):
            _fill_cell(table.cell(i, j), words, is_head=head and i == 0, is_label=not head and j == 0)


def _fill_cell(cell, words: str, is_head: bool, is_label: bool) -> None:
    cell.vertical_anchor = MSO_ANCHOR.MIDDLE
    cell.margin_top = cell.margin_bottom = Inches(design.CELL_MARGIN)
    cell.fill.solid()
    cell.fill.fore_color.theme_color = MSO_THEME_COLOR.TEXT_2 if is_head else MSO_THEME_COLOR.BACKGROUND_1
    if is_label:
        cell.fill.fore_color.theme_color = MSO_THEME_COLOR.BACKGROUND_2
    paragraph = cell.text_frame.paragraphs[0]
    for run in _add_runs(paragraph, words):
        run.font.size = Pt(design.TABLE_PT)
        run.font.bold = is_head or is_label
        run.font.color.theme_color = MSO_THEME_COLOR.BACKGROUND_1 if is_head else MSO_THEME_COLOR.TEXT_1
    # The size of what will be written into an empty cell.
    paragraph._p.append(parse_xml(design.end_of_paragraph(design.TABLE_PT)))
    for side in ("L", "R", "T", "B"):
        cell._tc.get_or_add_tcPr().append(parse_xml(design.border(side)))
    _fill_goes_last(cell)


def _fill_goes_last(cell) -> None:
    """The schema wants a cell's borders before its fill."""
    properties = cell._tc.tcPr
    properties.append(properties.find("{*}solidFill"))


def _add_pictures(page, slide: Slide, root: Path, filling: Filling | None) -> None:
    if slide.given_picture:
        file, caption = slide.given_picture
        _insert(page, 0, _read(root / file), caption)
        _write(page.placeholders[design.CAPTION_IDX[0]], [caption])
    for number, figure in enumerate(slide.figures):
        caption, output = figure.caption, figure.output
        if filling:
            if callable(output):
                output = output(filling.scores)
                caption = f"{caption} ({filling.scores.frames[output]})"
            _insert(page, number, filling.pictures.get(figure.cell, output), caption)
        _write(page.placeholders[design.CAPTION_IDX[number]], [caption])


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ReportError(f"The picture {path} is missing. Run `make figures` first, which draws it.")
    return path.read_bytes()


def _insert(page, number: int, picture: bytes, caption: str) -> None:
    """Put a picture into a placeholder, whole and centred, where PowerPoint would crop it to fill the frame."""
    place = page.placeholders[design.PICTURE_IDX[number]]
    frame = (place.left, place.top, place.width, place.height)
    shape = place.insert_picture(io.BytesIO(picture))
    shape.crop_left = shape.crop_right = shape.crop_top = shape.crop_bottom = 0
    shape.left, shape.top, shape.width, shape.height = _fitted(frame, Image.open(io.BytesIO(picture)).size)
    shape._element.nvPicPr.cNvPr.set("descr", caption)


def _fitted(frame, size) -> tuple[int, int, int, int]:
    left, top, width, height = frame
    margin = Inches(design.PICTURE_MARGIN)
    scale = min((width - 2 * margin) / size[0], (height - 2 * margin) / size[1])
    w, h = round(size[0] * scale), round(size[1] * scale)
    return left + (width - w) // 2, top + (height - h) // 2, w, h


def _add_reading(page, slide: Slide, filled: bool) -> None:
    """Write the links, and in the reference copy the sources of the answer, below the answer."""
    place = page.placeholders[design.READING_IDX]
    source = [f"Source: {slide.source}."] if filled and slide.source else []
    if not slide.reading and not source:
        place._element.getparent().remove(place._element)
        return
    _write(place, (["Reading: "] if slide.reading else []) + source)
    for number, key in enumerate(slide.reading):
        paragraph = place.text_frame.paragraphs[0]
        if number:
            paragraph.add_run().text = "  ·  "
        label, address = content.PAPERS[key]
        link = paragraph.add_run()
        link.text, link.hyperlink.address = label, address


def _add_number(page) -> None:
    used = [shape.shape_id for shape in page.shapes]
    page.shapes._spTree.append(parse_xml(design.number_shape(str(max(used) + 1))))


def _colour_part_number(title) -> None:
    title.text_frame.paragraphs[0].runs[0].font.color.theme_color = MSO_THEME_COLOR.ACCENT_2


def _write(shape, paragraphs: Sequence[str]) -> None:
    frame = shape.text_frame
    for number, words in enumerate(paragraphs):
        _add_runs(frame.add_paragraph() if number else frame.paragraphs[0], words)


def _add_runs(paragraph, words: str) -> list:
    """Append `words` to a paragraph, in runs as their marks ask for, and return the runs."""
    at, runs = 0, []
    for mark in _MARKUP.finditer(words):
        runs.append((words[at : mark.start()], None))
        runs.append((mark[mark.lastgroup], mark.lastgroup))
        at = mark.end()
    runs.append((words[at:], None))
    return [_add_run(paragraph, text, kind) for text, kind in runs if text]


def _add_run(paragraph, text: str, kind: str | None):
    run = paragraph.add_run()
    run.text = _UNBROKEN.sub("\N{NO-BREAK SPACE}", text)
    properties = run._r.get_or_add_rPr()
    properties.set("lang", "en-GB")
    if kind == "bold":
        run.font.bold = True
    elif kind:
        properties.set("baseline", "-25000")
    return run


def _with_fixed_times(deck) -> bytes:
    """Save a presentation with the same bytes each time: fixed dates, and no compression, whose result varies."""
    saved, fixed = io.BytesIO(), io.BytesIO()
    deck.save(saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name, _ZIP_TIME), source.read(name))
    return fixed.getvalue()
