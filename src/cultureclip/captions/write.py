"""Captions for every concept of an accepted twin: asked, checked, asked again."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from cultureclip.captions.checks import CaptionReport, Reason, check_caption
from cultureclip.captions.facts import ConceptFacts
from cultureclip.captions.prompts import PROMPT_ID, caption_messages, parse_caption
from cultureclip.captions.settings import CaptionSettings
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError, UnparsableAnswerError
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.text import Answer, LanguageModel
from cultureclip.tables import CAPTIONS

SHOWN_ANSWER = 200
"""Most characters of an answer without a caption that are kept in the table."""


@dataclass(frozen=True)
class Candidate:
    """One try at a concept's caption: which, with what seed, and what came back."""

    concept: ConceptFacts
    number: int
    seed: int
    text: str | None
    answer: str
    report: CaptionReport | None
    reason: Reason | None

    @property
    def verdict(self) -> str:
        """``accepted``, ``rejected`` by a check, or ``failed`` when there is no caption to check."""
        return "accepted" if self.reason is None else "failed" if self.text is None else "rejected"

    @property
    def checks(self) -> str:
        """The report as JSON; of an answer without a caption its beginning."""
        seen = self.report.as_dict() if self.report else {"answer": self.answer[:SHOWN_ANSWER]}
        return json.dumps(seen, ensure_ascii=False)


def write_captions(
    twins: pd.DataFrame,
    concepts: pd.DataFrame,
    *,
    store: KeyedStore,
    model: LanguageModel,
    model_name: str,
    settings: CaptionSettings,
) -> pd.DataFrame:
    """Write captions until every concept of an accepted twin has ``per_half`` or ``max_tries`` candidates.

    A concept's captions are shared by all its twins. Answers are kept in the store batch by batch, so what a killed run
    has been told is not asked again; verdicts are worked out anew in each run.

    Args:
        twins: Table TWINS.
        concepts: Table CONCEPTS.
        store: Where answers are kept.
        model: The language model; it is loaded only when something has to be written.
        model_name: As the config names it; ids follow from its content, wherever it lies.
        settings: Amounts, sampling and bounds.

    Returns:
        Table CAPTIONS: one row a twin, concept and candidate, also of the refused ones.

    Raises:
        SourceDataError: a twin names a concept that is not in ``concepts``.
    """
    accepted = twins[twins["verdict"] == "accepted"]
    asked = _concepts_to_caption(accepted, concepts)
    candidates = _ask_until_enough(asked, store, model, settings)
    halves = [
        (str(twin), str(concept))
        for twin, *pair in accepted[["twin_id", "a_concept_id", "b_concept_id"]].itertuples(index=False)
        for concept in pair
    ]
    rows = [
        _row(twin, candidate, model_name, model.fingerprint)
        for twin, concept in halves
        for candidate in candidates[concept]
    ]
    table = pd.DataFrame(rows, columns=list(CAPTIONS.columns))
    if table.empty:  # without rows pandas cannot tell texts from numbers
        table = table.astype("str")
    return table.astype({"seed": "int64", "tries": "int64"})


def _concepts_to_caption(accepted: pd.DataFrame, concepts: pd.DataFrame) -> list[ConceptFacts]:
    rows: dict[str, dict[str, Any]] = {str(row["concept_id"]): dict(row) for _, row in concepts.iterrows()}
    partners: dict[str, list[str]] = {}
    for a, b in accepted[["a_concept_id", "b_concept_id"]].astype(str).itertuples(index=False):
        for one, other in ((a, b), (b, a)):
            if one not in rows:
                raise SourceDataError(one, "a twin names this concept, the concept table has none", "Run mining again")
            partners.setdefault(one, []).append(other)
    return [
        ConceptFacts.from_row(rows[one], twins=[str(rows[other]["name"]) for other in others])
        for one, others in sorted(partners.items())
    ]


