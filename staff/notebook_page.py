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
from jinja2 import DictLoader
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image
from nbconvert import HTMLExporter
from nbformat import NotebookNode

TITLE = "Project 2: Segmentation with CNN"
STYLE = (Path(__file__).parent / "notebook_page.css").read_text("utf-8")

# nbconvert's page without the three scripts that it would load from the network. Its picture blocks have no alt text.
PAGE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js_requirejs %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}<style>STYLE</style>{% endblock %}
{% macro picture(output, kind) %}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:{{ kind }};base64,{{ output.data[kind] }}" alt="{{ output | get_metadata('alt', kind) or '' }}">
</div>
{% endmacro %}
{% block data_png scoped %}{{ picture(output, 'image/png') }}{% endblock %}
{% block data_jpg scoped %}{{ picture(output, 'image/jpeg') }}{% endblock %}
""".replace("STYLE", STYLE)

HEADING = re.compile(r'<h([23]) id="([^"]+)">(.+?)<a class="anchor-link"', re.S)

# Marks the link of the section at the top of the window, and closes the contents where they would fill a telephone.
SCRIPT = """<script>
const contents = document.querySelector(".contents");
const narrow = matchMedia("(max-width: 1099px)");
const fold = () => { contents.querySelector("details").open = !narrow.matches; };
narrow.addEventListener("change", fold);
fold();
const links = [...contents.querySelectorAll("a")];
const headings = links.map((link) => document.getElementById(link.getAttribute("href").slice(1)));
function mark() {
  const passed = headings.filter((heading) => heading.getBoundingClientRect().top < 120).length;
  links.forEach((link, k) => {
    if (k === Math.max(0, passed - 1)) link.setAttribute("aria-current", "location");
    else link.removeAttribute("aria-current");
  });
  const current = contents.querySelector("[aria-current]");
  if (!narrow.matches) contents.scrollTop = current.offsetTop - contents.clientHeight / 2;
}
addEventListener("scroll", mark, { passive: true });
contents.addEventListener("click", (event) => { if (narrow.matches && event.target.hash) setTimeout(fold); });
mark();
</script>
"""


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
    exporter = HTMLExporter(
        embed_images=True, template_file="offline.html.j2", extra_loaders=[DictLoader({"offline.html.j2": PAGE})]
    )
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
    return page.replace("</body>", f"{SCRIPT}</body>", 1)


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
