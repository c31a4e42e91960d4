"""Turns slides.yaml into a presentation: the template with room to write, or the reference copy with the answers.

The look is that of theme.pptx: its layouts say where everything goes and in which type. A slide's placeholders are
found by the names that they have in the layout: Question, Answer 1, Table 1, Picture 1, Caption 1, Reading.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lxml import etree
from PIL import Image
from pptx import Presentation
from pptx.enum.dml import MSO_THEME_COLOR
from pptx.enum.lang import MSO_LANGUAGE_ID
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.enum.text import MSO_ANCHOR
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml.ns import qn
from pptx.util import Emu, Inches, Pt

from staff.kit.report.answers import Answer, answers_from
from staff.kit.report.inputs import NotebookPictures, ReportError, Scores
from staff.kit.report.slides import Report, Slide, Table, read_slides

THEME = Path(__file__).with_name("theme.pptx")

# What a layout cannot say: the type of a table, the height of its rows where there is room, and margins.
TABLE_PT, ROW, CELL_MARGIN, PICTURE_MARGIN = Pt(14), Inches(0.62), Inches(0.03), Inches(0.06)

_MARKUP = re.compile(r"\*\*(?P<bold>.+?)\*\*|_\{(?P<lowered>.+?)\}")
# Sizes and percentages stay on one line.
_UNBROKEN = re.compile(r"(?<=\d) (?=[×%])|(?<=×) (?=\d)")
_MADE = datetime(2026, 1, 1)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class Filling(NamedTuple):
    """What turns the template into the reference copy."""

    scores: Scores
    pictures: NotebookPictures


def make_deck(root: Path, filling: Filling | None = None, theme: Path = THEME) -> bytes:
    """Return the report as a .pptx file: the template, or the reference copy if there is something to fill in.

    The bytes depend on nothing but slides.yaml, the theme, the pictures and the scores.

    Args:
        root: the repository, where the pictures lie that are part of a question.
        filling: scores and pictures for the answers.
        theme: the presentation whose layouts are used.

    Raises:
        ReportError: a picture, an answer, or a layout or placeholder of the theme is missing.
    """
    report, deck = read_slides(), Presentation(str(theme))
    answers = answers_from(filling.scores) if filling else None
    _add_title_slide(deck, report, filling is not None)
    for slide in report.slides:
        page = _Page(deck, slide.layout)
        _write_question(page, slide)
        answer = None if answers is None else _answer_to(slide, answers)
        _add_tables(page, slide, answer)
        _add_pictures(page, slide, root, filling, answer)
        _write_sources(page, slide, report, answer)
        if answer is not None:
            _write_answer(page, slide, answer)
    _set_properties(deck, report.title, filling is not None)
    return _with_fixed_times(deck)


class _Page:
    """A new slide with a layout of the theme."""

    def __init__(self, deck, layout_name: str):
        layouts = {layout.name: layout for layout in deck.slide_layouts}
        if layout_name not in layouts:
            raise ReportError(
                f"The theme has no layout {layout_name!r}. It has {', '.join(layouts)}. (LibreOffice drops layouts "
                "when it saves a theme: edit it in PowerPoint.)"
            )
        self.layout = layouts[layout_name]
        self.slide = deck.slides.add_slide(self.layout)
        self._indices = {shape.name: shape.placeholder_format.idx for shape in self.layout.placeholders}
        self._add_number()

    def place(self, name: str):
        """Return the placeholder with this name."""
        if name not in self._indices:
            raise ReportError(f"The theme's layout {self.layout.name!r} has no placeholder {name!r}.")
        return self.slide.placeholders[self._indices[name]]

    def count(self, kind: str) -> int:
        """Return how many placeholders are named `kind` and a number."""
        return sum(name.startswith(f"{kind} ") for name in self._indices)

    def _add_number(self) -> None:
        """python-pptx leaves a layout's slide number out of a new slide."""
        for shape in self.layout.placeholders:
            if shape.placeholder_format.type == PP_PLACEHOLDER.SLIDE_NUMBER:
                number = deepcopy(shape._element)
                number.nvSpPr.cNvPr.set("id", str(max(s.shape_id for s in self.slide.shapes) + 1))
                number.spPr.clear()  # the place is the layout's
                self.slide.shapes._spTree.append(number)


