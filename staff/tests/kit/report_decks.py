"""What the tests of the report share: scores, notebooks with pictures, and ways to look at a deck."""

import base64
import io
import json
import re
from functools import cache

from PIL import Image
from pptx import Presentation

from staff.kit.report.inputs import MODELS, Scores
from staff.kit.report.slides import read_slides

SLIDES = read_slides().slides
PARTS = [
    *("1.1", "1.2", "1.3", "2.1a", "2.1b", "2.1c", "2.2a", "2.2b", "2.3a", "2.3b", "2.4a", "2.4b"),
    *("3.1a", "3.1b", "3.2", "3.3", "EC 1", "EC 2"),
]
FRAMES = ("0001TP_009780", "Seq05VD_f03030", "Seq05VD_f04110")
VGG_FIRST = dict(
    zip(MODELS, ((0.9223, 0.9312, 0.9415), (0.8864, 0.9095, 0.9393), (0.8106, 0.9054, 0.9005)), strict=True)
)
RESNET_FIRST = dict(
    zip(MODELS, ((0.6236, 0.6358, 0.8219), (0.8416, 0.8782, 0.9133), (0.9516, 0.9054, 0.9405)), strict=True)
)
LEVEL = dict(zip(MODELS, ((0.9223, 0.9312, 0.9415), (0.9231, 0.9312, 0.9405), (0.9215, 0.9312, 0.9431)), strict=True))
CASES = {"VGG-19 first": VGG_FIRST, "ResNet-50 first": RESNET_FIRST, "level": LEVEL}


def scores_of(table) -> Scores:
    return Scores(FRAMES, {(m, f): iou for m, ious in table.items() for f, iou in zip(FRAMES, ious, strict=True)})


def csv_of(table) -> str:
    rows = [f"{model},{frame},{iou}" for (model, frame), iou in scores_of(table).table.items()]
    return "\n".join(["model,frame,iou", *rows, ""])


def picture(width, height, grey, kind) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height), grey).save(file, kind)
    return file.getvalue()


def output_of(file: bytes) -> dict:
    kind = "image/png" if file.startswith(b"\x89PNG") else "image/jpeg"
    return {"output_type": "display_data", "data": {kind: base64.b64encode(file).decode(), "text/plain": "<Figure>"}}


def notebook_of(cells) -> str:
    """An executed notebook: cell ids, and the pictures of each."""
    return json.dumps(
        {"cells": [{"id": name, "metadata": {}, "outputs": list(map(output_of, ps))} for name, ps in cells.items()]}
    )


def all_cells():
    """Three pictures for every cell that the slides name, no two alike, PNG and JPEG by turns."""
    names = sorted({picture.cell for slide in SLIDES for picture in slide.pictures if picture.cell})
    kinds = ("PNG", "JPEG")
    return {name: [picture(640 + 10 * i, 160, 80 * k, kinds[i % 2]) for k in range(3)] for i, name in enumerate(names)}


@cache
def slides(deck: bytes):
    """The slides of a deck, opened once: do not change them."""
    return list(Presentation(io.BytesIO(deck)).slides)


def slide_of(deck: bytes, part: str):
    return slides(deck)[1 + PARTS.index(part)]


def texts(slide) -> list[str]:
    """Every paragraph and table cell of a slide, with plain spaces."""
    found = [p.text for shape in slide.shapes if shape.has_text_frame for p in shape.text_frame.paragraphs]
    found += [cell.text for shape in slide.shapes if shape.has_table for row in shape.table.rows for cell in row.cells]
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in found if text]


def text(slide) -> str:
    return "\n".join(texts(slide))


def places(slide) -> dict:
    """A slide's placeholders by the names that they have in the layout."""
    names = {shape.placeholder_format.idx: shape.name for shape in slide.slide_layout.placeholders}
    return {names[shape.placeholder_format.idx]: shape for shape in slide.placeholders}


def plain(words: str) -> str:
    return re.sub(r"_\{(.+?)\}", r"\1", words.replace("**", ""))
