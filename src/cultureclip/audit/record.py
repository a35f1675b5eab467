"""Records of audits: which audit is of which model, and its figures in short for manifests and cards."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cultureclip.models.chat.settings import ServerSettings
from cultureclip.models.settings import LanguageModelSettings
from cultureclip.settings_base import Settings

_NAMED_BY = (("path", "gguf_file"), ("model", "revision"))
"""Settings that say which model it is: one in this process, or one at servers."""


def identify_model(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a chat model that say which it is; devices, batches and addresses do not."""
    names = _NAMED_BY[1] if settings.get("servers") else _NAMED_BY[0]
    return {name: settings.get(name) for name in names}


def find_teachers(stages: Mapping[str, Settings]) -> dict[str, dict[str, Any]]:
    """Find every chat model that stages ask.

    Args:
        stages: Name of a stage -> its parameters.

    Returns:
        Dotted path of the parameter -> the model, from :func:`identify_model`.
    """
    return {
        path: identify_model(model.model_dump(mode="json"))
        for name, settings in stages.items()
        for path, model in _walk(settings, name)
    }


def _walk(value: Any, path: str) -> Iterator[tuple[str, Settings]]:
    if isinstance(value, LanguageModelSettings | ServerSettings):
        yield path, value
        return
    inner: Mapping[Any, Any] = (
        dict(value) if isinstance(value, Settings) else value if isinstance(value, Mapping) else {}
    )
    for name, part in inner.items():
        yield from _walk(part, f"{path}.{name}")


def shorten_audit(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return an audit's figures in short: null where it has none.

    Args:
        metrics: What ``summarise_audit`` made.
    """
    survey, alignment, distances = metrics["survey"], metrics["alignment"], metrics["distances"]
    hofstede, matching, knowledge = metrics["hofstede"], metrics["matching"], metrics["knowledge"]
    taus = (hofstede or {}).get("tau")
    return {
        "questions": survey["asked"],
        "countries": len(metrics["countries"]),
        "answered": survey["answered"],
        "refused": survey["refused"],
        "changed_beyond_chance": metrics["change"]["beyond_chance"],
        "alignment": alignment and alignment["means"]["aware"],
        "js_distance": distances and distances["means"]["aware"]["js"],
        "tau": taus and {index: found["value"] for index, found in taus.items()},
        "matching": matching and {shown: found["accuracy"] for shown, found in matching["shown"].items()},
        "f1": knowledge and knowledge["f1"],
    }


def match_audits(
    models: Mapping[str, Mapping[str, Any]], audits: Iterable[tuple[str, Mapping[str, Any]]]
) -> dict[str, dict[str, Any]]:
    """Find the newest audit of each model.

    Args:
        models: Dotted path of the parameter -> the model, from :func:`identify_model`.
        audits: (Run that audited, its metrics), the newest first; read as far as needed.

    Returns:
        Dotted path -> ``model``, ``audit`` (id of the run, null if the model was never audited) and, of an audited
        model, the figures of :func:`shorten_audit`.
    """
    missing = {path: dict(model) for path, model in models.items()}
    found: dict[str, dict[str, Any]] = {}
    for run, metrics in audits:
        for path in [path for path, model in missing.items() if model == metrics.get("model")]:
            found[path] = {"model": missing.pop(path), "audit": run, **shorten_audit(metrics)}
        if not missing:
            break
    never = {path: {"model": model, "audit": None} for path, model in missing.items()}
    return {path: (found | never)[path] for path in models}
