"""Turn an executed notebook into one HTML page that needs no other file and no network.

nbconvert does most of it. Added here: formulas as pictures, a table of contents that marks the current section, colours
with enough contrast, a text for every picture, and styles for telephones and for print.
"""

import base64
import html
import io
import re
from pathlib import Path

import nbformat
from jinja2 import FileSystemLoader
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image
from nbconvert import HTMLExporter
from nbformat import NotebookNode

TITLE = "Project 2: Segmentation with CNN"
FOLDER = Path(__file__).parent  # where the page's template, style and script are
HEADING = re.compile(r'<h([23]) id="([^"]+)">(.+?)<a class="anchor-link"', re.S)


class NotebookError(Exception):
    """The notebook did not run to its end, or cannot be shown; the message says where and why."""


def to_html(notebook: NotebookNode, folder: Path) -> str:
    """Return a notebook as one page; ``folder`` is where the pictures of its Markdown cells are.

    Raises:
        NotebookError: a formula cannot be drawn.
    """
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = draw_formulas(cell.source)
    loader = FileSystemLoader(FOLDER)
    exporter = HTMLExporter(embed_images=True, template_file="notebook_page.html.j2", extra_loaders=[loader])
    page = exporter.from_notebook_node(notebook, resources={"metadata": {"path": str(folder), "name": TITLE}})[0]
    page = page.replace('class="task-list-item-checkbox"', 'class="task-list-item-checkbox" aria-label="To check"')
    return add_contents(page)


def add_contents(page: str) -> str:
    """Put a table of contents, two levels of headings, before the page's main part."""
    items = "".join(
        f'<li class="level-{level}"><a href="#{anchor}">{re.sub("<[^>]+>", "", title).strip()}</a></li>\n'
        for level, anchor, title in HEADING.findall(page)
    )
    if not items:
        return page
    contents = f"<details open><summary>Contents</summary>\n<ul>\n{items}</ul></details>"
    page = page.replace("<main>", f'<nav class="contents" aria-label="Contents">{contents}</nav>\n<main>', 1)
    script = (FOLDER / "notebook_page.js").read_text("utf-8")
    return page.replace("</body>", f"<script>\n{script}</script>\n</body>", 1)


def draw_formulas(markdown: str) -> str:
    """Replace LaTeX, ``$...$`` and ``$$...$$``, by pictures: MathJax would have to be loaded from the network."""
    # Code is matched first, so that it stays as it is.
    pattern = re.compile(r"(?P<code>```.*?```|`[^`\n]+`)|\$\$(?P<line>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", re.S)

    def draw(match: re.Match) -> str:
        if match["code"]:
            return match["code"]
        if match["line"]:
            # Mathtext has no display style; \dfrac gives a fraction its full size.
            line = match["line"].replace(r"\frac", r"\dfrac")
            return f'<div class="formula-line" tabindex="0">{_formula(line, size=12)}</div>'
        return _formula(match["inline"], size=11.5)

    return pattern.sub(draw, markdown)


def _formula(latex: str, size: float) -> str:
    latex = " ".join(latex.split())
    picture = io.BytesIO()
    font = FontProperties(size=size, math_fontfamily="cm")
    try:
        depth = math_to_image(f"${latex}$", picture, prop=font, dpi=72, format="svg")
    except ValueError as error:
        raise NotebookError(f"This formula cannot be drawn: {latex}\n{error}") from error
    data = base64.b64encode(picture.getvalue()).decode()
    style = f"vertical-align: {-depth:.1f}pt"
    return f'<img class="formula" alt="{html.escape(latex)}" style="{style}" src="data:image/svg+xml;base64,{data}">'