def _ask_until_enough(
    asked: list[ConceptFacts], store: KeyedStore, model: LanguageModel, settings: CaptionSettings
) -> dict[str, list[Candidate]]:
    written: dict[str, list[Candidate]] = {concept.concept_id: [] for concept in asked}
    with tqdm(total=len(asked) * settings.per_half, desc="captions accepted") as bar:
        while questions := list(_open_questions(asked, written, settings)):
            keys = [_key(concept, number, model, settings) for concept, number in questions]
            answers = store.get(keys)
            missing = [i for i, key in enumerate(keys) if key not in answers]
            if missing:
                for batch in _ask([questions[i] for i in missing], model, settings):
                    fresh = {keys[missing[i]]: asdict(answer) for i, answer in batch}
                    store.put(fresh)
                    answers |= fresh
                    bar.set_postfix(answers=len(answers))
            for (concept, number), key in zip(questions, keys, strict=True):
                candidate = _judge(concept, number, Answer(**answers[key]), written[concept.concept_id], settings)
                written[concept.concept_id].append(candidate)
                bar.update(candidate.reason is None)
    return written


def _open_questions(
    asked: Iterable[ConceptFacts], written: Mapping[str, list[Candidate]], settings: CaptionSettings
) -> Iterator[tuple[ConceptFacts, int]]:
    """The next candidates: as many as a concept still lacks, within its tries."""
    for concept in asked:
        tried = written[concept.concept_id]
        lacking = settings.per_half - sum(candidate.reason is None for candidate in tried)
        for number in range(len(tried), min(len(tried) + lacking, settings.max_tries)):
            yield concept, number


def _seed(concept: ConceptFacts, number: int, settings: CaptionSettings) -> int:
    return seed_from_id(digest("caption seed", settings.seed, concept.concept_id, number))


def _key(concept: ConceptFacts, number: int, model: LanguageModel, settings: CaptionSettings) -> str:
    """Everything that the answer depends on; the question itself holds the concept's facts."""
    sampling = [settings.max_new_tokens, settings.temperature, settings.top_p]
    question = caption_messages(concept, number, settings.full_tries)[-1]["content"]
    return digest("caption", model.fingerprint, PROMPT_ID, question, _seed(concept, number, settings), sampling)


def _ask(
    questions: list[tuple[ConceptFacts, int]], model: LanguageModel, settings: CaptionSettings
) -> Iterator[list[tuple[int, Answer]]]:
    return model.stream(
        [caption_messages(concept, number, settings.full_tries) for concept, number in questions],
        [_seed(concept, number, settings) for concept, number in questions],
        settings.max_new_tokens,
        settings.temperature,
        settings.top_p,
    )


def _judge(
    concept: ConceptFacts, number: int, answer: Answer, earlier: list[Candidate], settings: CaptionSettings
) -> Candidate:
    seed = _seed(concept, number, settings)
    if not answer.whole:
        return Candidate(concept, number, seed, None, answer.text, None, Reason.CUT_OFF)
    try:
        text = parse_caption(answer.text)
    except UnparsableAnswerError:
        return Candidate(concept, number, seed, None, answer.text, None, Reason.UNPARSABLE)
    report = check_caption(text, concept, settings.rules)
    repeated = any(other.text == text for other in earlier if other.reason is None)
    return Candidate(
        concept, number, seed, text, answer.text, report, report.reason or (Reason.DUPLICATE if repeated else None)
    )


def _row(twin_id: str, candidate: Candidate, model_name: str, fingerprint: str) -> dict[str, object]:
    concept_id = candidate.concept.concept_id
    return {
        "caption_id": digest("caption", twin_id, concept_id, candidate.text, fingerprint, PROMPT_ID, candidate.seed),
        "twin_id": twin_id,
        "concept_id": concept_id,
        "text": candidate.text,
        "model": model_name,
        "revision": fingerprint,
        "prompt_id": PROMPT_ID,
        "seed": candidate.seed,
        "tries": candidate.number + 1,
        "checks": candidate.checks,
        "verdict": candidate.verdict,
        "reason": None if candidate.reason is None else str(candidate.reason),
    }
