"""Models that made the training data, and what audits say of them, for cards."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def name_models(rows: pd.DataFrame, captions: pd.DataFrame, run_manifest: Mapping[str, Any]) -> dict[str, str]:
    """Name the models of the newest run, and of the captions, which say it themselves.

    Args:
        rows: Rows of CULTWIN.
        captions: Table CAPTIONS.
        run_manifest: The manifest of a run.

    Returns:
        Role in the run -> model.
    """
    written = captions[captions["caption_id"].isin({*rows["pos_caption_id"], *rows["neg_caption_id"]})]
    named = {name: str(model.get("spec")) for name, model in sorted(run_manifest.get("models", {}).items())}
    return {"captions": ", ".join(sorted(written["model"].unique())), **named}


def describe_teachers(run_manifest: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Say of each chat model that was asked in making the data what its newest audit found.

    Args:
        run_manifest: The manifest of a run.

    Returns:
        Parameter that names the model, the model, and a sentence.
    """
    rows = []
    for role, teacher in run_manifest.get("teachers", {}).items():
        model = " ".join(str(part) for part in teacher["model"].values() if part is not None)
        rows.append((str(role), model, _say_audit(teacher)))
    return rows


def _say_audit(teacher: Mapping[str, Any]) -> str:
    if teacher["audit"] is None:
        return "never audited"
    asked = f"asked {teacher['questions']:,} questions as people of {teacher['countries']} countries"
    said = [f"answered {_percent(teacher['answered'])}", f"refused {_percent(teacher['refused'])}"]
    if change := teacher["changed_beyond_chance"]:
        said.append(f"the country changes {_percent(change)} of answers beyond chance")
    if alignment := teacher["alignment"]:
        said.append(f"alignment with people {_number(alignment)}")
    if distance := teacher["js_distance"]:
        said.append(f"distance from people {_number(distance)}")
    if taus := teacher["tau"]:
        known = [tau for tau in taus.values() if tau is not None]
        said += [f"Kendall's tau of countries {sum(known) / len(known):.2f} on average"] if known else []
    for shown, accuracy in (teacher["matching"] or {}).items():
        said += [f"matching by {shown} {_percent(accuracy)}"] if accuracy else []
    if teacher["f1"]:
        said.append(f"F1 of knowledge {_percent(teacher['f1'])}")
    return f"audit {teacher['audit']}: {asked}; {', '.join(said)}"


def _percent(estimate: Mapping[str, float]) -> str:
    return f"{100 * estimate['value']:.1f} % ({100 * estimate['low']:.1f} to {100 * estimate['high']:.1f})"


def _number(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"
