"""The look of the report: page, palette, and one slide layout for each arrangement of answer, table and picture.

python-pptx's built-in template gives the package its parts; the theme's colours and fonts, the master and every layout
are replaced by the ones here. Layouts hold frames that stay visible when a placeholder is empty, so that a printed
template still shows where to write.
"""

from dataclasses import dataclass
from xml.sax.saxutils import escape

from lxml import etree
from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.presentation import Presentation as PresentationType
from pptx.util import Inches

# Okabe and Ito's blue and vermilion, as in the notebook's figures.
INK, MUTED, RULE, PANEL, BLUE, VERMILION = "1F2933", "5A6673", "C9D1D9", "F3F5F7", "0072B2", "D55E00"
PALETTE = {
    "dk1": INK,
    "lt1": "FFFFFF",
    "dk2": "12324A",
    "lt2": PANEL,
    "accent1": BLUE,
    "accent2": VERMILION,
    "accent3": "009E73",
    "accent4": "E69F00",
    "accent5": "56B4E9",
    "accent6": "CC79A7",
    "hlink": BLUE,
    "folHlink": MUTED,
}
FONT = "Arial"
INSTRUCTIONS = (
    "Keep every slide and their order. Put extra slides after the last one. Hand in as <your_gt_username>.pdf."
)

# All lengths in inches on a 16:9 page.
WIDTH, HEIGHT = 40 / 3, 7.5
LEFT, RIGHT = 0.65, WIDTH - 0.65
INNER = RIGHT - LEFT
TOP, BOTTOM = 2.05, 6.32
CAPTION = 0.3
GAP = 0.25

QUESTION_IDX, READING_IDX, NUMBER_IDX = 10, 40, 50
ANSWER_IDX, PICTURE_IDX, CAPTION_IDX = (11, 12, 13), (21, 22, 23), (31, 32, 33)

TITLE_PT, QUESTION_PT, ANSWER_PT, NARROW_PT, TABLE_PT, CAPTION_PT, SMALL_PT = 26, 15, 16, 13, 14, 11, 10.5
INSET, PICTURE_MARGIN, CELL_MARGIN = 0.1, 0.06, 0.03
# The height of a table's row, where the table's box leaves room for it.
ROW = 0.62


