"""Twins that a language model proposes, the published way: for each concept one thing that looks alike elsewhere.

Each answer names a thing with its culture, context and key visual features. It is a concept of the table if one has its
name, else a new one without a picture. What the pair is worth is decided by the checks of all other pairs; a pair whose
look cannot be checked is no twin. ``as_released`` brings two defects of the published code back:

- 6: its parser looks for another heading than the prompt asks for, so the proposed thing has no features.
- 9: its prompt's own example pairs two things of one culture, and neither look nor culture is checked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import pandera.pandas as pa
from pydantic import Field

from cultureclip.concepts.countries import find_country
from cultureclip.concepts.keys import name_key
from cultureclip.concepts.proposals import MOST, NO_FEATURES, useful_features
from cultureclip.concepts.regions import region_name
from cultureclip.concepts.sources.found import Found, name_problem, tidy_texts
from cultureclip.concepts.sources.source import Terms
from cultureclip.concepts.sources.tally import COUNTRY_REASONS, Tally
from cultureclip.concepts.texts import CELL_LIMIT
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.ids import concept_id, digest, seed_from_id
from cultureclip.models.chat.asking import Outcome, Usage, ask
from cultureclip.models.chat.request import ChatModel, Request, Sampling, Structured
from cultureclip.models.chat.settings import ChatSettings
from cultureclip.prompts import FIELD_LIMIT, Prompt, plain, read_prompt
from cultureclip.settings_base import Settings
from cultureclip.tables import make_table

TWIN, RELEASED = "twin", "released"
"""Templates of ``prompts/twins.yml``: ours, and the one whose example pairs two things of one culture."""

NO_ANSWER, SAME_THING, SAME_CULTURE = "no answer of the form asked for", "the same thing", "same culture"
_LOST_FEATURES, _UNCHECKED = 6, 9
_FIELDS = frozenset({"name", "culture", "category", "context", "features"})

TWIN_PROPOSALS = pa.DataFrameSchema(
    {
        "a_concept_id": pa.Column(str),  # the concept that was asked about
        "b_concept_id": pa.Column(str, nullable=True),  # what the model named; null where that is no concept
        "name": pa.Column(str, nullable=True),
        "is_new": pa.Column(bool),  # whether no source named it
        "problem": pa.Column(str, nullable=True),  # why it is no concept, or no concept of another culture
    },
    strict=True,
)
"""Table of proposals: one row per concept that was asked about."""


class TwinProposalSettings(Settings):
    """How a language model is asked for twins.

    Attributes:
        title: Name of the source of new concepts, as ``concepts.source`` has it.
        language_model: Who is asked.
        tries: Most times that one question is asked until its answer has the right form.
        max_new_tokens: Most tokens of an answer.
        temperature: Of sampling; 0 takes the likeliest token.
        top_p: Of nucleus sampling.
        seed: Seed of the questions.
        licence: Licence of what the model writes, as an SPDX expression.
        terms: Use that is allowed of what comes from it.
        as_released: Defects of the published code to reproduce: 6, the twin's features are lost; 9, the prompt's
            example is of one culture, and neither look nor culture is checked.
    """

    title: str = Field(default="twin proposals", min_length=1)
    language_model: ChatSettings
    tries: int = Field(default=2, ge=1, le=20)
    max_new_tokens: int = Field(default=256, ge=16, le=4096)
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=42, ge=0)
    licence: str = Field(min_length=1)
    terms: Terms = "train"
    as_released: tuple[Literal[6, 9], ...] = ()

    @property
    def unchecked(self) -> bool:
        """Whether proposals are twins without any check."""
        return _UNCHECKED in self.as_released


class TwinAnswer(Structured):
    """A model's answer to the question for a twin."""

    name: str = Field(min_length=1, max_length=CELL_LIMIT)
    culture: str = Field(min_length=1, max_length=CELL_LIMIT)
    context: str = Field(min_length=1, max_length=CELL_LIMIT)
    features: tuple[str, ...] = Field(min_length=1, max_length=MOST)


@dataclass(frozen=True)
class TwinProposals:
    """What a model proposed.

    Attributes:
        concepts: The concepts table with the new concepts at its end.
        proposals: Table that fits :data:`TWIN_PROPOSALS`.
        figures: Counts by problem, and the model's use.
    """

    concepts: pd.DataFrame
    proposals: pd.DataFrame
    figures: dict[str, Any]