def _add_title_slide(deck, report: Report, filled: bool) -> None:
    page = _Page(deck, "Title")
    _write(page.slide.shapes.title, [report.title])
    _write(page.place("Subtitle"), ["Report, reference answers. For course staff."] if filled else report.subtitle)
    rows = [(name, "Reference copy" if filled and name == "Name" else "") for name in report.fields]
    _fill_table(page, "Fields", rows, widths=(1, 3), first_is="column")


def _write_question(page: _Page, slide: Slide) -> None:
    title = page.slide.shapes.title
    _write(title, [f"**{slide.part}**   {slide.title}"])
    title.text_frame.paragraphs[0].runs[0].font.color.theme_color = MSO_THEME_COLOR.ACCENT_2
    _write(page.place("Question"), [slide.question])


def _answer_to(slide: Slide, answers: dict[str, Answer]) -> Answer:
    if slide.part not in answers:
        raise ReportError(f"slides.yaml has a slide {slide.part}, and answers.py no answer to it.")
    return answers[slide.part]


def _write_answer(page: _Page, slide: Slide, answer: Answer) -> None:
    if page.count("Answer") != len(answer.texts):
        raise ReportError(f"answers.py, {slide.part}: {len(answer.texts)} texts for {page.count('Answer')} places.")
    for number, paragraphs in enumerate(answer.texts, 1):
        _write(page.place(f"Answer {number}"), paragraphs)


def _add_tables(page: _Page, slide: Slide, answer: Answer | None) -> None:
    if answer is not None and len(answer.tables) != len(slide.tables):
        raise ReportError(f"answers.py, {slide.part}: {len(answer.tables)} tables for {len(slide.tables)} to fill in.")
    for number, table in enumerate(slide.tables, 1):
        rows = [[cell or "" for cell in row] for row in table.rows]
        if answer is not None:
            rows = filled_rows(table, answer.tables[number - 1], slide.part)
        _fill_table(page, f"Table {number}", [table.header, *rows], table.widths, first_is="row")


def filled_rows(table: Table, cells: Sequence[Sequence[str]], part: str) -> list[list[str]]:
    """Return the rows of a table with `cells`, row by row, in its empty cells.

    Raises:
        ReportError: there are more or fewer of them than empty cells.
    """
    blanks = [sum(cell is None for cell in row) for row in table.rows]
    if blanks != [len(row) for row in cells]:
        raise ReportError(f"answers.py, {part}: the table has {blanks} cells to fill in, row by row.")
    rows = []
    for row, answers in zip(table.rows, cells, strict=True):
        left = iter(answers)
        rows.append([next(left) if cell is None else cell for cell in row])
    return rows


def _fill_table(page: _Page, name: str, rows, widths, first_is: str) -> None:
    """Put a table into the placeholder of this name. The theme's table style marks the first row or column."""
    place = page.place(name)
    widths = widths or (1,) * len(rows[0])
    row_height, whole = Emu(round(min(place.height / len(rows), ROW))), place.width
    frame = place.insert_table(len(rows), len(rows[0]))
    frame.name, frame.height = name, row_height * len(rows)
    table = frame.table
    table.first_row, table.first_col, table.horz_banding = first_is == "row", first_is == "column", False
    table._tbl.tblPr.find(qn("a:tableStyleId")).text = _default_table_style(page)
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Emu(round(whole * width / sum(widths)))
    for row, words in zip(table.rows, rows, strict=True):
        row.height = row_height
        for cell, text in zip(row.cells, words, strict=True):
            _fill_cell(cell, text)


def _default_table_style(page: _Page) -> str:
    presentation = page.slide.part.package.presentation_part
    styles = presentation.part_related_by(RELATIONSHIP_TYPE.TABLE_STYLES)
    return etree.fromstring(styles.blob).get("def")


def _fill_cell(cell, words: str) -> None:
    cell.vertical_anchor = MSO_ANCHOR.MIDDLE
    cell.margin_top = cell.margin_bottom = CELL_MARGIN
    paragraph = cell.text_frame.paragraphs[0]
    for run in _add_runs(paragraph, words):
        run.font.size = TABLE_PT
    # The size of what will be written into an empty cell.
    paragraph._p.get_or_add_endParaRPr().sz = TABLE_PT.centipoints