@dataclass(frozen=True)
class Box:
    """A rectangle, in inches."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class Layout:
    """Where a slide has its answers, pictures (each with a caption under it) and tables."""

    name: str
    answers: tuple[Box, ...]
    pictures: tuple[Box, ...] = ()
    tables: tuple[Box, ...] = ()
    answer_pt: float = ANSWER_PT


# The table on the title slide.
FIELDS = Box(LEFT, 3.3, 8.2, 2.75)

_BODY = BOTTOM - TOP
_HALF = (INNER - GAP) / 2


def _columns(n: int, y: float, h: float) -> tuple[Box, ...]:
    w = (INNER - (n - 1) * GAP) / n
    return tuple(Box(LEFT + i * (w + GAP), y, w, h) for i in range(n))


def _stack(x: float, y: float, w: float, h: float) -> tuple[Box, ...]:
    """Return two boxes above each other in this one, with room for a caption under each."""
    each = (h - GAP / 2) / 2
    return Box(x, y, w, each - CAPTION), Box(x, y + each + GAP / 2, w, each - CAPTION)


LAYOUTS = {
    "answer": Layout("Answer", (Box(LEFT, TOP, INNER, _BODY),)),
    "picture below": Layout(
        "Answer above a wide picture",
        (Box(LEFT, TOP, INNER, 1.2),),
        (Box(LEFT, TOP + 1.2 + GAP, INNER, _BODY - 1.2 - GAP - CAPTION),),
    ),
    "picture right": Layout(
        "Answer beside a picture",
        (Box(LEFT, TOP, _HALF, _BODY),),
        (Box(LEFT + _HALF + GAP, TOP, _HALF, _BODY - CAPTION),),
    ),
    "table right": Layout(
        "Answer beside a table",
        (Box(LEFT, TOP, 5.6, _BODY),),
        tables=(Box(LEFT + 5.6 + GAP, TOP, INNER - 5.6 - GAP, _BODY),),
    ),
    "table above": Layout(
        "Table above the answer",
        (Box(LEFT, TOP + 1.9 + GAP, INNER, _BODY - 1.9 - GAP),),
        tables=(Box(LEFT, TOP, INNER, 1.9),),
    ),
    "two tables": Layout(
        "Two tables above the answer",
        (Box(LEFT, TOP + 2.75 + GAP, INNER, _BODY - 2.75 - GAP),),
        tables=_columns(2, TOP, 2.75),
    ),
    "scores": Layout(
        "Scores and answer beside two pictures",
        (Box(LEFT, TOP + 1.2 + GAP, _HALF, _BODY - 1.2 - GAP),),
        _stack(LEFT + _HALF + GAP, TOP, _HALF, _BODY),
        (Box(LEFT, TOP, _HALF, 1.2),),
        answer_pt=NARROW_PT,
    ),
    "scores and chart": Layout(
        "Scores and answer beside a picture",
        (Box(LEFT, TOP + 1.2 + GAP, _HALF, _BODY - 1.2 - GAP),),
        (Box(LEFT + _HALF + GAP, TOP, _HALF, _BODY - CAPTION),),
        (Box(LEFT, TOP, _HALF, 1.2),),
        answer_pt=NARROW_PT,
    ),
    "three pictures": Layout(
        "Three pictures with an answer each",
        _columns(3, TOP + 3.05, _BODY - 3.05),
        _columns(3, TOP, 3.05 - CAPTION - 0.08),
        answer_pt=NARROW_PT,
    ),
}


def blank_deck() -> PresentationType:
    """Return a presentation without slides that has this module's theme, master and layouts.

    Its layouts are the title slide followed by LAYOUTS in order.
    """
    deck = Presentation()
    deck.slide_width, deck.slide_height = Inches(WIDTH), Inches(HEIGHT)
    deck.element.find("{*}sldSz").attrib.pop("type")
    _drop_unused_parts(deck)
    master = deck.slide_master
    while len(master.slide_layouts) > 1 + len(LAYOUTS):
        master.slide_layouts.remove(master.slide_layouts[len(master.slide_layouts) - 1])
    _set_theme(master)
    _fill_tree(master, _master_shapes())
    _set_text_styles(master)
    _fill_layout(master.slide_layouts[0], "Title", _title_shapes())
    for layout, spec in zip(list(master.slide_layouts)[1:], LAYOUTS.values(), strict=True):
        _fill_layout(layout, spec.name, _question_shapes(spec))
    return deck


def _drop_unused_parts(deck):
    """Leave out thumbnail, statistics and printer settings, which would be those of python-pptx's template."""
    package, part = deck.part.package, deck.part
    for owner, unwanted in ((package, RT.THUMBNAIL), (package, RT.EXTENDED_PROPERTIES), (part, RT.PRINTER_SETTINGS)):
        for rel_id in [rel_id for rel_id, rel in owner._rels.items() if rel.reltype == unwanted]:
            owner.drop_rel(rel_id)


def _set_theme(master):
    part = master.part.part_related_by(RT.THEME)
    theme = etree.fromstring(part.blob)
    theme.set("name", "Segmentation report")
    ns = {"a": "http://schemas.openxmlformats.org/drawingml/2006/main"}
    for slot in theme.find(".//a:clrScheme", ns):
        name = etree.QName(slot).localname
        slot[:] = [etree.SubElement(slot, f"{{{ns['a']}}}srgbClr", val=PALETTE[name])]
    for latin in theme.findall(".//a:fontScheme/*/a:latin", ns):
        latin.set("typeface", FONT)
    part._blob = etree.tostring(theme, xml_declaration=True, encoding="UTF-8", standalone=True)


def _fill_layout(layout, name, shapes):
    for kind in ("type", "preserve"):
        layout._element.attrib.pop(kind, None)
    layout._element.set("userDrawn", "1")
    layout.name = name
    _fill_tree(layout, shapes)


def _fill_tree(page, shapes):
    tree = page.shapes._spTree
    for shape in list(page.shapes):
        tree.remove(shape._element)
    for number, shape in enumerate(shapes, 2):
        tree.append(parse_xml(shape.replace("SHAPE_ID", str(number))))


def _set_text_styles(master):
    """Give the master's title and body styles the sizes and colours of this deck."""
    styles = parse_xml(
        f"<p:txStyles {nsdecls('p', 'a')}>"
        f'<p:titleStyle><a:lvl1pPr algn="l"><a:spcBef><a:spcPts val="0"/></a:spcBef><a:buNone/>'
        f'<a:defRPr sz="{TITLE_PT * 100}" b="1"><a:solidFill><a:schemeClr val="tx2"/></a:solidFill>'
        f'<a:latin typeface="+mj-lt"/></a:defRPr></a:lvl1pPr></p:titleStyle>'
        f"<p:bodyStyle>{_bulleted_levels()}</p:bodyStyle><p:otherStyle/></p:txStyles>"
    )
    old = master._element.find("{*}txStyles")
    master._element.replace(old, styles)


