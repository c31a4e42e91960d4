"""The page of the notebook in a real browser: contents, widths, print, and what axe-core says of its accessibility."""

from pathlib import Path

import nbformat
import pytest

from staff import ROOT, notebook_page


@pytest.fixture(scope="module")
def file(stored, tmp_path_factory):
    """build/proj2.html as the stored outputs make it."""
    path = tmp_path_factory.mktemp("page") / "proj2.html"
    path.write_text(notebook_page.to_html(stored, ROOT), encoding="utf-8")
    return path


def test_every_picture_of_the_page_has_a_text(open_page, file):
    page = open_page(file)
    pictures = page.locator("img").evaluate_all("all => all.map((img) => [img.alt, img.naturalWidth])")
    assert len(pictures) > 40
    assert all(alt and width for alt, width in pictures)


@pytest.mark.parametrize("width", [1400, 390])
def test_axe_finds_nothing(open_page, file, width):
    axe = pytest.importorskip("axe_playwright_python")
    page = open_page(file, width)
    page.locator(".threshold-figure .scores").wait_for()
    page.add_script_tag(content=(Path(axe.__file__).parent / "axe.min.js").read_text("utf-8"))
    # Of the other results one element each would do; all of them, with their pictures, take axe longer than the checks.
    violations = page.evaluate("axe.run({resultTypes: ['violations']}).then((results) => results.violations)")
    found = [(v["id"], node["html"][:150]) for v in violations for node in v["nodes"]]
    assert not found, found[:5]
    assert not page.errors


def test_the_contents_lead_to_every_section_and_mark_the_current_one(open_page, file, stored):
    page = open_page(file, 1400)
    links = page.locator("nav.contents a")
    headings = page.locator("main :is(h2, h3)[id]")
    assert links.count() == headings.count() > 30
    assert links.locator("xpath=..").evaluate_all("all => new Set(all.map((li) => li.className)).size") == 2
    for title in ("2.2 VGG-19", "Where to draw the line", "2.1 Understanding FCN"):
        page.get_by_role("navigation", name="Contents").get_by_text(title).click()
        page.wait_for_function(
            "title => document.querySelector('nav.contents [aria-current]').textContent.startsWith(title)", arg=title
        )
        assert page.locator("nav.contents [aria-current]").count() == 1


def test_it_fits_a_telephone(open_page, file):
    page = open_page(file, 390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.locator("nav.contents ul").is_visible()
    page.locator("nav.contents summary").click()
    page.get_by_role("navigation", name="Contents").get_by_text("Where to draw the line").click()
    page.wait_for_function("!document.querySelector('nav.contents details').open")
    canvas = page.locator(".threshold-figure canvas").first.bounding_box()
    assert 200 < canvas["width"] <= 390


def test_it_prints_without_the_contents(open_page, file):
    page = open_page(file)
    page.emulate_media(media="print")
    assert not page.locator("nav.contents").is_visible()
    assert page.locator("main").bounding_box()["x"] < 20
    assert (
        page.locator(".highlight pre").first.evaluate("pre => getComputedStyle(pre).whiteSpace").startswith("pre-wrap")
    )


def test_a_notebook_without_headings_needs_no_contents():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("No heading.")])
    assert "<nav" not in notebook_page.to_html(notebook, ROOT)
