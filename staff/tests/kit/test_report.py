"""The report: order and wording of the slides, room for every text, answers in the reference copy alone, and facts."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import datetime
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torchinfo
import torchvision
from PIL import Image
from pptx import Presentation
from pptx.util import Emu, Pt

from staff import ROOT
from staff.figures.concepts import question_masks
from staff.kit import make_report
from staff.kit.report import content, design
from staff.kit.report.deck import Filling, make_deck
from staff.kit.report.inputs import FPN_RESNET50, FPN_VGG19, MODELS, PSP_RESNET50, NotebookPictures, ReportError, Scores

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
    names = sorted({figure.cell for slide in content.SLIDES for figure in slide.figures})
    kinds = ("PNG", "JPEG")
    return {name: [picture(640 + 10 * i, 160, 80 * k, kinds[i % 2]) for k in range(3)] for i, name in enumerate(names)}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    path = tmp_path_factory.mktemp("notebook") / "proj2.ipynb"
    path.write_text(notebook_of(all_cells()), encoding="utf-8")
    return NotebookPictures([path])


@pytest.fixture(scope="module")
def template():
    return make_deck(ROOT)


@pytest.fixture(scope="module")
def references(pictures):
    """The reference copy for each of CASES."""
    return {case: make_deck(ROOT, Filling(scores_of(table), pictures)) for case, table in CASES.items()}


@pytest.fixture(params=CASES)
def reference(request, references):
    return references[request.param]


@pytest.fixture
def repository(tmp_path):
    """A repository after `make run`, with what the report reads and nothing else."""
    for name in ("build", "proj2_code"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "proj2_code" / "iou_question.png", tmp_path / "proj2_code")
    (tmp_path / "build" / "iou.csv").write_text(csv_of(VGG_FIRST), encoding="utf-8")
    (tmp_path / "build" / "proj2.ipynb").write_text(notebook_of(all_cells()), encoding="utf-8")
    return tmp_path


def slides(deck: bytes):
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


def plain(words: str) -> str:
    return re.sub(r"_\{(.+?)\}", r"\1", words.replace("**", ""))


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
        assert ours.placeholders[design.QUESTION_IDX].text == theirs.placeholders[design.QUESTION_IDX].text
        assert [s.name for s in ours.shapes if s.has_table] == [s.name for s in theirs.shapes if s.has_table]


def test_template_holds_no_answer(template):
    everything = "\n".join(text(slide) for slide in slides(template))
    with zipfile.ZipFile(io.BytesIO(template)) as package:
        raw = b"".join(package.read(name) for name in package.namelist() if name.endswith(".xml"))
    raw = raw.decode().replace("\N{NO-BREAK SPACE}", " ")
    for part, spec in zip(PARTS, content.SLIDES, strict=True):
        for case in CASES.values():
            for answer in spec.answers:
                for paragraph in answer(scores_of(case)) if callable(answer) else answer:
                    sentences = re.split(r"(?<=\.) ", plain(paragraph))
                    for sentence in [words for words in sentences if words.count(" ") > 2]:
                        assert sentence not in everything and sentence not in raw, f"{part}: {sentence}"
        for number, table in enumerate(spec.tables, 1):
            (shape,) = [s for s in slide_of(template, part).shapes if s.name == f"Table {number}"]
            rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
            assert rows[0] == list(table.header)
            blank = [cell for row in rows[1:] for column, cell in enumerate(row) if column not in table.given]
            assert blank and not any(blank), f"{part}: {blank}"
            assert all(row[column] for row in rows[1:] for column in table.given), f"{part}: {rows}"
        assert not spec.source or f"Source: {spec.source}" not in raw


def test_template_has_a_placeholder_for_every_picture_and_answer(template):
    for part, spec in zip(PARTS, content.SLIDES, strict=True):
        slide = slide_of(template, part)
        empty = [p for p in slide.placeholders if p.element.ph_idx in design.PICTURE_IDX and not hasattr(p, "image")]
        assert len(empty) == len(spec.figures), part
        answers = [p for p in slide.placeholders if p.element.ph_idx in design.ANSWER_IDX]
        assert len(answers) == len(spec.answers) and all(p.text == "" for p in answers), part


def test_reference_shows_the_pictures_whole_and_with_a_description(reference):
    cells = all_cells()
    for part, spec in zip(PARTS, content.SLIDES, strict=True):
        shown = [p for p in slide_of(reference, part).placeholders if hasattr(p, "image")]
        assert len(shown) == len(spec.figures) + bool(spec.given_picture), part
        for picture, figure in zip(shown, spec.figures, strict=False):
            assert picture.image.blob in cells[figure.cell]
        for picture in shown:
            assert (picture.crop_left, picture.crop_right, picture.crop_top, picture.crop_bottom) == (0, 0, 0, 0)
            assert picture.width / picture.height == pytest.approx(np.divide(*picture.image.size), rel=0.01)
        captions = [spec.given_picture[1]] if spec.given_picture else [figure.caption for figure in spec.figures]
        for picture, caption in zip(shown, captions, strict=True):
            assert picture._element.nvPicPr.cNvPr.get("descr").startswith(caption)


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
    words = text(slide_of(deck, "3.3"))
    assert f"{scores.mean(FPN_VGG19):.4f}" in words


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


def font_size(slide, placeholder) -> float:
    index = placeholder.element.ph_idx
    if index in design.ANSWER_IDX:
        return next(spec.answer_pt for spec in design.LAYOUTS.values() if spec.name == slide.slide_layout.name)
    sizes = {0: design.TITLE_PT, design.QUESTION_IDX: design.QUESTION_PT, design.READING_IDX: design.SMALL_PT}
    return sizes.get(index, design.CAPTION_PT)


def boxes(slide):
    """The rectangles (left, top, right, bottom) that a slide's shapes cover, page number aside, by name."""
    return {
        shape.name: (shape.left, shape.top, shape.left + shape.width, shape.top + shape.height)
        for shape in slide.shapes
        if not (shape.is_placeholder and shape.element.ph_idx == design.NUMBER_IDX)
    }