def _bulleted_levels() -> str:
    return "".join(
        f'<a:lvl{level}pPr marL="{171450 * (2 * level - 1) + 57150}" indent="-228600" algn="l">'
        f'<a:spcBef><a:spcPts val="0"/></a:spcBef><a:spcAft><a:spcPts val="500"/></a:spcAft>'
        f'<a:buClr><a:schemeClr val="accent1"/></a:buClr><a:buFont typeface="{FONT}"/><a:buChar char="•"/>'
        f'<a:defRPr sz="{ANSWER_PT * 100}"><a:solidFill><a:schemeClr val="tx1"/></a:solidFill>'
        f'<a:latin typeface="+mn-lt"/></a:defRPr></a:lvl{level}pPr>'
        for level in (1, 2)
    )


def _master_shapes() -> list[str]:
    return [
        _rectangle("Top bar", Box(0, 0, WIDTH, 0.12), fill="tx2"),
        _placeholder("Title", "title", None, Box(LEFT, 0.32, INNER, 0.6), "Title", TITLE_PT, colour="tx2"),
        _placeholder("Body", "body", 1, Box(LEFT, TOP, INNER, BOTTOM - TOP), "Text", ANSWER_PT),
        _number_placeholder(),
        _label("Instructions", Box(LEFT, 7.02, INNER - 1, 0.28), INSTRUCTIONS),
    ]


def _question_shapes(spec: Layout) -> list[str]:
    question = Box(LEFT, 0.98, INNER, 0.86)
    inside = Box(LEFT + 0.2, question.y, INNER - 0.3, question.h)
    frames = [_rectangle(f"Frame {i}", box, line=True) for i, box in enumerate((*spec.answers, *spec.pictures), 1)]
    shapes = [
        _rectangle("Question panel", question, fill="bg2"),
        _rectangle("Question bar", Box(LEFT, question.y, 0.07, question.h), fill="accent2"),
        *frames,
        _placeholder("Title", "title", None, Box(LEFT, 0.32, INNER, 0.6), "Title", TITLE_PT, colour="tx2"),
        _placeholder("Question", "body", QUESTION_IDX, inside, "Question", QUESTION_PT, plain=True, anchor="ctr"),
    ]
    for i, box in enumerate(spec.answers):
        prompt = "Write your answer here."
        shapes.append(
            _placeholder(
                f"Answer {i + 1}", "body", ANSWER_IDX[i], box, prompt, spec.answer_pt, shrink=True, inset=INSET
            )
        )
    for i, box in enumerate(spec.pictures):
        prompt = "Click the icon to insert your picture."
        below = Box(box.x, box.y + box.h + 0.02, box.w, CAPTION - 0.02)
        shapes += [
            _placeholder(f"Picture {i + 1}", "pic", PICTURE_IDX[i], box, prompt, CAPTION_PT, plain=True),
            _placeholder(
                f"Caption {i + 1}", "body", CAPTION_IDX[i], below, "Caption", CAPTION_PT, plain=True, colour="muted"
            ),
        ]
    reading = Box(LEFT, 6.4, INNER, 0.42)
    shapes.append(
        _placeholder("Reading", "body", READING_IDX, reading, "Reading", SMALL_PT, plain=True, colour="muted")
    )
    return [*shapes, _number_placeholder()]


def _title_shapes() -> list[str]:
    return [
        _rectangle("Side bar", Box(0, 0, 0.25, HEIGHT), fill="tx2"),
        _rectangle("Rule", Box(LEFT, 2.9, 1.6, 0.06), fill="accent2"),
        _placeholder("Title", "title", None, Box(LEFT, 0.95, INNER, 0.9), "Title", 40, anchor="b", colour="tx2"),
        _placeholder(
            "Subtitle", "body", QUESTION_IDX, Box(LEFT, 1.9, INNER, 0.85), "Subtitle", 20, plain=True, colour="muted"
        ),
        _number_placeholder(),
    ]


def _number_placeholder() -> str:
    return number_shape("SHAPE_ID", Box(RIGHT - 0.9, 7.02, 0.9, 0.28))


def number_shape(shape_id: str, box: Box | None = None) -> str:
    """Return the XML of a page-number placeholder; without `box` it takes its place from the layout."""
    return (
        f'<p:sp {nsdecls("p", "a")}><p:nvSpPr><p:cNvPr id="{shape_id}" name="Slide number"/>'
        f'<p:cNvSpPr><a:spLocks noGrp="1"/></p:cNvSpPr>'
        f'<p:nvPr><p:ph type="sldNum" sz="quarter" idx="{NUMBER_IDX}"/></p:nvPr></p:nvSpPr>'
        f"<p:spPr>{_place(box) if box else ''}</p:spPr>"
        f'<p:txBody><a:bodyPr lIns="0" rIns="0" tIns="0" bIns="0" anchor="ctr"/>'
        f'<a:lstStyle><a:lvl1pPr algn="r"><a:defRPr sz="{int(SMALL_PT * 100)}">{_colour("muted")}</a:defRPr>'
        f'</a:lvl1pPr></a:lstStyle><a:p><a:fld id="{{7B6B4F3C-2F4E-4C7B-9C63-0D6C3E1A5B21}}" type="slidenum">'
        f'<a:rPr lang="en-GB"/><a:t>‹#›</a:t></a:fld></a:p></p:txBody></p:sp>'
    )


