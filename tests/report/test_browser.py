"""The report in a real browser, at a desk and on a phone, by light and by dark."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fed_audience.report import write_report
from tests.report import sample

pytestmark = pytest.mark.browser

WIDTHS = (1280, 390)
VIEWS = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]

# Smallest contrast of all visible text against the nearest painted background, with its element.
CONTRAST = """() => {
  const channel = c => { c /= 255; return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4 };
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const colour = rgb(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const box = node.getBoundingClientRect();
    if (!own || !box.width || node.closest('.hidden, .skip')) continue;
    const style = getComputedStyle(node);
    const inSvg = node instanceof SVGElement;
    const [a, b] = [light(rgb(inSvg ? style.fill : style.color)), light(ground(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    found.push([ratio, node.tagName + ': ' + node.textContent.trim().slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0]);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip(
            "no browser found; run: apt-get install -y --no-install-recommends "
            "chromium fonts-liberation"
        )
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, headless=True)
        yield launched
        launched.close()


class Visit:
    """A page opened offline that remembers what it said and what it asked for."""

    def __init__(self, browser: Browser, report: Path, width: int, scheme: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        context = browser.new_context(
            offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def close(self) -> None:
        self.page.context.close()


@pytest.fixture(params=VIEWS, ids=[f"{width}-{scheme}" for width, scheme in VIEWS])
def visit(request: pytest.FixtureRequest, browser: Browser, full_report: Path) -> Iterator[Visit]:
    opened = Visit(browser, full_report, *request.param)
    yield opened
    opened.close()


def test_it_loads_offline_without_a_word_or_a_request(visit: Visit, full_report: Path) -> None:
    assert visit.said == []
    assert [url for url in visit.asked if not url.startswith("data:")] == [full_report.as_uri()]


def test_the_page_never_scrolls_sideways_even_with_all_details_open(visit: Visit) -> None:
    overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visit.run(overflow) == 0
    visit.run("() => document.querySelectorAll('details').forEach(d => d.open = true)")
    assert visit.run(overflow) == 0


@pytest.mark.parametrize("width", [320, 820])
def test_small_phones_and_tablets_do_not_scroll_sideways_either(
    browser: Browser, full_report: Path, width: int
) -> None:
    visit = Visit(browser, full_report, width, "light")
    wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert visit.run(wide) == 0
    visit.close()


def test_text_has_contrast(visit: Visit) -> None:
    visit.run("() => document.querySelectorAll('details').forEach(d => d.open = true)")
    ratios = visit.run(CONTRAST)
    assert len(ratios) > 300
    assert ratios[0][0] >= 4.5, ratios[:5]


def test_charts_are_named_visible_images_within_their_column(visit: Visit) -> None:
    charts = visit.run(
        """() => [...document.querySelectorAll('svg')].map(s => {
          const box = s.getBoundingClientRect(), column = s.parentElement.getBoundingClientRect();
          return {role: s.getAttribute('role'), name: s.getAttribute('aria-label'),
            shown: box.width > 0, wide: box.width > 250 && box.height > 100,
            inside: box.right <= column.right + 1 && box.left >= column.left - 1}})"""
    )
    assert all(chart["role"] == "img" and chart["name"] for chart in charts)
    shown = [chart for chart in charts if chart["shown"]]
    # Quality, lift, gain, calibration, importance, two of reach, lookalike.
    assert len(shown) == 8
    assert all(chart["wide"] and chart["inside"] for chart in shown)


def test_the_text_of_charts_can_be_read(visit: Visit) -> None:
    smallest = visit.run(
        """() => Math.min(...[...document.querySelectorAll('svg text')]
          .filter(t => t.getBoundingClientRect().width)
          .map(t => [parseFloat(getComputedStyle(t).fontSize), t.getScreenCTM()])
          .map(([size, matrix]) => size * Math.hypot(matrix.b, matrix.d)))"""
    )
    assert smallest >= 10.0


def test_no_text_of_a_chart_lies_on_another(visit: Visit) -> None:
    clashes = visit.run(
        """() => [...document.querySelectorAll('svg')].flatMap(s => {
          const boxes = [...s.querySelectorAll('text')].map(t => [t.textContent,
            t.getBoundingClientRect()]).filter(([, b]) => b.width);
          return boxes.flatMap(([a, x], i) => boxes.slice(i + 1).filter(([, y]) =>
            x.left < y.right - 1 && y.left < x.right - 1 && x.top < y.bottom - 3 &&
            y.top < x.bottom - 3).map(([b]) => a + ' / ' + b)) })"""
    )
    assert clashes == []


def test_the_keyboard_reaches_contents_details_and_tables(visit: Visit) -> None:
    visit.page.keyboard.press("Tab")
    assert visit.run("() => document.activeElement.textContent") == "Skip to the summary"
    box = "() => document.activeElement.getBoundingClientRect().left >= 0"
    assert visit.run(box)
    visit.page.keyboard.press("Tab")
    assert visit.run("() => document.activeElement.getAttribute('href')") == "#summary"


def test_contents_lead_to_their_sections(visit: Visit) -> None:
    visit.page.click("nav a[href='#syncs']")
    visit.page.wait_for_function(
        """() => { const top = document.getElementById('syncs').getBoundingClientRect().top;
           return top >= 0 && top < innerHeight / 2 }"""
    )


def test_print_shows_every_number_on_white(browser: Browser, full_report: Path) -> None:
    visit = Visit(browser, full_report, 1280, "dark")
    visit.page.emulate_media(media="print", color_scheme="dark")
    assert (
        visit.run("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
    assert visit.run("() => getComputedStyle(document.querySelector('nav')).display") == "none"
    pages = visit.page.pdf(format="A4")
    assert pages.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", pages)) <= 40
    visit.close()


def test_a_name_that_is_markup_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    name = "<img src=x onerror=document.title='owned'>"
    lift = (sample.lift(name, 2.0), sample.lift("</svg><script>document.title='owned'</script>", 3))
    data = sample.bare()
    evil = write_report(
        type(data)(title="Harmless", run=data.run, lift=lift, warnings=(name,)),
        tmp_path / "evil.html",
    )
    visit = Visit(browser, evil, 390, "light")
    assert visit.page.title() == "Harmless"
    assert visit.said == []
    assert visit.run("() => document.querySelectorAll('img, script').length") == 0
    assert name in visit.page.inner_text("#warnings")
    visit.close()
