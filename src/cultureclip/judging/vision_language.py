"""The vision-language judge: three ratings of every image, each with a reason, from any chat model that sees.

The published filter asks Qwen2.5-VL-7B three questions per image and reads a number (arXiv 2507.06210). Here one
question asks for the three ratings as one JSON object, and what is not such an object is no rating.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from cultureclip.concepts.regions import region_name
from cultureclip.engine.job import Job, Slice, slice_name
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.engine.run import SharedWork
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import ConfigurationError
from cultureclip.ids import Digester, digest
from cultureclip.images.source import ImageSource
from cultureclip.judging.panel import Material
from cultureclip.judging.rating import CRITERIA, Ratings, refuse_by_ratings
from cultureclip.judging.read import read_images
from cultureclip.judging.reasons import Reason
from cultureclip.judging.released import refuse_as_released
from cultureclip.judging.scores import TEXT
from cultureclip.judging.settings import PanelSettings, VisionLanguageSettings
from cultureclip.models.chat.asking import Outcome, Usage, ask
from cultureclip.models.chat.job import engine_of
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import ChatModel, LocalModel, Picture, Request, Sampling, Turn, count_tokens
from cultureclip.prompts import FIELD_LIMIT, Prompt, plain, read_prompt
from cultureclip.settings_base import Device

logger = logging.getLogger(__name__)

TEMPLATE = "rate"
_FIELDS = frozenset({"name", "culture", "cultures", "category", "universal", "context", "features"})
_AT_ONCE = 512
"""Images in memory at once."""
_ROWS = 4096
"""Ratings read at once."""
_UNREAD = "the image cannot be read"


def read_rating_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/rating.yml``: one template, ``rate``.

    Raises:
        ConfigurationError: if it is not such a prompt.
    """
    return read_prompt(content, "rating", {TEMPLATE: _FIELDS})


def judge(material: Material, settings: PanelSettings) -> pd.DataFrame:
    """Return ratings and reasons; see :data:`cultureclip.judging.panel.Judge`."""
    how = settings.vision_language
    if how is None:
        raise ConfigurationError("filtering.vision_language", "not there", "Say which model rates images")
    prompt = read_rating_prompt(material.rating_prompt)
    wanted = material.measured.loc[material.measured["fault"].isna(), ["image_id", "concept_id"]]
    rated = rate_images(
        wanted, material.images, material.concepts, material.store, prompt, how, material.usage, material.engine
    )
    reason = refuse_by_ratings(rated, how.rule).mask(rated["cause"] == _UNREAD, str(Reason.UNREADABLE))
    rated = rated.assign(reason=reason).reindex(material.measured.index)
    if 7 in how.as_released:
        planned = material.measured["fault"] != str(Reason.NOT_GENERATED)
        unreadable = material.measured["fault"].notna() | (rated["cause"] == _UNREAD)
        rated["reason"] = refuse_as_released(rated[planned], unreadable[planned], how.rule).reindex(rated.index)
    return rated


def rate_images(
    wanted: pd.DataFrame,
    images: ImageSource,
    concepts: pd.DataFrame,
    store: KeyedStore,
    prompt: Prompt,
    settings: VisionLanguageSettings,
    usage: Usage | None = None,
    engine: EngineSettings = HERE,
) -> pd.DataFrame:
    """Ask for the ratings of images.

    Ratings are kept under the image's id and everything that decides the answer, so a rated image is not read again.
    An image without an acceptable answer is asked about again in the next run.

    Args:
        wanted: ``image_id`` and ``concept_id``, the concept that the image should show; one row per image.
        images: Store of the images.
        concepts: Table of concepts.
        store: Store of answers and ratings.
        prompt: From :func:`read_rating_prompt`.
        settings: Who is asked, and how.
        usage: Counts to add to.
        engine: Where images are rated, and shared with whom.

    Returns:
        On the index of ``wanted``: the ratings :data:`CRITERIA` (float, missing where there is none), a
        ``<criterion>_reason`` each, and ``cause``, which says why there is no rating. By id, never by position.
    """
    rater = _Rater(open_chat_model(settings.model), images, store, settings, usage or Usage(), engine)
    questions = {str(row["concept_id"]): _turns(prompt, row) for row in concepts.to_dict("records")}
    asked = {
        str(image): questions[str(concept)]
        for image, concept in zip(wanted["image_id"], wanted["concept_id"], strict=True)
    }
    failed = rater.rate(asked)
    parts = [_tabulate([])]
    for start in range(0, len(wanted), _ROWS):
        part = [str(image) for image in wanted["image_id"].iloc[start : start + _ROWS]]
        rated = rater.read({image: asked[image] for image in part}, failed)
        parts.append(_tabulate([rated[image] for image in part]))
    return pd.concat(parts, ignore_index=True).set_axis(wanted.index)


