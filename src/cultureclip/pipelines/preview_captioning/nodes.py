"""Nodes of the preview of captioning."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from cultureclip.captions.facts import ConceptFacts
from cultureclip.datasets.site_dataset import SiteFiles
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError
from cultureclip.pipelines.captioning.parameters import CaptioningParameters
from cultureclip.pipelines.preview import First, PreviewParameters
from cultureclip.readiness.measured import Measured, measure_answers
from cultureclip.report.estimate import Figure

if TYPE_CHECKING:
    from cultureclip.captions.candidates import Candidate
    from cultureclip.models.chat.asking import Exchange, Usage
    from cultureclip.report.preview import Shown

logger = logging.getLogger(__name__)


def choose_concepts(twins: pd.DataFrame, concepts: pd.DataFrame, parameters: PreviewParameters) -> First[ConceptFacts]:
    """Choose the first concepts of accepted twins, in the order of their ids, which is the order of captioning.

    Raises:
        SourceDataError: if no twin is accepted.
    """
    from cultureclip.captions.write import concepts_to_caption
    from cultureclip.concepts.exclusions import leave_out

    twins = leave_out(twins, parameters.exclude.find(concepts), "Preview")
    asked = concepts_to_caption(twins, concepts)
    if not asked:
        remedy = "Look at the reasons in the twins table, then add concepts or change mining.twins"
        raise SourceDataError("twins", "none is accepted, so there is nothing to caption", remedy)
    return First(asked[: parameters.items], len(asked))


def let_voices_speak(
    first: First[ConceptFacts],
    twins: pd.DataFrame,
    concepts: pd.DataFrame,
    caption_store: KeyedStore,
    voices_prompt: dict[str, Any],
    claims_prompt: dict[str, Any],
    parameters: CaptioningParameters,
) -> tuple[First[ConceptFacts], list[Figure]]:
    """Let voices talk about the twins of the first concepts, where ``voices`` are configured.

    Returns:
        The concepts with what was said of them, and the estimated lines of all dialogues.
    """
    from cultureclip.captions.dialogue import said_of
    from cultureclip.captions.write import concepts_to_caption
    from cultureclip.pipelines.captioning.nodes import collect_claims, hold_dialogues
    from cultureclip.report.estimate import project

    if parameters.voices is None:
        return first, []
    ids = {concept.concept_id for concept in first.items}
    accepted = twins[twins["verdict"] == "accepted"]
    near = accepted[accepted["a_concept_id"].isin(ids) | accepted["b_concept_id"].isin(ids)]
    dialogues, _ = hold_dialogues(near, concepts, caption_store, voices_prompt, parameters)
    lines = dialogues.groupby("twin_id").size().tolist()
    claims, _ = collect_claims(dialogues, concepts, caption_store, claims_prompt, parameters)
    said = said_of(claims if parameters.claims else dialogues)
    told = {concept.concept_id: concept for concept in concepts_to_caption(near, concepts, said)}
    spoken = [replace(concept, said=told[concept.concept_id].said) for concept in first.items]
    return First(spoken, first.total), [project("lines of dialogues", lines, len(accepted))]


def preview_captions(
    first: First[ConceptFacts],
    dialogue_figures: list[Figure],
    caption_store: KeyedStore,
    caption_prompt: dict[str, Any],
    parameters: CaptioningParameters,
) -> SiteFiles:
    """Let the stage caption the first concepts, and show every question of them.

    The questions are the stage's own and their answers lie in its store, so the stage does not ask them again.

    Returns:
        A ``report.preview.Preview``.
    """
    from cultureclip.captions.prompts import read_caption_prompt
    from cultureclip.captions.units import WordChecker
    from cultureclip.captions.write import Writer
    from cultureclip.models.chat.asking import Transcript
    from cultureclip.models.chat.open import open_chat_model
    from cultureclip.report.preview import Preview

    prompt, heard = read_caption_prompt(caption_prompt, parameters), Transcript()
    model = open_chat_model(parameters.language_model)
    writer = Writer(caption_store, model, prompt, parameters, heard, WordChecker())
    written = list(writer.ask_until_enough(list(first.items)).values())
    exchanges = {exchange.request.seed: exchange for exchange in heard.exchanges}
    preview = Preview(
        stage="captioning",
        unit="concepts",
        items=len(first.items),
        total=first.total,
        figures=dialogue_figures + estimate(written, exchanges, heard, first.total, parameters.language_model.prices),
        shown=[show(candidate, exchanges[candidate.seed]) for tries in written for candidate in tries],
        facts=[
            ("Model", model.name),
            ("Prompt", prompt.id),
            ("Seed", str(parameters.seed)),
            ("Draw", str(parameters.draw)),
        ],
        remarks=remark(heard),
        records=measured_rate(written, exchanges, heard, parameters).as_record(),
    )
    logger.info("Preview of captioning: %s", preview.say())
    return preview


def estimate(
    written: Sequence[Sequence["Candidate"]],
    exchanges: Mapping[int, "Exchange"],
    heard: "Usage",
    total: int,
    prices: tuple[float, float] | None,
) -> list[Figure]:
    """Estimate questions, captions, tokens, seconds and money of all concepts from the first ones.

    Args:
        written: Candidates of each of the first concepts.
        exchanges: Their questions and answers, by seed.
        heard: What was asked now: the seconds are the model's own.
        total: Number of all concepts.
        prices: Prices per million tokens read and written; None if not configured.
    """
    from cultureclip.models.chat.request import cost_of
    from cultureclip.report.estimate import SECONDS, project

    answers = [[exchanges[candidate.seed].answer for candidate in tries] for tries in written]
    read = [sum(answer.prompt_tokens for answer in given) for given in answers]
    wrote = [sum(answer.completion_tokens for answer in given) for given in answers]
    questions = project("questions", [len(given) for given in answers], total)
    figures = [
        questions,
        project("accepted captions", [sum(c.reason is None for c in tries) for tries in written], total),
        project("tokens read", read, total),
        project("tokens written", wrote, total),
    ]
    if heard.asked:
        figures.append(questions.times(heard.seconds / heard.asked, "time", SECONDS, 1))
    if prices is not None:
        costs = [cost_of(r, w, prices) for r, w in zip(read, wrote, strict=True)]
        figures.append(project("cost", costs, total, "in the currency of the prices", 4))
    return figures


def measured_rate(
    written: Sequence[Sequence["Candidate"]],
    exchanges: Mapping[int, "Exchange"],
    heard: "Usage",
    parameters: CaptioningParameters,
) -> Measured:
    """Note what an accepted caption takes, for the preflight: refused tries are a part of it."""
    answers = [exchanges[candidate.seed].answer for tries in written for candidate in tries]
    accepted = sum(candidate.reason is None for tries in written for candidate in tries)
    how = f"preview of {len(answers)} questions, {accepted} captions accepted"
    return measure_answers("captioning", parameters, how, accepted, answers, heard)


def show(candidate: "Candidate", exchange: "Exchange") -> "Shown":
    """Show a question with its answer, the captions read from the answer, and the verdict."""
    from cultureclip.report.preview import Shown

    answer, concept = exchange.answer, candidate.concept
    notes = [f"{candidate.kind}, try {candidate.number + 1}", "kept" if exchange.kept else "asked now"]
    notes.append(f"{answer.prompt_tokens} tokens read, {answer.completion_tokens} written")
    if candidate.units is not None and candidate.units.problems:
        notes.append(f"unsupported: {', '.join(candidate.units.problems)}")
    return Shown(
        title=f"{concept.name} ({', '.join(concept.cultures)})",
        prompt=tuple((turn.role, turn.text) for turn in exchange.request.turns),
        answer=answer.text,
        parsed=candidate.text if candidate.translation is None else f"{candidate.text} ({candidate.translation})",
        verdict=candidate.verdict,
        accepted=candidate.reason is None,
        reason=_reason(candidate, exchange),
        notes=tuple(notes),
    )


def remark(heard: "Usage") -> list[str]:
    """Say how reliable the time is."""
    if not heard.asked:
        return ["All answers were kept from an earlier run, so nothing tells how long the model takes."]
    rate = f"The time is that of {heard.asked:,} answers given now, without loading the model"
    fuller = "A run over more concepts asks more questions at once, and is faster where the device has room."
    return [f"{rate}; {heard.kept:,} answers were kept from earlier runs. {fuller}"]


def _reason(candidate: "Candidate", exchange: "Exchange") -> str | None:
    if exchange.answer.finish == "length":
        return f"cut off after {exchange.request.sampling.max_tokens} tokens"
    if exchange.answer.finish == "refused":
        return "the model declined to answer"
    return None if candidate.reason is None else str(candidate.reason)
