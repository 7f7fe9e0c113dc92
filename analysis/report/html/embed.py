"""Data, figures and libraries inside one HTML file: compact, and safe inside a script element."""

from __future__ import annotations

import functools
import json
from typing import Any

import vl_convert

from analysis.figures.theme import vegalite_version


class Store:
    """The data sets of all figures, each once, by columns instead of by rows.

    A column of texts is a list of its different values and an index per row.
    """

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, Any]] = {}

    def specification(self, full: dict[str, Any]) -> dict[str, Any]:
        """A figure's specification without its data, as wide as its place allows."""
        spec = {name: part for name, part in full.items() if name != "datasets"}
        for name, records in full.get("datasets", {}).items():
            if name not in self.datasets:
                self.datasets[name] = columnar(records)
        spec["width"] = "container"
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
        return spec


def columnar(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows with the same keys as ``{"n": rows, "columns": {name: values or coded values}}``."""
    columns: dict[str, Any] = {}
    for name in records[0] if records else []:
        values = [record[name] for record in records]
        texts = [v for v in values if isinstance(v, str)]
        if texts and len(set(texts)) < len(values):
            levels = list(dict.fromkeys(values))
            place = {level: k for k, level in enumerate(levels)}
            columns[name] = {"levels": levels, "at": [place[v] for v in values]}
        else:
            columns[name] = values
    return {"n": len(records), "columns": columns}


def script_json(value: object) -> str:
    """JSON that no browser can mistake for the end of its script element or a comment."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@functools.cache
def vega_script() -> str:
    """Vega, Vega-Lite and vega-embed, which define ``vegaEmbed``; for a script of type module."""
    # Without a snippet of its own the bundle sets window.vegaEmbed; the stub does not know.
    script: str = vl_convert.javascript_bundle(  # type: ignore[call-arg]
        vl_version=vegalite_version()
    )
    return script.replace("</script", "<\\/script")
