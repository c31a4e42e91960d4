"""Reads slides.yaml: what is on every slide before it is answered."""

from functools import cache
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from staff.kit.report.inputs import ReportError

SLIDES = Path(__file__).with_name("slides.yaml")

Text = Annotated[str, Field(min_length=1)]


class _Entry(BaseModel):
    """An entry of the file. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Paper(_Entry):
    """Something to read: the text of the link and its address."""

    label: Text
    address: Text


class Picture(_Entry):
    """A picture and the caption under it: the output of a notebook `cell`, or a `file` that the template shows too."""

    caption: Text
    cell: Text | None = None
    file: Text | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.cell is None) == (self.file is None):
            raise ValueError("needs either `cell` or `file`")
        return self


class Table(_Entry):
    """A table. A cell that is None has to be filled in. `widths` are the relative widths of the columns."""

    header: list[str]
    rows: list[list[str | None]]
    widths: list[float] | None = None

    @model_validator(mode="after")
    def _has_full_rows(self) -> Self:
        columns = len(self.header)
        for row in self.rows:
            if len(row) != columns:
                raise ValueError(f"needs {columns} columns in every row, got {row}")
        if self.widths is not None and len(self.widths) != columns:
            raise ValueError(f"needs {columns} widths, got {self.widths}")
        return self


class Slide(_Entry):
    """One slide: its question and the name of its layout in theme.pptx; `reading` names papers."""

    part: Text
    title: Text
    question: Text
    layout: Text
    reading: list[str] = []
    tables: list[Table] = []
    pictures: list[Picture] = []


class Report(_Entry):
    """The whole file."""

    title: Text
    subtitle: list[str]
    fields: list[str]
    papers: dict[str, Paper]
    slides: list[Slide]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        parts = [slide.part for slide in self.slides]
        if len(set(parts)) < len(parts):
            raise ValueError(f"two slides have the same part: {parts}")
        for slide in self.slides:
            if unknown := set(slide.reading) - set(self.papers):
                raise ValueError(f"slide {slide.part} names papers that are not listed: {sorted(unknown)}")
        return self


@cache
def read_slides(path: Path = SLIDES) -> Report:
    """Read the file of slides.

    Raises:
        ReportError: it is missing, not YAML, or has an entry that is not as described; the message names the entry.
    """
    try:
        return Report.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ReportError(f"{path}, {place}: {first['msg']}. (Entries are counted from 0.)") from error