def test_every_text_fits_its_box(template, reference):
    for deck in (template, reference):
        for slide in slides(deck)[1:]:
            where = slide.shapes.title.text
            for shape in slide.placeholders:
                index = shape.element.ph_idx
                if index == design.NUMBER_IDX or not shape.has_text_frame:
                    continue
                size = Pt(font_size(slide, shape))
                is_answer = index in design.ANSWER_IDX
                inset = Emu(2 * 914400 * design.INSET) if is_answer else 0
                width = shape.width - inset - (228600 if is_answer else 0)
                height = text_height(shape.text_frame, size, width, all_bold=index == 0)
                assert height <= shape.height - inset, (
                    f"{where}: {shape.name} is too small for {shape.text_frame.text!r}"
                )


def test_every_table_cell_fits_its_row(template, reference):
    size, margin = Pt(design.TABLE_PT), Emu(91440)
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


# ---------------------------------------------------------------------------------------------------------------------
# Facts


@pytest.mark.parametrize(
    ("name", "architecture", "encoder"),
    [
        (FPN_VGG19, smp.FPN, "vgg19"),
        (FPN_RESNET50, smp.FPN, "resnet50"),
        (PSP_RESNET50, smp.PSPNet, "resnet50"),
    ],
)
def test_sizes_and_costs_are_those_of_the_models(name, architecture, encoder):
    with torch.device("meta"):
        model = architecture(encoder, encoder_weights=None, classes=1, activation="sigmoid").eval()
    frame = torch.empty(1, 3, 384, 480, device="meta")
    summary = torchinfo.summary(model, input_data=frame, device="meta", verbose=0)
    assert summary.total_params == content.PARAMETERS[name]
    assert round(summary.total_mult_adds / 1e9, 2) == content.MULT_ADDS_G[name]


def test_layers_that_pspnet_never_runs():
    with torch.device("meta"):
        encoder = smp.PSPNet("resnet50", encoder_weights=None).eval().encoder
    run = []
    for name in ("layer1", "layer2", "layer3", "layer4"):
        getattr(encoder, name).register_forward_hook(lambda *_, name=name: run.append(name))
    encoder(torch.empty(1, 3, 384, 480, device="meta"))
    assert run == ["layer1", "layer2"]
    idle = sum(p.numel() for layer in (encoder.layer3, encoder.layer4) for p in layer.parameters())
    assert idle == content.IDLE_PARAMETERS


def test_models_were_trained_as_unequally_as_the_answers_say():
    lineage = json.loads((ROOT / "models" / "lineage.json").read_text(encoding="utf-8"))
    starts = {stages[0]["start"] for stages in lineage.values()}
    crops = {sum(stage["steps"] * stage["batch_size"] for stage in stages) for stages in lineage.values()}
    assert len(starts) == len(crops) == len(lineage) == 3


@pytest.mark.parametrize("case", CASES)
def test_training_is_named_beside_the_architecture(case, references):
    for part, architecture in (("3.2", "The encoders"), ("3.3", "arranged"), ("EC 2", "The architectures")):
        paragraphs = content.SLIDES[PARTS.index(part)].answers[0](scores_of(CASES[case]))
        words = " ".join(map(plain, paragraphs))
        assert architecture in words and "models/README.md" in words
        assert "training (see models/README.md)" in text(slide_of(references[case], part))
        assert part == "3.2" or "22.06 M of its 24.30 M" in words


def answer_table(part: str, number: int = 0):
    return content.SLIDES[PARTS.index(part)].tables[number].rows


def count(network) -> dict[str, int]:
    """Count the layers of a VGG or ResNet by the names of the report's tables."""
    layers = list(network.modules())
    kinds = Counter(type(layer).__name__ for layer in layers)
    shortcuts = sum(getattr(layer, "downsample", None) is not None for layer in layers)
    return {
        "Convolution": kinds["Conv2d"],
        "Convolution on the main path": kinds["Conv2d"] - shortcuts,
        "Convolution in a shortcut": shortcuts,
        "Batch normalisation": kinds["BatchNorm2d"],
        "Bottleneck": kinds["Bottleneck"],
        "ReLU": kinds["ReLU"],
        "Max-pooling": kinds["MaxPool2d"],
        "Fully connected": kinds["Linear"],
    }


