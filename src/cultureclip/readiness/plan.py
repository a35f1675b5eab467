"""How many items each stage has: as stated, or as the tables that are here say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from cultureclip.concepts.sources.top_down import TopDownSource
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.readiness.finding import Survey
from cultureclip.readiness.settings import PreflightSettings
from cultureclip.settings_base import CPU

AT_SERVERS = "servers"
"""Stands in place of a device where a model is asked behind servers."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """The items of a stage.

    Attributes:
        stage: Name of the stage.
        items: Their number; None if it is not known.
        unit: What they are, in the plural.
        device: Where the stage's models run.
        devices: Number of devices that share them.
        asks_model: Whether a chat model is asked.
        prices: Prices per million tokens read and written, of servers; None if not configured.
        at_most: Whether the number is an upper bound.
    """

    stage: str
    items: int | None
    unit: str
    device: str = CPU
    devices: int = 1
    asks_model: bool = False
    prices: tuple[float, float] | None = None
    at_most: bool = False

    @property
    def at_servers(self) -> bool:
        """Whether the stage's model is behind servers."""
        return self.device == AT_SERVERS

    @property
    def uses_gpu(self) -> bool:
        """Whether the stage's time is that of a GPU."""
        return self.device not in (CPU, AT_SERVERS)


@dataclass(frozen=True)
class Planned:
    """Images of a plan.

    Attributes:
        images: Their number; None if it is not known.
        source: Where it is from, in words.
        at_most: Whether it is an upper bound.
        captions: Number of captions to write: a concept's are shared by all its twins; None if it is not known.
    """

    images: int | None
    source: str
    at_most: bool = False
    captions: int | None = None


@dataclass(frozen=True)
class _Given:
    """What the stages that make and judge images share.

    Attributes:
        planned: The images.
        captions: Captions to write for them; None if their number is not known.
        captions_at_most: Whether that is an upper bound.
        devices: Devices that share a stage.
    """

    planned: Planned
    captions: int | None
    captions_at_most: bool
    devices: int


def count_images(survey: Survey, settings: PreflightSettings) -> Planned:
    """Count the images to plan for.

    As stated; else of the requests, captions or twins that are here; else as many as the bounds of mining allow.
    """
    if settings.images is not None:
        return Planned(settings.images, "stated by preflight.images")
    if requests := survey.files.get("image_requests"):
        captions = survey.files.get("captions")
        written = _count_written(captions) if captions else None
        return Planned(pq.read_metadata(requests).num_rows, "of the newest image_requests", captions=written)
    missing = sorted({"mining", "captioning", "synthesis"} - survey.stages.keys())
    if missing:
        return Planned(None, f"the parameters of {missing[0]} are wrong")
    return _count_by_tables(survey)


def _count_by_tables(survey: Survey) -> Planned:
    stages: Mapping[str, Any] = survey.stages
    per_caption = stages["synthesis"].images_per_caption
    if captions := survey.files.get("captions"):
        accepted = _accepted(captions, "caption_id")["caption_id"].nunique()
        return Planned(int(accepted) * per_caption, "of the newest captions", captions=_count_written(captions))
    wanted = sum(kind.wanted for kind in stages["captioning"].kinds.values())
    if twins := survey.files.get("twins"):
        sides = _accepted(twins, "a_concept_id", "b_concept_id")
        images = 2 * len(sides) * wanted * per_caption
        to_write = len({*sides["a_concept_id"], *sides["b_concept_id"]}) * wanted
        return Planned(images, "if every caption of the newest twins is accepted", at_most=True, captions=to_write)
    bound = 2 * sum(stages["mining"].twins.max_twins_per_kind.values()) * wanted * per_caption
    return Planned(bound, "by mining.twins.max_twins_per_kind; more is known after mining", at_most=True)


def _count_written(captions: Path) -> int:
    """Count accepted captions, those that several twins share once."""
    return len(_accepted(captions, "concept_id", "text").drop_duplicates(["concept_id", "text"]))


def _accepted(path: Path, *columns: str) -> pd.DataFrame:
    rows = pd.read_parquet(path, columns=["verdict", *columns])
    return rows[rows["verdict"] == "accepted"]


def plan_stages(survey: Survey, settings: PreflightSettings) -> list[Work]:
    """Return the items of every stage whose parameters are valid, in the order of the flow."""
    stages: Mapping[str, Any] = survey.stages
    planned = count_images(survey, settings)
    captions, bounded = planned.captions, planned.at_most
    if captions is None and planned.images is not None and "synthesis" in stages:
        captions, bounded = ceil(planned.images / stages["synthesis"].images_per_caption), True
    engine = stages.get("engine")
    devices = settings.devices or (len(engine.places) if engine is not None else 1)
    given = _Given(planned, captions, bounded, devices)
    plans: dict[str, Callable[[Any], Work]] = {
        "mining": _plan_mining,
        **{name: partial(plan, given) for name, plan in _OF_IMAGES.items()},
        "train": _plan_train,
        "evaluation": _plan_evaluation,
    }
    return [plan(stages[name]) for name, plan in plans.items() if name in stages]


def _plan_mining(mining: Any) -> Work:
    asked = next((source for source in mining.sources if isinstance(source, TopDownSource)), None)
    if asked is None:
        return Work(stage="mining", items=1, unit="run", device=mining.device)
    return _asking("mining", len(asked.cells()), "regions x categories", asked.language_model, 1)


def _plan_captioning(given: _Given, captioning: Any) -> Work:
    model, bounded = captioning.language_model, given.captions_at_most
    return _asking("captioning", given.captions, "captions", model, given.devices, at_most=bounded)


def _plan_synthesis(given: _Given, synthesis: Any) -> Work:
    return _of_images("synthesis", synthesis.device, given)


def _plan_filtering(given: _Given, filtering: Any) -> Work:
    if "vision_language" not in filtering.judges.decide:
        return _of_images("filtering", filtering.device, given)
    model, bounded = filtering.vision_language.model, given.planned.at_most
    return _asking("filtering", given.planned.images, "images", model, given.devices, at_most=bounded)


def _plan_train(train: Any) -> Work:
    steps = sum(train.run_settings(name).trainer.steps for name in train.objectives) * len(train.seeds)
    return Work(stage="train", items=steps, unit="steps", device=train.trainer.device, devices=train.launch.world)


def _plan_evaluation(evaluation: Any) -> Work:
    return Work(stage="evaluation", items=1, unit="run", device=evaluation.device)


def _of_images(stage: str, device: str, given: _Given) -> Work:
    planned = given.planned
    return Work(
        stage=stage,
        items=planned.images,
        unit="images",
        device=device,
        devices=given.devices,
        at_most=planned.at_most,
    )


def _asking(stage: str, items: int | None, unit: str, model: Any, devices: int, *, at_most: bool = False) -> Work:
    """Return the items of a stage that asks a chat model, which servers share out by themselves."""
    remote = isinstance(model, ServerSettings)
    return Work(
        stage=stage,
        items=items,
        unit=unit,
        device=AT_SERVERS if remote else model.device,
        devices=1 if remote else devices,
        asks_model=True,
        prices=model.prices,
        at_most=at_most,
    )


_OF_IMAGES: dict[str, Callable[[_Given, Any], Work]] = {
    "captioning": _plan_captioning,
    "synthesis": _plan_synthesis,
    "filtering": _plan_filtering,
}
