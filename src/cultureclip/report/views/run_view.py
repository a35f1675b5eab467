"""The manifest of the run that evaluated, as a reader sees it."""

import json
from collections.abc import Mapping
from typing import Any

from cultureclip.report.words import in_words, value_in_words

MAX_ITEMS_ON_A_LINE = 8
COMMIT_SHOWN = 12
"""Characters of a commit's name that the overview shows; the page about the run has all of them."""
_OF_THE_MOMENT = {"status", "error", "updated", "process"}
"""Facts of a manifest that were true while it was written: a report that names them would be wrong by then."""


def describe_run(manifest: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Split a manifest into (label, value) for what fits on a line and (label, JSON) for what is larger."""
    facts, details = [], []
    for name, value in manifest.items():
        if name in _OF_THE_MOMENT:
            continue
        line = _one_line(value)
        if line is None:
            details.append((in_words(name), json.dumps(value, indent=2, ensure_ascii=False, default=str)))
        elif line:
            facts.append((in_words(name), line))
    return facts, details


def describe_start(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say in a few (label, value) which run it is; all of the manifest is on the page about the run."""
    facts = [("run", manifest.get("run_id")), ("started", _time(manifest.get("started")))]
    if git := manifest.get("git"):
        changed = " with changes that were not committed" if git.get("dirty") else ""
        facts.append(("code", f"commit {str(git.get('commit'))[:COMMIT_SHOWN]}{changed}"))
    return [(label, str(value)) for label, value in facts if value]


def _time(written: Any) -> str:
    """Return a time in ISO 8601, to the minute, as people write it; anything else stays as it is."""
    text = str(written or "")
    return f"{text[:10]} {text[11:16]} UTC" if text.endswith("+00:00") else text


def _one_line(value: Any) -> str | None:
    """Return a scalar, a list of scalars or a short mapping of scalars as text; None for anything larger."""
    items = list(value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ())
    if any(isinstance(item, Mapping | list | tuple) for item in items) or len(items) > MAX_ITEMS_ON_A_LINE:
        return None
    if isinstance(value, Mapping):
        known = {in_words(key): text for key, item in value.items() if (text := value_in_words(item))}
        return ", ".join(f"{key} {text}" for key, text in known.items())
    return ", ".join(map(value_in_words, items)) if isinstance(value, list | tuple) else value_in_words(value)
