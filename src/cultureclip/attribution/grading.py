"""Grading: one independent question per image and culture, answered in two ways.

After CAIRe (arXiv 2506.09109), whose first version took the likeliest of the digits 1 to 5 as the grade and whose later
code lets the model write it. Both are kept, with the expectation over the digits beside them. Unlike the published
code, a missing text, an unreadable image and an answer that cannot be parsed give null with a reason, never a middle
grade; rows are joined by id, so that a failure shifts no other row; and labels are asked as they are written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.attribution.embedding import read_each
from cultureclip.attribution.knowledge_base import KnowledgeBase
from cultureclip.attribution.prompts import DIGIT, DIGITS, WRITTEN, WrittenGrade, grade_turns
from cultureclip.attribution.settings import GradeSettings
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.images.source import ImageSource
from cultureclip.models.chat.asking import Outcome, Usage, ask
from cultureclip.models.chat.request import ChatModel, Picture, Request, Sampling
from cultureclip.models.chat.scoring import score_all
from cultureclip.prompts import Prompt
from cultureclip.reading.pictures import to_rgb
from cultureclip.tables import ATTRIBUTIONS, make_table

_IMAGES_AT_ONCE = 256
"""Images whose questions, and pictures if they are shown, are in memory together."""
_TYPES = {
    "entity_id": "str",
    "grade_generated": "Int64",
    "reason": "str",
    "why_not_generated": "str",
    "grade_likeliest": "Int64",
    "grade_expected": "float64",
    "digit_mass": "float64",
    "why_not_likeliest": "str",
}


@dataclass(frozen=True)
class Grader:
    """Who grades, how it is asked, and where answers are kept.

    Attributes:
        model: Model to ask; it is loaded only when something has to be asked.
        prompt: The prompt file.
        settings: What is shown, and how is asked.
        store: Store of the answers.
        usage: Counts to add to.
        templates: Which of the two questions are asked.
    """

    model: ChatModel
    prompt: Prompt
    settings: GradeSettings
    store: KeyedStore
    usage: Usage = field(default_factory=Usage)
    templates: tuple[str, ...] = (WRITTEN, DIGIT)

    def grade_images(
        self,
        links: pd.DataFrame,
        knowledge: KnowledgeBase,
        images: ImageSource,
        labels: Callable[[str], Sequence[str]],
    ) -> pd.DataFrame:
        """Grade the entity of every image for every label that it is asked about.

        Args:
            links: Table LINKS.
            knowledge: The knowledge base of the links.
            images: The images; read only if the model is shown them.
            labels: Gives the cultures that an image is graded for, by its id.

        Returns:
            Table ATTRIBUTIONS, image by image in the order of the links, label by label in their own order.
        """
        linked = [replace(one, labels=tuple(labels(one.image_id))) for one in _find_linked(links, knowledge)]
        rows: list[dict[str, Any]] = []
        for start in range(0, len(linked), _IMAGES_AT_ONCE):
            rows += self._grade_part(linked[start : start + _IMAGES_AT_ONCE], images)
        return make_table(rows, ATTRIBUTIONS).astype(_TYPES)

    def _grade_part(self, linked: Sequence["_Linked"], images: ImageSource) -> Iterator[dict[str, Any]]:
        shown, refused = self._show([one.image_id for one in linked if one.why_not is None], images)
        whys = {one.image_id: "unreadable" if one.image_id in refused else one.why_not for one in linked}
        asked = [one for one in linked if whys[one.image_id] is None]
        written = self._ask_written(asked, shown)
        chances = self._ask_digits(asked, shown)
        for one in linked:
            for label in one.labels:
                place = (one.image_id, label)
                why = whys[one.image_id]
                grades = _no_grade(why) if why else _read_written(written.get(place)) | _read_digits(chances.get(place))
                yield self._row(one, label) | grades

    def _show(self, ids: Sequence[str], images: ImageSource) -> tuple[dict[str, Picture], dict[str, str]]:
        if not self.settings.show_picture:
            return {}, {}
        opened, refused = read_each(images.read, ids) if ids else ({}, {})
        return {image_id: Picture.of(to_rgb(image)) for image_id, image in opened.items()}, refused

    def _ask_written(self, asked: Sequence["_Linked"], shown: Mapping[str, Picture]) -> dict[tuple[str, str], Outcome]:
        if WRITTEN not in self.templates:
            return {}
        places, requests = self._requests(asked, shown, WRITTEN)
        outcomes = ask(self.model, requests, self.store, self.settings.tries, self.usage)
        return dict(zip(places, outcomes, strict=True))

    def _ask_digits(
        self, asked: Sequence["_Linked"], shown: Mapping[str, Picture]
    ) -> dict[tuple[str, str], list[float]]:
        if DIGIT not in self.templates:
            return {}
        places, requests = self._requests(asked, shown, DIGIT)
        scored = score_all(self.model, requests, DIGITS, self.store, self.usage)
        return {} if scored is None else dict(zip(places, scored, strict=True))

    def _requests(
        self, asked: Sequence["_Linked"], shown: Mapping[str, Picture], template: str
    ) -> tuple[list[tuple[str, str]], list[Request]]:
        """Return the (image, label) and the question of each cell; equal questions are answered once."""
        settings, places, requests = self.settings, [], []
        sampling = Sampling(max_tokens=settings.max_new_tokens if template == WRITTEN else 1)
        for one in asked:
            for label in one.labels:
                picture = shown.get(one.image_id)
                turns = grade_turns(self.prompt, template, one.name, one.text, label, settings.max_text, picture)
                schema = WrittenGrade if template == WRITTEN else None
                places.append((one.image_id, label))
                requests.append(Request(turns=turns, sampling=sampling, seed=settings.seed, schema=schema))
        return places, requests

    def _row(self, one: "_Linked", label: str) -> dict[str, Any]:
        return {
            "image_id": one.image_id,
            "entity_id": one.entity_id,
            "label": label,
            "prompt_id": self.prompt.id,
            "model": self.model.name,
            "revision": self.model.fingerprint,
        }


@dataclass(frozen=True)
class _Linked:
    """What an image was linked to; ``why_not`` says why it is not graded."""

    image_id: str
    entity_id: str | None = None
    name: str = ""
    text: str = ""
    why_not: str | None = None
    labels: tuple[str, ...] = ()


def _find_linked(links: pd.DataFrame, knowledge: KnowledgeBase) -> list[_Linked]:
    """Return the chosen entity of each image; where no candidate has a text, the likeliest one."""
    found: dict[str, _Linked] = {}
    ranked = links.sort_values("rank", kind="stable")
    for image, entity, chosen in zip(ranked["image_id"], ranked["entity_id"], ranked["chosen"], strict=True):
        if pd.isna(entity):
            found[image] = _Linked(image, why_not="unreadable")
        elif chosen:
            found[image] = _Linked(image, entity, knowledge.names[entity], knowledge.texts[entity])
        else:
            found.setdefault(image, _Linked(image, entity, why_not="no_text"))
    return [found[image_id] for image_id in links["image_id"].drop_duplicates()]


def _no_grade(why: str) -> dict[str, Any]:
    return {"why_not_generated": why, "why_not_likeliest": why}


def _read_written(outcome: Outcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"why_not_generated": "not_asked"}
    if not isinstance(outcome.value, WrittenGrade):
        return {"why_not_generated": outcome.reason}
    return {"grade_generated": outcome.value.score, "reason": outcome.value.reason}


def _read_digits(chances: Sequence[float] | None) -> dict[str, Any]:
    """Return the likeliest digit, the expectation over the digits, and the probability that it is a digit at all."""
    if chances is None:
        return {"why_not_likeliest": "no_probabilities"}
    masses = np.exp(np.asarray(chances) - max(chances))
    grades = np.arange(1, len(DIGITS) + 1)
    return {
        "grade_likeliest": int(grades[masses.argmax()]),
        "grade_expected": float(grades @ masses / masses.sum()),
        "digit_mass": float(np.exp(chances).sum()),
    }