def _tabulate(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = [*CRITERIA, *(f"{name}_reason" for name in CRITERIA), "cause"]
    types = dict.fromkeys(CRITERIA, float) | dict.fromkeys(columns[len(CRITERIA) :], TEXT)
    return pd.DataFrame(rows, columns=columns).astype(types)


def _turns(prompt: Prompt, row: Mapping[Any, Any]) -> tuple[Turn, ...]:
    cultures = [region_name(code) for code in row["cultures"]]
    fields = {
        "name": row["name"],
        "culture": cultures[0],
        "cultures": ", ".join(cultures),
        "category": row["category"],
        "universal": row["universal"],
        "context": row["context"],
        "features": ", ".join(row["key_visual_features"]),
    }
    return prompt.ask(TEMPLATE, {name: plain(str(text))[:FIELD_LIMIT] for name, text in fields.items()})


class _Rater:
    """A model, the images that it is asked about, and where ratings are kept."""

    def __init__(
        self,
        model: ChatModel,
        images: ImageSource,
        store: KeyedStore,
        settings: VisionLanguageSettings,
        usage: Usage,
        engine: EngineSettings,
    ) -> None:
        self.model, self.images, self.store, self.settings, self.usage = model, images, store, settings, usage
        self.engine = engine
        self._keys: dict[tuple[Turn, ...], Digester] = {}
        self._drawn = [getattr(settings, name) for name in ("max_new_tokens", "temperature", "top_p", "seed", "tries")]
        self._schema = Ratings.model_json_schema()
        self.sampling = Sampling(
            max_tokens=settings.max_new_tokens, temperature=settings.temperature, top_p=settings.top_p
        )

    def rate(self, asked: Mapping[str, tuple[Turn, ...]]) -> dict[str, dict[str, Any]]:
        """Rate the images that are not rated, and keep the ratings.

        Returns:
            image_id -> a row of why there are no ratings, for images that this run asked about in vain.
        """
        every = sorted(asked)  # neighbours share a part of the store
        keys = [self.key(image, asked[image]) for image in every]
        work = SharedWork(engine_of(self.model, self.engine), "ratings", digest("rate", keys))
        kept = self.store.find(keys)
        logger.debug("The vision-language judge rates %d images", len(asked) - len(kept))
        slices = []
        for start in range(0, len(every), _AT_ONCE):
            cut = slice(start, start + _AT_ONCE)
            named = zip(every[cut], keys[cut], strict=True)
            if task := {image: asked[image] for image, key in named if key not in kept}:
                slices.append(Slice(slice_name(keys[cut]), task, len(task)))
        preload, count = (__name__, type(self.model).__module__), partial(_count, self.model)
        job = Job("images", slices, partial(_RateSlices, self), preload, count)
        missing = sum(piece.items for piece in slices)
        failed: dict[str, dict[str, Any]] = {}
        with progress_bar(total=missing, desc="rate images", disable=not missing) as bar:
            for usage, rows in work.run(job):
                self.usage.add(usage)
                failed |= {image: row for image, row in rows.items() if row["cause"] is not None}
                bar.update(len(rows))
        return failed

    def read(
        self, asked: Mapping[str, tuple[Turn, ...]], failed: Mapping[str, dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """Return image_id -> a row of ratings, or of why there are none; those of other runs that failed are asked."""
        keys = {image: self.key(image, turns) for image, turns in asked.items()}
        kept = self.store.get(keys.values())
        rows = {i: kept[key] if key in kept else failed.get(i) for i, key in keys.items()}
        others = {image: asked[image] for image, row in rows.items() if row is None}
        found = self.rate_slice(others, Usage()) if others else {}
        return {image: found[image] if row is None else row for image, row in rows.items()}

    def rate_slice(self, asked: Mapping[str, tuple[Turn, ...]], usage: Usage) -> dict[str, dict[str, Any]]:
        """Rate some images, and keep the ratings; an image without any is asked about again in the next run."""
        outcomes = dict(self._ask(list(asked), asked, usage))
        rows = {image: _row(outcomes[image]) if image in outcomes else {"cause": _UNREAD} for image in asked}
        self.store.put({self.key(i, asked[i]): row for i, row in rows.items() if row["cause"] is None})
        return rows

    def _ask(
        self, part: Sequence[str], asked: Mapping[str, tuple[Turn, ...]], usage: Usage
    ) -> Iterator[tuple[str, Outcome]]:
        pictures = read_images(self.images, part)
        requests = [
            Request(
                turns=(*asked[image][:-1], Turn("user", (Picture.of(picture), *asked[image][-1].parts))),
                sampling=self.sampling,
                seed=self.settings.seed,
                schema=Ratings,
            )
            for image, picture in pictures.items()
        ]
        outcomes = ask(self.model, requests, self.store, self.settings.tries, usage)
        yield from zip(pictures, outcomes, strict=True)

    def key(self, image: str, turns: tuple[Turn, ...]) -> str:
        """Return the key of an image's ratings."""
        if turns not in self._keys:
            words = [[turn.role, turn.text] for turn in turns]
            after = [words, self._drawn, self._schema]
            self._keys[turns] = Digester(["rating", self.model.fingerprint], after)
        return self._keys[turns](image)


@dataclass(frozen=True)
class _RateSlices:
    """Rates slices of images; in another process with a copy of the rater, its model on a device of its own."""

    rater: _Rater
    device: Device | None

    def __post_init__(self) -> None:
        if self.device is not None and isinstance(self.rater.model, LocalModel):
            self.rater.model = self.rater.model.on(self.device)

    def __call__(self, asked: Mapping[str, tuple[Turn, ...]]) -> Iterator[tuple[Usage, dict[str, dict[str, Any]]]]:
        """Rate the images of a slice; yields the use of the model and a row per image."""
        usage = type(self.rater.usage)()
        rows = self.rater.rate_slice(asked, usage)
        yield usage, rows


def _count(model: ChatModel, result: tuple[Usage, Any]) -> Mapping[str, float]:
    return count_tokens(result[0].prompt_tokens, result[0].completion_tokens, model)


def _row(outcome: Outcome) -> dict[str, Any]:
    if outcome.failed or not isinstance(outcome.value, Ratings):
        return {"cause": f"{outcome.cause}: {outcome.text!r}"}
    value = outcome.value
    ratings = {name: getattr(value, name).rating for name in CRITERIA}
    reasons = {f"{name}_reason": getattr(value, name).reason for name in CRITERIA}
    return {**ratings, **reasons, "cause": None}
