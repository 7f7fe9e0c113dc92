"""The report in a real browser: it draws, links, sorts, filters, and asks the network nothing."""

import shutil
import warnings

import pandas as pd
import pytest

from analysis.data.study import Study
from analysis.report import write_report
from tests.suites.made_studies import curved, plain

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: chromium)")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

EVIL = "<script>alert(1)</script>"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    study = curved(a=3, b=3, tasks=("rte", EVIL))
    return write_report(study, tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def browser():
    with warnings.catch_warnings():
        # Playwright's own event loop and pipes are not ours to close.
        warnings.simplefilter("ignore")
        with playwright.sync_playwright() as driver:
            opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            yield opened
            opened.close()


@pytest.fixture(scope="module")
def page(browser, report):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: page.said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (page.said.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(report.as_uri())
    # Far beyond what drawing takes, as other tests may run beside this one.
    page.wait_for_selector("html[data-ready=true]", timeout=120_000)
    page.wait_for_selector("#runs-table tbody tr", timeout=60_000)
    return page


def test_no_errors_no_dialogs_and_no_requests(page, report):
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("blob:", "data:"))] == [
        report.as_uri()
    ]


def test_every_figure_is_drawn(page):
    places = page.locator(".chart").count()
    assert places >= 16
    assert (
        page.locator(".chart > svg, .chart .chart-wrapper svg, .chart svg.marks").count() >= places
    )


def test_hostile_names_are_text(page):
    assert page.locator("h3", has_text=EVIL).count() >= 1
    assert page.locator("#runs-table td", has_text=EVIL).count() >= 1
    assert page.evaluate("[...document.scripts].every(s => s.textContent !== 'alert(1)')")


def test_hover_on_a_cell_shows_its_seeds_and_lights_its_curve(page):
    heat, curves = page.locator("#heatmap-rte"), page.locator("#curves-rte")
    lit = curves.locator("path[stroke='#3f9f94']")
    heat.scroll_into_view_if_needed()
    assert lit.count() == 0
    cell = heat.locator(".mark-rect path[aria-label^='init seed 1, order seed 2,']")
    cell.first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for(timeout=10_000)
    text = tip.inner_text()
    assert "init seed" in text
    assert "order seed" in text
    assert "accuracy" in text
    lit.first.wait_for(state="attached", timeout=10_000)
    page.mouse.move(5, 5)
    lit.first.wait_for(state="detached", timeout=10_000)


def test_the_heatmap_can_be_sorted_otherwise(page):
    heat = page.locator("#heatmap-rte")
    labels = heat.locator(".role-axis-label text")
    heat.locator("select").select_option("seed")
    page.wait_for_timeout(300)
    shown = [text.strip() for text in labels.all_text_contents()]
    assert [text for text in shown if text.isdigit()] == ["0", "1", "2", "0", "1", "2"]


def test_the_table_of_runs_sorts_and_filters(page):
    rows = page.locator("#runs-table tbody tr")
    heads = [text.strip() for text in page.locator("#runs-table thead th").all_inner_texts()]
    column = heads.index("score")

    def scores():
        return [float(row.locator("td").nth(column).inner_text()) for row in rows.all()]

    head = page.locator("#runs-table thead th").nth(column)
    for order in ("ascending", "descending"):
        head.click()
        page.wait_for_selector(f"#runs-table th[aria-sort={order}]", timeout=10_000)
        assert scores() == sorted(scores(), reverse=order == "descending")
    assert rows.count() == 18
    page.locator("#runs .dt-search input, #runs input[type=search]").first.fill("rte")
    page.wait_for_timeout(300)
    assert rows.count() == 9


def test_a_dark_screen_shows_dark_ink_on_white(page):
    page.emulate_media(color_scheme="dark")
    style = "getComputedStyle(document.body)"
    assert page.evaluate(f"[{style}.color, {style}.backgroundColor]") == [
        "rgb(34, 34, 34)",
        "rgb(255, 255, 255)",
    ]
    page.emulate_media(color_scheme="light")


@pytest.mark.slow
def test_folds_are_drawn_when_opened_and_for_a_print(browser, tmp_path):
    many = pd.concat(
        [
            plain(2, 2).runs.assign(task=f"t{k}", run=lambda r, k=k: f"{k}" + r["run"])
            for k in range(6)
        ]
    )
    report = write_report(Study(many.reset_index(drop=True)), tmp_path)
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(report.as_uri())
    # Drawn when the page has loaded: a picture taken then shows the figures.
    page.wait_for_selector("html[data-ready=true]", timeout=120_000)
    closed = page.locator("details:not([open]) .chart")
    assert closed.count() >= 5
    assert page.locator("details:not([open]) .chart svg").count() == 0
    page.locator("#grids summary", has_text="t3").click()
    page.locator("#heatmap-t3 svg").wait_for(timeout=20_000)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function("!document.querySelector('.chart:not(:has(svg))')", timeout=60_000)
    widths = page.evaluate(
        "[...document.querySelectorAll('.chart svg')].map(s => s.getBoundingClientRect().width)"
    )
    assert min(widths) > 200
    page.close()


def test_nothing_is_wider_than_a_phone(browser, report):
    phone = browser.new_page(viewport={"width": 390, "height": 800})
    phone.goto(report.as_uri())
    phone.wait_for_selector("html[data-ready=true]", timeout=120_000)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    widths = phone.evaluate(
        "[...document.querySelectorAll('.chart svg')].map(s => s.getBoundingClientRect().right)"
    )
    assert max(widths) <= 391
    phone.close()
