"""The calibration as one page in Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from cultureclip.report.markdown import escape, to_markdown

_SHARES = {
    "by the judge": "judge",
    "by the judge, rated images": "judge_of_rated",
    "by people": "people",
    "corrected": "corrected",
}
"""Column -> key of a good share."""

NOT_CORRECTED = "judge's, not corrected"
_SHOWN = 10
"""Rows of a list of cultures."""


def write_calibration(
    metrics: Mapping[str, Any], agreement: pd.DataFrame, yields: pd.DataFrame, diversity: pd.DataFrame
) -> str:
    """Write the figures over all images, and the cultures that stand out, as a page.

    Args:
        metrics: ``calibration_metrics``.
        agreement: The table of agreements.
        yields: The table of yields.
        diversity: The table of diversity.
    """
    people = metrics["people"]
    parts = [
        "# Calibration of the judges",
        f"{people['raters']} people rated {people['images']} images; {people['good']} of these are good. "
        "docs/calibration.md says what each figure is.",
        *(
            f"**Warning:** {' and '.join(map(escape, pair['parts']))} share {pair['share']:.0%} of their weights."
            for pair in metrics["shared_weights"]
        ),
        "## Share of good images",
        _table({name: _good_share(judge["good_share"]) for name, judge in metrics["judges"].items()}),
        "## Thresholds",
        _table({name: _thresholds(judge) for name, judge in metrics["judges"].items()}),
        "## Agreement over all images",
        _list_rows(_agreement(agreement)),
        "## Kept, by culture: the lowest yields",
        _list_rows(_yields(yields)),
        "## What repeats most",
        _list_rows(_repeats(diversity)),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: Mapping[str, Mapping[str, str]]) -> str:
    return to_markdown(pd.DataFrame.from_dict(dict(rows), orient="index")) if rows else "None."


def _list_rows(rows: Iterator[dict[str, str]]) -> str:
    table = pd.DataFrame(list(rows))
    return to_markdown(table.set_index(table.columns[0])) if len(table) else "None."


def _good_share(share: Mapping[str, Any]) -> dict[str, str]:
    if "reason" in share:
        return {**dict.fromkeys(_SHARES, ""), "corrected": share["reason"], "rated": "0", "of images": ""}
    cells = {
        name: _interval(share[key]["value"], share[key]["low"], share[key]["high"]) for name, key in _SHARES.items()
    }
    return {**cells, "rated": str(share["rated"]), "of images": str(share["images"])}


def _thresholds(judge: Mapping[str, Any]) -> dict[str, str]:
    cells = {}
    for name, key in (("accept from", "accept_from"), ("refuse up to", "refuse_up_to")):
        found = judge[key]
        cells[name] = (
            found["reason"] or f"{found['score']:.2f} (errors {found['error']:.1%}, at most {found['bound']:.1%})"
        )
    band = judge["band"]
    return {**cells, "left to people": band["reason"] or f"{band['share']:.1%} ({band['images']} images)"}


def _agreement(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    for row in table[table["axis"] == "all"].to_dict("records"):
        value = row["reason"] if pd.isna(row["value"]) else _interval(row["value"], row["low"], row["high"])
        shown = {key: row[key] for key in ("judge", "rating", "between", "measure")}
        yield {**shown, "value": value, "images": str(row["images"]), "not judged": str(row["not_judged"])}


def _yields(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    kept = table[(table["axis"] == "culture") & (table["verdict"] == "accepted")]
    for row in kept.sort_values(["share", "judge", "group"]).head(_SHOWN).to_dict("records"):
        counts = f"{row['images']} of {row['of']}"
        share = _interval(row["share"], row["low"], row["high"])
        good = _interval(row["good"], row["good_low"], row["good_high"]) if row["rated"] else NOT_CORRECTED
        cells = {"judge": row["judge"], "kept": counts, "share, judge's": share}
        yield {"culture": row["group"], **cells, "good, corrected": good, "rated": str(row["rated"])}


def _repeats(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    cultures = table[(table["axis"] == "culture") & table["top_feature"].notna()]
    cultures = cultures.sort_values(["top_feature_share", "images", "group"], ascending=[False, False, True])
    for row in cultures.head(_SHOWN).to_dict("records"):
        yield {
            "culture": row["group"],
            "kept images": str(row["images"]),
            "of concepts": str(row["concepts"]),
            "vendi": "" if pd.isna(row["vendi"]) else f"{row['vendi']:.1f}",
            "most shown feature": f"{escape(row['top_feature'])} ({row['top_feature_share']:.0%})",
            "most frequent concept": f"{escape(row['top_concept'])} ({row['top_concept_share']:.0%})",
        }


def _interval(value: float, low: float | None, high: float | None) -> str:
    if low is None or pd.isna(low):
        return f"{value:.3f} (no interval)"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