@pytest.mark.parametrize(("name", "part"), [("vgg19", "2.2a"), ("resnet50", "2.3a")])
def test_layer_counts_are_those_of_the_networks(name, part):
    with torch.device("meta"):
        original = count(torchvision.models.get_model(name))
        encoder = count(smp.encoders.get_encoder(name, weights=None))
    for kind, in_original, in_encoder in answer_table(part):
        assert (int(in_original), int(in_encoder)) == (original[kind], encoder[kind]), kind


def test_what_vgg19_loses_without_its_classifier():
    with torch.device("meta"):
        networks = smp.encoders.get_encoder("vgg19", weights=None), torchvision.models.vgg19()
    encoder, original = (sum(p.numel() for p in network.parameters()) / 1e6 for network in networks)
    assert (
        f"{encoder:.1f} of the original’s {original:.1f} million" in content.SLIDES[PARTS.index("2.2a")].answers[0][2]
    )


def test_heights_and_widths_are_those_of_the_models():
    frame = torch.empty(1, 3, 384, 480, device="meta")

    def stages(encoder):
        with torch.device("meta"):
            model = smp.FPN(encoder, encoder_weights=None, classes=1).eval()
        maps = model.encoder(frame)
        return model, [(f"{x.shape[2]} × {x.shape[3]}", str(x.shape[1])) for x in maps], model.decoder(maps)

    vgg, sizes, decoded = stages("vgg19")
    table = answer_table("2.2b")
    assert [row[1] for row in table] == [size for size, _ in sizes]
    assert [row[3] for row in table][:4] == [size for size, _ in sizes[:1:-1]]
    assert [row[3] for row in table][4:] == [
        "{} × {}".format(*decoded.shape[2:]),
        "{} × {}".format(*vgg(frame).shape[2:]),
    ]
    _, sizes, decoded = stages("resnet50")
    conv1, pooled, *layers = [tuple(row[1:]) for row in answer_table("2.3a", 1)]
    assert [conv1, *layers] == sizes[1:]
    assert pooled == (layers[0][0], conv1[1])
    assert "{} × {}".format(*decoded.shape[2:]) in content.SLIDES[PARTS.index("2.3a")].answers[0][0]


def test_share_of_parameters_and_costs_in_the_prose():
    ratio = content.PARAMETERS[FPN_RESNET50] / content.PARAMETERS[FPN_VGG19]
    prose = content.SLIDES[PARTS.index("2.3b")].answers[0][0]
    assert f"{100 * (ratio - 1):.0f} % more parameters" in prose
    assert f"{content.MULT_ADDS_G[FPN_VGG19] / content.MULT_ADDS_G[FPN_RESNET50]:.1f} times the multiply-adds" in prose


def test_answer_to_question_3_is_right():
    truth, first, second = question_masks()
    assert (truth & first).sum() == (truth & second).sum()
    assert (truth | first).sum() < (truth | second).sum()
    assert plain(content.SLIDES[PARTS.index("3.1b")].answers[0][0]).startswith("Pred Mask1.")


def test_four_encoders_are_ones_to_be_had():
    known = {"ResNeXt-50": "resnext50_32x4d", "DenseNet-121": "densenet121"}
    known |= {"MobileNetV2": "mobilenet_v2", "EfficientNet-B0": "efficientnet-b0"}
    assert {known[row[0]] for row in answer_table("2.1a")} <= set(smp.encoders.get_encoder_names())


# ---------------------------------------------------------------------------------------------------------------------
# What is written, and what goes wrong


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


def test_without_libreoffice_the_rest_is_made(repository, monkeypatch, capsys):
    (repository / "dist").mkdir()
    (repository / "dist" / "proj2_reference.pdf").write_bytes(b"of last term")
    monkeypatch.setattr(make_report, "find_office", lambda: None)
    assert make_report.main(repository) == 0
    assert "LibreOffice is not installed" in capsys.readouterr().err
    assert (repository / "dist" / "proj2_reference.pptx").is_file()
    assert not (repository / "dist" / "proj2_reference.pdf").exists(), "a PDF of another deck was left"


def test_libreoffice_that_fails_leaves_no_pdf(repository, monkeypatch, capsys):
    monkeypatch.setattr(make_report, "find_office", lambda: str(repository / "no-such-program"))
    assert make_report.main(repository) == 0
    assert "could not convert" in capsys.readouterr().err
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


def test_runs_as_a_program(tmp_path, template):
    root = tmp_path / "Entwürfe für später"
    shutil.copytree(ROOT / "staff", root / "staff", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    (root / "proj2_code").mkdir()
    shutil.copy(ROOT / "proj2_code" / "iou_question.png", root / "proj2_code")
    command = [sys.executable, "-m", "staff.kit.make_report"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.returncode == 1 and "make run" in run.stderr and "Traceback" not in run.stderr
    assert (root / "proj2_template.pptx").read_bytes() == template
