"""Some figures as one HTML file that needs no network."""

from __future__ import annotations

import html
from collections.abc import Sequence

from analysis.figures.theme import Chart, spec_of
from analysis.report.html.embed import script_json, vega_script

STYLE = """\
body { font: 15px Helvetica, Arial, sans-serif; color: #222; margin: 2rem auto; max-width: 42rem;
  padding: 0 1rem; background: white; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin-top: 2rem; }
.chart { width: 100%; }
"""
SCRIPT = """\
for (const [number, spec] of figures.entries())
  vegaEmbed(`#figure-${number}`, spec, { actions: false, renderer: "svg" });
"""


def figure_page(title: str, lead: str, figures: Sequence[tuple[str, Chart]]) -> str:
    """The HTML text.

    Parameters
    ----------
    title, lead : str
        The heading, and the sentence below it.
    figures : sequence of (heading, chart)
        Each chart is as wide as the page.
    """
    wide = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
    specs = [spec_of(chart) | wide for _, chart in figures]
    places = "".join(
        f'<h2>{html.escape(heading)}</h2><div class="chart" id="figure-{number}"></div>'
        for number, (heading, _) in enumerate(figures)
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(lead)}</p>{places}"
        f'<script type="module">{vega_script()}</script>'
        f'<script type="module">const figures = {script_json(specs)};{SCRIPT}</script>'
        "</body></html>\n"
    )