def _add_pictures(page: _Page, slide: Slide, root: Path, filling: Filling | None, answer: Answer | None) -> None:
    for number, picture in enumerate(slide.pictures, 1):
        caption = picture.caption
        if picture.file:
            _insert(page.place(f"Picture {number}"), _read(root / picture.file), caption)
        elif picture.cell and filling and answer:
            if answer.frame is not None:
                caption = f"{caption} ({filling.scores.frames[answer.frame]})"
            file = filling.pictures.get(picture.cell, answer.frame or 0)
            _insert(page.place(f"Picture {number}"), file, caption)
        _write(page.place(f"Caption {number}"), [caption])


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ReportError(f"The picture {path} is missing. Run `make figures` first, which draws it.")
    return path.read_bytes()


def _insert(place, picture: bytes, description: str) -> None:
    """Put a picture into a placeholder, whole and centred, where PowerPoint would crop it to fill the frame."""
    frame = (place.left, place.top, place.width, place.height)
    shape = place.insert_picture(io.BytesIO(picture))
    shape.crop_left = shape.crop_right = shape.crop_top = shape.crop_bottom = 0
    shape.left, shape.top, shape.width, shape.height = _fitted(frame, Image.open(io.BytesIO(picture)).size)
    shape._element.nvPicPr.cNvPr.set("descr", description)


def _fitted(frame, size) -> tuple[int, int, int, int]:
    left, top, width, height = frame
    scale = min((width - 2 * PICTURE_MARGIN) / size[0], (height - 2 * PICTURE_MARGIN) / size[1])
    w, h = round(size[0] * scale), round(size[1] * scale)
    return left + (width - w) // 2, top + (height - h) // 2, w, h


def _write_sources(page: _Page, slide: Slide, report: Report, answer: Answer | None) -> None:
    """Write the links, and in the reference copy the sources of the answer, below the answer."""
    place = page.place("Reading")
    source = [f"Source: {answer.source}."] if answer and answer.source else []
    if not slide.reading and not source:
        place._element.getparent().remove(place._element)
        return
    _write(place, (["Reading: "] if slide.reading else []) + source)
    paragraph = place.text_frame.paragraphs[0]
    for number, key in enumerate(slide.reading):
        if number:
            paragraph.add_run().text = "  ·  "
        link = paragraph.add_run()
        link.text, link.hyperlink.address = report.papers[key].label, report.papers[key].address


def _write(shape, paragraphs: Sequence[str]) -> None:
    frame = shape.text_frame
    for number, words in enumerate(paragraphs):
        _add_runs(frame.add_paragraph() if number else frame.paragraphs[0], words)


def _add_runs(paragraph, words: str) -> list:
    """Append `words` to a paragraph, in runs as their marks ask for, and return the runs."""
    at, runs = 0, []
    for mark in _MARKUP.finditer(words):
        kind = mark.lastgroup or ""
        runs += [(words[at : mark.start()], ""), (mark[kind], kind)]
        at = mark.end()
    runs.append((words[at:], ""))
    return [_add_run(paragraph, text, kind) for text, kind in runs if text]


def _add_run(paragraph, text: str, kind: str):
    run = paragraph.add_run()
    run.text = _UNBROKEN.sub("\N{NO-BREAK SPACE}", text)
    run.font.language_id = MSO_LANGUAGE_ID.ENGLISH_UK
    if kind == "bold":
        run.font.bold = True
    elif kind == "lowered":
        run._r.get_or_add_rPr().set("baseline", "-25000")
    return run


def _set_properties(deck, title: str, filled: bool) -> None:
    properties = deck.core_properties
    properties.title = f"{title}: " + ("reference answers" if filled else "report")
    properties.author = properties.last_modified_by = properties.comments = ""
    properties.created = properties.modified = _MADE
    properties.revision, properties.language = 1, "en-GB"


def _with_fixed_times(deck) -> bytes:
    """Save a presentation with the same bytes each time: fixed dates, and no compression, whose result varies."""
    saved, fixed = io.BytesIO(), io.BytesIO()
    deck.save(saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.create_system = 3  # Unix, wherever this runs
            target.writestr(entry, source.read(name))
    return fixed.getvalue()