def read_twins_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/twins.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt.
    """
    return read_prompt(content, "twins", {TWIN: _FIELDS, RELEASED: _FIELDS})


def propose_twins(
    concepts: pd.DataFrame, model: ChatModel, store: KeyedStore, prompt: Prompt, settings: TwinProposalSettings
) -> TwinProposals:
    """Ask a model for a twin of every concept.

    Args:
        concepts: Table of concepts.
        model: Who is asked.
        store: Where answers are kept.
        prompt: From :func:`read_twins_prompt`.
        settings: Sampling, and the defects to reproduce.
    """
    rows, usage = concepts.to_dict("records"), Usage()
    requests = [_question(row, prompt, settings) for row in rows]
    outcomes = ask(model, requests, store, settings.tries, usage)
    known = _index(rows)
    new: dict[str, dict[str, Any]] = {}
    proposals: list[dict[str, Any]] = []
    for row, outcome in zip(rows, outcomes, strict=True):
        found = _read(outcome, row, settings)
        problem = NO_ANSWER if found is None else _find_problem(found, row, settings)
        twin = None
        if found is not None and not problem:
            twin = _find_known(found, row, known)
            if twin is None:
                made = _to_concept(found, row, model.name, settings)
                twin = str(made["concept_id"])
                new.setdefault(twin, made)
        proposals.append(
            {
                "a_concept_id": row["concept_id"],
                "b_concept_id": twin,
                "name": None if found is None else found.name,
                "is_new": twin in new,
                "problem": problem or None,
            }
        )
    table = make_table(proposals, TWIN_PROPOSALS)
    figures = {
        "asked": len(table),
        "proposed": int(table["b_concept_id"].notna().sum()),
        "new_concepts": len(new),
        "problems": {str(key): int(count) for key, count in table["problem"].value_counts().items()},
        "usage": usage.to_metrics(settings.language_model.prices),
    }
    added = pd.DataFrame(list(new.values()))
    return TwinProposals(pd.concat([concepts, added], ignore_index=True) if new else concepts, table, figures)


def _question(row: Mapping[Any, Any], prompt: Prompt, settings: TwinProposalSettings) -> Request:
    fields = {
        "name": row["name"],
        "culture": ", ".join(region_name(code) for code in row["cultures"]),
        "category": row["category"],
        "context": row["context"],
        "features": ", ".join(row["key_visual_features"]),
    }
    return Request(
        turns=prompt.ask(
            RELEASED if settings.unchecked else TWIN,
            {name: plain(text)[:FIELD_LIMIT] for name, text in fields.items()},
        ),
        sampling=Sampling(max_tokens=settings.max_new_tokens, temperature=settings.temperature, top_p=settings.top_p),
        seed=seed_from_id(digest("twin seed", settings.seed, row["concept_id"])),
        schema=TwinAnswer,
    )


def _read(outcome: Outcome, row: Mapping[Any, Any], settings: TwinProposalSettings) -> Found | None:
    answer = outcome.value
    if not isinstance(answer, TwinAnswer):
        return None
    features = () if _LOST_FEATURES in settings.as_released else useful_features(answer.name, answer.features)
    found = Found(
        place=f"twin of {row['name']}",
        name=answer.name,
        countries=(answer.culture,),
        category=row["category"],
        ref="",
        universal=row["universal"],
        context=answer.context,
        features=features,
    )
    return tidy_texts(found, Tally())


def _find_problem(found: Found, row: Mapping[Any, Any], settings: TwinProposalSettings) -> str:
    """Return why an answer is no concept of another culture; empty if it is one, as far as words can tell."""
    country = find_country(found.countries[0])
    own_names = {name_key(name) for name in (row["name"], *row["aliases"])}
    rules: Sequence[tuple[object, str]] = (
        (country.status != "found", COUNTRY_REASONS.get(country.status, "")),
        (name_key(found.name) in own_names, SAME_THING),
        (not settings.unchecked and set(country.codes) & set(row["cultures"]), SAME_CULTURE),
        (_LOST_FEATURES not in settings.as_released and not found.features, NO_FEATURES),
    )
    return name_problem(found.name) or next((reason for broken, reason in rules if broken), "")


def _cultures(found: Found) -> list[str]:
    return sorted(find_country(found.countries[0]).codes)


def _index(rows: Iterable[Mapping[Any, Any]]) -> dict[str, list[Mapping[Any, Any]]]:
    """Return the concepts by the keys of their names and aliases."""
    known: dict[str, list[Mapping[Any, Any]]] = {}
    for row in rows:
        for key in {name_key(name) for name in (row["name"], *row["aliases"])}:
            known.setdefault(key, []).append(row)
    return known


def _find_known(found: Found, row: Mapping[Any, Any], known: Mapping[str, list[Mapping[Any, Any]]]) -> str | None:
    """Return the id of the concept that an answer names: of this name and category, at home in that culture."""
    for other in known.get(name_key(found.name), []):
        if other["category"] == row["category"] and not set(_cultures(found)).isdisjoint(other["cultures"]):
            return str(other["concept_id"])
    return None


def _to_concept(found: Found, row: Mapping[Any, Any], model: str, settings: TwinProposalSettings) -> dict[str, Any]:
    cultures = _cultures(found)
    return {
        "concept_id": concept_id(found.name, cultures, row["category"]),
        "name": found.name,
        "cultures": cultures,
        "universal": row["universal"],
        "category": row["category"],
        "context": found.context,
        "key_visual_features": list(found.features),
        "source": settings.title,
        "source_ref": f"{model}, {found.place}"[:CELL_LIMIT],
        "aliases": [],
        "licence": settings.licence,
        "terms": settings.terms,
        "reference_image": None,
    }
