"""Captions for every concept of an accepted twin: asked, checked, asked again."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from cultureclip.captions.checks import CaptionReport, Reason, check_caption
from cultureclip.captions.facts import ConceptFacts
from cultureclip.captions.prompts import caption_turns, parse_caption
from cultureclip.captions.settings import CaptionSettings
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError, UnparsableAnswerError
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.asking import Usage, answer_all
from cultureclip.models.chat.request import Answer, ChatModel, Request, Sampling
from cultureclip.prompts import Prompt
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
    model: ChatModel,
    prompt: Prompt,
    settings: CaptionSettings,
    usage: Usage | None = None,
) -> pd.DataFrame:
    """Write captions until every concept of an accepted twin has ``per_half`` or ``max_tries`` candidates.

    A concept's captions are shared by all its twins. Answers are kept in the store batch by batch, so what a killed run
    has been told is not asked again; verdicts are worked out anew in each run.

    Args:
        twins: Table TWINS.
        concepts: Table CONCEPTS.
        store: Where answers are kept.
        model: Who writes; it is loaded only when something has to be written.
        prompt: How it is asked.
        settings: Amounts, sampling and bounds.
        usage: Counts to add to.

    Returns:
        Table CAPTIONS: one row a twin, concept and candidate, also of the refused ones.

    Raises:
        SourceDataError: a twin names a concept that is not in ``concepts``.
    """
    accepted = twins[twins["verdict"] == "accepted"]
    asked = _concepts_to_caption(accepted, concepts)
    writer = _Writer(store, model, prompt, settings, usage or Usage())
    candidates = writer.ask_until_enough(asked)
    halves = [
        (str(twin), str(concept))
        for twin, *pair in accepted[["twin_id", "a_concept_id", "b_concept_id"]].itertuples(index=False)
        for concept in pair
    ]
    rows = [_row(twin, candidate, writer) for twin, concept in halves for candidate in candidates[concept]]
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


@dataclass(frozen=True)
class _Writer:
    """Who writes, how it is asked, and where answers are kept."""

    store: KeyedStore
    model: ChatModel
    prompt: Prompt
    settings: CaptionSettings
    usage: Usage

    def ask_until_enough(self, asked: list[ConceptFacts]) -> dict[str, list[Candidate]]:
        written: dict[str, list[Candidate]] = {concept.concept_id: [] for concept in asked}
        with tqdm(total=len(asked) * self.settings.per_half, desc="captions accepted") as bar:
            while questions := list(self._open_questions(asked, written)):
                requests = [self.request(concept, number) for concept, number in questions]
                answers: dict[int, Answer] = {}
                for place, answer in answer_all(self.model, requests, self.store, self.usage):
                    answers[place] = answer
                    bar.set_postfix(answers=len(answers), refresh=False)
                for place, (concept, number) in enumerate(questions):
                    earlier = written[concept.concept_id]
                    candidate = _judge(concept, number, requests[place].seed, answers[place], earlier, self.settings)
                    earlier.append(candidate)
                    bar.update(candidate.reason is None)
        return written

    def _open_questions(
        self, asked: Iterable[ConceptFacts], written: Mapping[str, list[Candidate]]
    ) -> Iterator[tuple[ConceptFacts, int]]:
        """The next candidates: as many as a concept still lacks, within its tries."""
        for concept in asked:
            tried = written[concept.concept_id]
            lacking = self.settings.per_half - sum(candidate.reason is None for candidate in tried)
            for number in range(len(tried), min(len(tried) + lacking, self.settings.max_tries)):
                yield concept, number

    def request(self, concept: ConceptFacts, number: int) -> Request:
        """The question for one candidate; a caption is one line."""
        settings = self.settings
        return Request(
            turns=caption_turns(self.prompt, concept, number, settings.full_tries),
            sampling=Sampling(
                max_tokens=settings.max_new_tokens, temperature=settings.temperature, top_p=settings.top_p, stop="\n"
            ),
            seed=seed_from_id(digest("caption seed", settings.seed, concept.concept_id, number)),
        )


def _judge(
    concept: ConceptFacts, number: int, seed: int, answer: Answer, earlier: list[Candidate], settings: CaptionSettings
) -> Candidate:
    if answer.finish != "stop":
        reason = Reason.CUT_OFF if answer.finish == "length" else Reason.UNPARSABLE
        return Candidate(concept, number, seed, None, answer.text, None, reason)
    try:
        text = parse_caption(answer.text)
    except UnparsableAnswerError:
        return Candidate(concept, number, seed, None, answer.text, None, Reason.UNPARSABLE)
    report = check_caption(text, concept, settings.rules)
    repeated = any(other.text == text for other in earlier if other.reason is None)
    return Candidate(
        concept, number, seed, text, answer.text, report, report.reason or (Reason.DUPLICATE if repeated else None)
    )


def _row(twin_id: str, candidate: Candidate, writer: _Writer) -> dict[str, object]:
    concept_id, fingerprint, prompt_id = candidate.concept.concept_id, writer.model.fingerprint, writer.prompt.id
    return {
        "caption_id": digest("caption", twin_id, concept_id, candidate.text, fingerprint, prompt_id, candidate.seed),
        "twin_id": twin_id,
        "concept_id": concept_id,
        "text": candidate.text,
        "model": writer.model.name,
        "revision": fingerprint,
        "prompt_id": prompt_id,
        "seed": candidate.seed,
        "tries": candidate.number + 1,
        "checks": candidate.checks,
        "verdict": candidate.verdict,
        "reason": None if candidate.reason is None else str(candidate.reason),
    }