def _placeholder(
    name, kind, idx, box, prompt, size, plain=False, shrink=False, anchor="t", colour="tx1", inset=0.0
) -> str:
    """Return the XML of a layout's placeholder; `plain` takes the bullets away, `shrink` lets long text get smaller."""
    index = "" if idx is None else f' idx="{idx}"'
    font = f'<a:defRPr sz="{int(size * 100)}">{_colour(colour)}</a:defRPr>'
    style = (
        f'<a:lvl1pPr marL="0" indent="0"><a:buNone/>{font}</a:lvl1pPr>' if plain else f"<a:lvl1pPr>{font}</a:lvl1pPr>"
    )
    sides = " ".join(f'{side}Ins="{Inches(inset)}"' for side in "lrtb")
    fit = "<a:normAutofit/>" if shrink else "<a:noAutofit/>"
    return (
        f'<p:sp {nsdecls("p", "a")}><p:nvSpPr><p:cNvPr id="SHAPE_ID" name="{name}"/>'
        f'<p:cNvSpPr><a:spLocks noGrp="1"/></p:cNvSpPr><p:nvPr><p:ph type="{kind}"{index}/></p:nvPr></p:nvSpPr>'
        f"<p:spPr>{_place(box)}</p:spPr>"
        f'<p:txBody><a:bodyPr {sides} anchor="{anchor}">{fit}</a:bodyPr><a:lstStyle>{style}</a:lstStyle>'
        f'<a:p><a:r><a:rPr lang="en-GB"/><a:t>{escape(prompt)}</a:t></a:r></a:p></p:txBody></p:sp>'
    )


def _rectangle(name, box, fill=None, line=False) -> str:
    inside = _colour(fill) if fill else "<a:noFill/>"
    border = f'<a:ln w="9525"><a:solidFill><a:srgbClr val="{RULE}"/></a:solidFill></a:ln>' if line else _NO_LINE
    return (
        f'<p:sp {nsdecls("p", "a")}><p:nvSpPr><p:cNvPr id="SHAPE_ID" name="{name}"/><p:cNvSpPr/>'
        f'<p:nvPr userDrawn="1"/></p:nvSpPr><p:spPr>{_place(box)}{inside}{border}</p:spPr></p:sp>'
    )


def _label(name, box, words) -> str:
    return (
        f'<p:sp {nsdecls("p", "a")}><p:nvSpPr><p:cNvPr id="SHAPE_ID" name="{name}"/><p:cNvSpPr txBox="1"/>'
        f'<p:nvPr userDrawn="1"/></p:nvSpPr><p:spPr>{_place(box)}<a:noFill/>{_NO_LINE}</p:spPr>'
        f'<p:txBody><a:bodyPr lIns="0" rIns="0" tIns="0" bIns="0" anchor="ctr"/><a:lstStyle/>'
        f'<a:p><a:r><a:rPr lang="en-GB" sz="{int(SMALL_PT * 100)}">{_colour("muted")}</a:rPr>'
        f"<a:t>{escape(words)}</a:t></a:r></a:p></p:txBody></p:sp>"
    )


def border(side: str) -> str:
    """Return the XML of one side (L, R, T or B) of a table cell's border."""
    return f'<a:ln{side} {nsdecls("a")} w="9525"><a:solidFill><a:srgbClr val="{RULE}"/></a:solidFill></a:ln{side}>'


def end_of_paragraph(size: float) -> str:
    """Return the XML that gives an empty paragraph its type size."""
    return f'<a:endParaRPr {nsdecls("a")} lang="en-GB" sz="{int(size * 100)}"/>'


_NO_LINE = "<a:ln><a:noFill/></a:ln>"


def _place(box: Box) -> str:
    return (
        f'<a:xfrm><a:off x="{Inches(box.x)}" y="{Inches(box.y)}"/>'
        f'<a:ext cx="{Inches(box.w)}" cy="{Inches(box.h)}"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom>'
    )


def _colour(name: str) -> str:
    value = f'<a:srgbClr val="{MUTED}"/>' if name == "muted" else f'<a:schemeClr val="{name}"/>'
    return f"<a:solidFill>{value}</a:solidFill>"
