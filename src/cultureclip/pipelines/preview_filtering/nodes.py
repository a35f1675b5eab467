"""Nodes of the preview of filtering."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from cultureclip.datasets.site_dataset import SiteFiles
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.filtering.parameters import FilteringParameters
from cultureclip.pipelines.preview import PreviewParameters
from cultureclip.readiness.measured import Measured, measure_answers

if TYPE_CHECKING:
    from cultureclip.models.chat.asking import Exchange, Transcript
    from cultureclip.report.estimate import Figure
    from cultureclip.report.preview import Shown

logger = logging.getLogger(__name__)


def choose_images(image_requests: pd.DataFrame, parameters: PreviewParameters) -> tuple[pd.DataFrame, int]:
    """Choose the first images of the plan, in the order of their ids.

    Returns:
        Their rows of the plan, and the number of all planned images.
    """
    return image_requests.sort_values("image_id").head(parameters.items), len(image_requests)


def preview_opinions(
    measurements: pd.DataFrame,
    total: int,
    images: ImageSource,
    concepts: pd.DataFrame,
    judgement_store: KeyedStore,
    rating_prompt: dict[str, Any],
    attribution_prompt: dict[str, Any],
    parameters: FilteringParameters,
) -> SiteFiles:
    """Let the judges that decide judge the first images, and show each with what they say.

    The opinions are the stage's own and lie in its store, so the stage does not ask for them again. Duplicates and
    incomplete twins show only when all images are there: the verdict here is the judges' alone.

    Returns:
        A ``report.preview.Preview``.
    """
    from cultureclip.judging.judge import Judge
    from cultureclip.judging.panel import Material, ask_judges, combine_reasons
    from cultureclip.models.chat.asking import Transcript
    from cultureclip.report.preview import Preview

    heard = Transcript()
    encoder = Judge(parameters, judgement_store)
    material = Material(
        measurements, images, concepts, judgement_store, rating_prompt, attribution_prompt, heard, encoder=encoder
    )
    opinions = ask_judges(material, parameters)
    reasons = combine_reasons(opinions, measurements["image_id"], parameters)
    names = concepts.set_index("concept_id")["name"]
    by_image = dict(list(opinions.groupby("image_id")))
    prices = parameters.vision_language.model.prices if parameters.vision_language else None
    preview = Preview(
        stage="filtering",
        unit="images",
        items=len(measurements),
        total=total,
        figures=estimate(reasons, heard, total, prices),
        shown=[
            show(str(names[concept]), by_image[image], reason, images, heard)
            for image, concept, reason in zip(
                measurements["image_id"], measurements["concept_id"], reasons, strict=True
            )
        ],
        facts=[("Judges", f"{parameters.judges.combine} of {', '.join(parameters.judges.decide)}")],
        remarks=remark(heard),
        records=measured_rate(len(measurements), heard, parameters).as_record(),
    )
    logger.info("Preview of filtering: %s", preview.say())
    return preview


def estimate(reasons: pd.Series, heard: "Transcript", total: int, prices: tuple[float, float] | None) -> list["Figure"]:
    """Estimate accepted images, tokens, seconds and money of all images from the first ones.

    Args:
        reasons: Reason against each image; missing for an accepted one.
        heard: What the chat model was asked.
        total: Number of all images.
        prices: Prices per million tokens read and written; None if not configured.
    """
    from cultureclip.models.chat.request import cost_of
    from cultureclip.report.estimate import SECONDS, project

    figures = [project("accepted images", reasons.isna().astype(int).tolist(), total)]
    answers = [exchange.answer for exchange in heard.exchanges]
    if not answers:
        return figures
    per_image = total * len(answers) // len(reasons)
    read = project("tokens read", [answer.prompt_tokens for answer in answers], per_image)
    wrote = project("tokens written", [answer.completion_tokens for answer in answers], per_image)
    questions = project("questions", [1] * len(answers), per_image)
    figures += [questions, read, wrote]
    if heard.asked:
        figures.append(questions.times(heard.seconds / heard.asked, "time", SECONDS, 1))
    if prices is not None:
        costs = [cost_of(answer.prompt_tokens, answer.completion_tokens, prices) for answer in answers]
        figures.append(project("cost", costs, per_image, "in the currency of the prices", 4))
    return figures


def measured_rate(images: int, heard: "Transcript", parameters: FilteringParameters) -> Measured:
    """Note what an image takes, for the preflight: of the chat model, which takes most of it."""
    answers = [exchange.answer for exchange in heard.exchanges]
    how = f"preview of {images} images, the chat model's time"
    return measure_answers("filtering", parameters, how, images, answers, heard)


def show(name: str, opinions: pd.DataFrame, reason: str | None, images: ImageSource, heard: "Transcript") -> "Shown":
    """Show an image with the judges' opinions, and the question with its last answer where one was asked now."""
    from cultureclip.judging.panel import to_verdicts
    from cultureclip.judging.read import read_images
    from cultureclip.models.chat.request import Picture
    from cultureclip.report.preview import Shown
    from cultureclip.report.thumbnails import thumbnail

    image = str(opinions["image_id"].iloc[0])
    present = image in set(images.ids)
    picture = read_images(images, [image]).get(image) if present else None
    exchange = _find(heard, Picture.of(picture).sha256) if picture is not None else None
    return Shown(
        title=name,
        prompt=tuple((turn.role, turn.text) for turn in exchange.request.turns) if exchange else (),
        answer=exchange.answer.text if exchange else None,
        parsed="; ".join(_say(dict(row)) for _, row in opinions.iterrows()),
        verdict=str(to_verdicts(pd.Series([reason], dtype=object))[0]),
        accepted=bool(pd.isna(reason)),
        reason=None if pd.isna(reason) else str(reason),
        notes=tuple(str(cause) for cause in opinions.get("cause", pd.Series(dtype=object)).dropna()),
        pictures=() if picture is None else (thumbnail(picture),),
    )


def _find(heard: "Transcript", sha256: str) -> "Exchange | None":
    """Return the last exchange about a picture."""
    about = [e for e in heard.exchanges if any(p.sha256 == sha256 for turn in e.request.turns for p in turn.pictures)]
    return about[-1] if about else None


def _say(opinion: Mapping[str, Any]) -> str:
    """Write a judge's opinion in a line."""
    from cultureclip.judging.image_text import SIMILARITIES
    from cultureclip.judging.rating import CRITERIA

    said = []
    for criterion in CRITERIA:
        if pd.notna(rating := opinion.get(criterion)):
            said.append(f"{criterion.replace('_', ' ')} {rating:.0f} ({opinion[f'{criterion}_reason']})")
    for similarity in SIMILARITIES:
        if pd.notna(value := opinion.get(similarity)):
            said.append(f"{similarity.replace('_', ' ')} {value:.2f}")
    return f"{opinion['judge']}: {', '.join(said) or 'nothing'}"


def remark(heard: "Transcript") -> list[str]:
    """Say how reliable the time is, and what this preview cannot know."""
    later = "Duplicates and twins with a side too few are found only when all images are judged."
    if not heard.asked:
        return ["Nothing was asked now: opinions were kept, or no judge is a chat model.", later]
    rate = f"The time is that of {heard.asked:,} answers given now, without loading the model"
    return [f"{rate}; {heard.kept:,} answers were kept from earlier runs.", later]
