"""The report as one HTML file that needs no network: text, figures, libraries, table of runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import itables
import itables.javascript
import jinja2
import pandas as pd
from markupsafe import Markup

from analysis.figures.theme import FORMATS
from analysis.report.html.embed import Store, script_json, vega_script
from analysis.report.methods.paragraph import Paragraph
from analysis.report.sections.section import MOST_UNFOLDED, Section

FOLDER = Path(__file__).parent
PAGE_ROWS = 25
UNFILTERED_ROWS = 15
"""A table of so many rows is read at a glance: it has no box to filter it."""
UNFOLDED_ROWS = 20
MOST_ROWS = 10_000
"""Rows of the table of runs; the file has all."""
RUN_COLUMNS = (
    "task",
    "model",
    "recipe",
    "seed",
    "init_seed",
    "order_seed",
    "dropout_seed",
    "score",
    "final_score",
    "test_score",
    "status",
    "failed",
    "seconds",
    "run",
)


@dataclasses.dataclass(frozen=True)
class Page:
    """The content of the page: texts, tables and sections."""

    title: str
    subtitle: str
    answers: list[tuple[str, list[str]]]
    overall: str
    overview: pd.DataFrame
    warnings: list[tuple[str, str, str]]
    sections: list[Section]
    runs: pd.DataFrame
    seed: int
    permutations: int
    methods: Paragraph


def render(page: Page) -> str:
    """The HTML text. Everything that comes from tables is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["plain_table"] = plain_table
    store = Store()
    figures = [
        {
            "stem": panel.stem,
            "link": panel.link,
            "label": f"{panel.heading}. {panel.caption}",
            "spec": store.specification(panel.spec),
        }
        for section in page.sections
        for panel in section.panels
    ]
    content = {f.name: getattr(page, f.name) for f in dataclasses.fields(page)}
    # Our own files and kept libraries; nothing of them comes from a table.
    content |= {
        "css": Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        "script": Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        "vega": Markup(vega_script()),
        "store": Markup(script_json({"datasets": store.datasets, "figures": figures})),
        "runs_library": Markup(_table_library()),
        "runs_table": Markup(_runs_table(page.runs)),
        "formats": FORMATS,
        "most_unfolded": MOST_UNFOLDED,
        "unfiltered_rows": UNFILTERED_ROWS,
        "most_rows": MOST_ROWS,
        "folded": len(page.answers) > MOST_UNFOLDED,
    }
    return environment.get_template("page.html.j2").render(content)


def plain_table(caption: str, frame: pd.DataFrame) -> Markup:
    """A small table as HTML, every cell escaped."""
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in frame.columns)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row)
        )
        for row in frame.itertuples(index=False, name=None)
    )
    table = Markup(
        '<div class="scroll"><table class="plain"><caption>{}</caption>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(caption, head, body)
    if len(frame) <= UNFOLDED_ROWS:
        return table
    return Markup("<details><summary>{} ({} rows)</summary>{}</details>").format(
        caption, len(frame), table
    )


def runs_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """The columns of the runs that a reader wants to sort by, constant ones left out."""
    shown = [c for c in RUN_COLUMNS if c in runs and runs[c].notna().any()]
    fixed = {"task", "model", "recipe", "status", "dropout_seed", "final_score"}
    if (runs["final_score"] == runs["score"]).all():
        shown.remove("final_score")
    if "dropout_seed" in shown and (runs["dropout_seed"] == runs["order_seed"]).all():
        shown.remove("dropout_seed")
    if "seed" in shown and runs["seed"].notna().all():
        # A table's one seed, which the other two repeat.
        shown = [c for c in shown if c not in ("init_seed", "order_seed")]
    kept = [c for c in shown if c not in fixed or runs[c].nunique(dropna=False) > 1]
    frame = runs[kept].copy()
    for column in frame.columns:
        if frame[column].dtype.kind == "f":
            frame[column] = frame[column].round(5)
    frame["failed"] = frame["failed"].map({True: "failed", False: ""})
    return frame.rename(columns=lambda name: str(name).replace("_", " "))


def _runs_table(runs: pd.DataFrame) -> str:
    places = ("topStart", "topEnd", "bottomStart", "bottomEnd")
    controls: dict[str, str | None] = dict.fromkeys(places)
    if len(runs) > UNFILTERED_ROWS:
        controls["topEnd"] = "search"
    if len(runs) > PAGE_ROWS:
        controls |= {"topStart": "pageLength", "bottomStart": "info", "bottomEnd": "paging"}
    # allow_html is off by default: itables escapes the cells.
    table: str = itables.to_html_datatable(
        runs_frame(runs.head(MOST_ROWS)),
        connected=False,
        table_id="runs-table",
        maxBytes=0,
        showIndex=False,
        classes="display compact",
        style="width:100%;table-layout:auto",
        pageLength=PAGE_ROWS,
        layout=controls,
        # Else only the small arrows sort.
        text_in_header_can_be_selected=False,
    )
    # Without the messages to notebook users that precede the script.
    place = '<table id="runs-table" class="display compact"></table>'
    return place + table[table.index("<script") :]


def _table_library() -> str:
    bundle = Path(itables.__file__).parent / "html" / "dt_bundle.js"
    library: str = itables.javascript.generate_init_offline_itables_html(bundle)
    # The rest is a message to notebook users.
    return library.split("</script>")[0] + "</script>"


def heading(task_labels: list[str]) -> str:
    """A title that names the tasks, as long as they fit."""
    names = ", ".join(task_labels[:4]) + (", ..." if len(task_labels) > 4 else "")
    return f"What seeds are worth: {names}"
