"""Captions for every concept of an accepted twin: asked, checked, asked again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.captions.candidates import (
    Candidate,
    check_by_itself,
    check_language,
    check_repeats,
    check_units,
    read_candidate,
    read_translation,
)
from cultureclip.captions.checks import Reason
from cultureclip.captions.claims.claim import SpokenClaim, as_caption
from cultureclip.captions.facts import ConceptFacts
from cultureclip.captions.language import ENGLISH
from cultureclip.captions.prompts import caption_turns, revision_turns, translation_turns
from cultureclip.captions.settings import CaptionSettings
from cultureclip.captions.units import FactChecker, WordChecker, report_units
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import SourceDataError
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.asking import Usage, answer_all
from cultureclip.models.chat.request import Answer, ChatModel, Request, Sampling
from cultureclip.models.sentence import SentenceEncoder, load_sentence_encoder
from cultureclip.prompts import Prompt
from cultureclip.tables import CAPTIONS


def write_captions(
    twins: pd.DataFrame,
    concepts: pd.DataFrame,
    *,
    said: Mapping[str, tuple[str, ...]] | None = None,
    claims: Mapping[str, Sequence[SpokenClaim]] | None = None,
    store: KeyedStore,
    model: ChatModel,
    prompt: Prompt,
    settings: CaptionSettings,
    usage: Usage | None = None,
    checker: FactChecker | None = None,
    engine: EngineSettings = HERE,
) -> pd.DataFrame:
    """Write captions until every concept of an accepted twin has those that are wanted, or no tries are left.

    A concept's captions are shared by all its twins. Answers are kept in the store batch by batch, so what a killed run
    has been told is not asked again; verdicts are computed again in each run.

    Args:
        twins: Table TWINS.
        concepts: Table CONCEPTS.
        said: What the voice of each concept's culture said, by concept id.
        claims: Claims that are tried as captions before the model is asked, by concept id.
        store: Where answers are kept.
        model: Who writes; it is loaded only when something has to be written.
        prompt: How it is asked.
        settings: Amounts, sampling and bounds.
        usage: Counts to add to.
        checker: Who tells whether a caption's units are supported; by default :class:`WordChecker`.
        engine: Where the model is asked, and shared with whom.

    Returns:
        Table CAPTIONS: one row per twin, concept and candidate, refused ones included.

    Raises:
        SourceDataError: a twin names a concept that is not in ``concepts``.
    """
    accepted = twins[twins["verdict"] == "accepted"]
    asked = concepts_to_caption(twins, concepts, said)
    writer = Writer(store, model, prompt, settings, usage or Usage(), checker or WordChecker(), engine, claims or {})
    candidates = writer.ask_until_enough(asked)
    sides = [
        (str(twin), str(concept))
        for twin, *pair in accepted[["twin_id", "a_concept_id", "b_concept_id"]].itertuples(index=False)
        for concept in pair
    ]
    rows = [_row(twin, candidate, writer) for twin, concept in sides for candidate in candidates[concept]]
    table = pd.DataFrame(rows, columns=list(CAPTIONS.columns))
    if table.empty:  # without rows pandas cannot tell texts from numbers
        table = table.astype("str")
    return table.astype({"seed": "int64", "tries": "int64"})


def concepts_to_caption(
    twins: pd.DataFrame, concepts: pd.DataFrame, said: Mapping[str, tuple[str, ...]] | None = None
) -> list[ConceptFacts]:
    """List the concepts of accepted twins, in the order of their ids.

    Args:
        twins: Table TWINS.
        concepts: Table CONCEPTS.
        said: What the voice of each concept's culture said, by concept id.

    Raises:
        SourceDataError: a twin names a concept that is not in ``concepts``.
    """
    accepted = twins[twins["verdict"] == "accepted"]
    rows: dict[str, dict[str, Any]] = {str(row["concept_id"]): dict(row) for _, row in concepts.iterrows()}
    partners: dict[str, list[str]] = {}
    for a, b in accepted[["a_concept_id", "b_concept_id"]].astype(str).itertuples(index=False):
        for one, other in ((a, b), (b, a)):
            if one not in rows:
                raise SourceDataError(one, "a twin names this concept, the concept table has none", "Run mining again")
            partners.setdefault(one, []).append(other)
    return [
        ConceptFacts.from_row(rows[one], twins=[rows[other] for other in others], said=(said or {}).get(one, ()))
        for one, others in sorted(partners.items())
    ]


class Writer:
    """Who writes captions, how it is asked, who checks them, and where answers are kept.

    Args:
        store: Where answers are kept.
        model: Who writes.
        prompt: How it is asked.
        settings: Amounts, sampling and bounds.
        usage: Counts to add to.
        checker: Who tells whether a caption's units are supported.
        engine: Where the model is asked, and shared with whom.
        claims: Claims that are tried as captions of ``settings.claims.caption_kind``, by concept id.
    """

    def __init__(
        self,
        store: KeyedStore,
        model: ChatModel,
        prompt: Prompt,
        settings: CaptionSettings,
        usage: Usage,
        checker: FactChecker,
        engine: EngineSettings = HERE,
        claims: Mapping[str, Sequence[SpokenClaim]] | None = None,
    ) -> None:
        self.store, self.model, self.prompt, self.settings = store, model, prompt, settings
        self.usage, self._checker, self._engine, self._claims = usage, checker, engine, claims or {}
        self._encoder: SentenceEncoder | None = None
        self._vectors: dict[str, np.ndarray] = {}
        self._places = {kind: place * settings.max_tries for place, kind in enumerate(settings.kinds)}

    def ask_until_enough(self, asked: list[ConceptFacts]) -> dict[str, list[Candidate]]:
        """Ask until every concept has what is wanted of each kind, or no tries are left.

        Returns:
            Candidates by concept id, kind by kind and try by try.
        """
        written = self._try_claims(asked)
        wanted = sum(kind.wanted for kind in self.settings.kinds.values())
        with progress_bar(total=len(asked) * wanted, desc="captions accepted") as bar:
            bar.update(sum(len(_accepted(found)) for found in written.values()))
            while blanks := list(self._open_questions(asked, written)):
                requests = [self.request(blank) for blank in blanks]
                answers: dict[int, Answer] = {}
                for place, answer in self._ask(requests, "captions"):
                    answers[place] = answer
                    bar.set_postfix(answers=len(answers), refresh=False)
                for candidate in self._check([(blank, answers[place]) for place, blank in enumerate(blanks)]):
                    earlier = written[candidate.concept.concept_id]
                    final = check_repeats(candidate, _accepted(earlier), self._vectors, self.settings.rules)
                    earlier.append(final)
                    bar.update(final.reason is None)
        return {one: sorted(found, key=lambda c: (self._places[c.kind], c.number)) for one, found in written.items()}

    def _try_claims(self, asked: Sequence[ConceptFacts]) -> dict[str, list[Candidate]]:
        """Check claims as captions, as many as each concept needs; nobody is asked."""
        written: dict[str, list[Candidate]] = {concept.concept_id: [] for concept in asked}
        kind = self.settings.claims.caption_kind if self.settings.claims else None
        if kind is None:
            return written
        spoken = [(concept, claim) for concept in asked for claim in self._claims.get(concept.concept_id, ())]
        blanks = [self._claimed(concept, kind, claim) for concept, claim in spoken]
        answers = [Answer(text=f"Caption: {as_caption(claim.text)}", finish="stop") for _, claim in spoken]
        for candidate in self._check(list(zip(blanks, answers, strict=True))):
            earlier = written[candidate.concept.concept_id]
            if len(_accepted(earlier)) < self.settings.kinds[kind].wanted:
                earlier.append(check_repeats(candidate, _accepted(earlier), self._vectors, self.settings.rules))
        return written

    def _claimed(self, concept: ConceptFacts, kind: str, claim: SpokenClaim) -> Candidate:
        blank = self.blank(concept, kind, 0)
        return replace(blank, seed=seed_from_id(digest("claim seed", claim.claim_id)), claim=claim)

    def _ask(self, requests: Sequence[Request], job: str) -> Iterator[tuple[int, Answer]]:
        return answer_all(self.model, requests, self.store, self.usage, self._engine, job)

    def request(self, blank: Candidate) -> Request:
        """Return the question for one candidate; a caption is one line."""
        settings, kind = self.settings, self.settings.kinds[blank.kind]
        turns = caption_turns(self.prompt, kind.template(blank.number), blank.concept, blank.number, kind.language)
        if blank.revises is not None and blank.units is not None:
            problems = blank.units.problems
            turns = revision_turns(self.prompt, blank.concept, blank.revises, problems, kind.language)
        sampling = Sampling(
            max_tokens=settings.max_new_tokens, temperature=settings.temperature, top_p=settings.top_p, stop="\n"
        )
        return Request(turns=turns, sampling=sampling, seed=blank.seed)

    def translation(self, candidate: Candidate) -> Request:
        """Return the question for a caption's translation into English: the likeliest one."""
        turns = translation_turns(self.prompt, str(candidate.text), candidate.language)
        return Request(
            turns=turns, sampling=Sampling(max_tokens=self.settings.max_new_tokens, stop="\n"), seed=candidate.seed
        )

    def blank(self, concept: ConceptFacts, kind: str, number: int, revised: Candidate | None = None) -> Candidate:
        """Return a try before its answer; with ``revised`` it corrects that candidate."""
        place = self._places[kind] + number
        seed = seed_from_id(digest("caption seed", self.settings.drawn_seed, concept.concept_id, place))
        language = self.settings.kinds[kind].language
        blank = Candidate(concept=concept, kind=kind, language=language, number=number, seed=seed, text=None, answer="")
        return blank if revised is None else replace(blank, revises=revised.text, units=revised.units)

    def _open_questions(
        self, asked: Iterable[ConceptFacts], written: Mapping[str, list[Candidate]]
    ) -> Iterator[Candidate]:
        """Yield the next candidates: as many as a concept still lacks of a kind, within its tries."""
        for concept in asked:
            for name, kind in self.settings.kinds.items():
                of_kind = [candidate for candidate in written[concept.concept_id] if candidate.kind == name]
                lacking = kind.wanted - len(_accepted(of_kind))
                tried = [candidate for candidate in of_kind if candidate.claim is None]
                to_revise = [c for c in tried[-lacking:] if self._can_be_revised(c)] if lacking else []
                for number in range(len(tried), min(len(tried) + lacking, self.settings.max_tries)):
                    yield self.blank(concept, name, number, to_revise.pop(0) if to_revise else None)

    def _can_be_revised(self, candidate: Candidate) -> bool:
        """Tell whether a caption can be revised; a correction that failed is not corrected again."""
        unsupported = candidate.reason in (Reason.UNSUPPORTED_FACT, Reason.UNSUPPORTED_UNIT)
        named = candidate.units is not None and bool(candidate.units.problems)
        return self.settings.revise and unsupported and named and candidate.revises is None

    def _check(self, answered: Sequence[tuple[Candidate, Answer]]) -> list[Candidate]:
        settings = self.settings
        read = [read_candidate(blank, answer) for blank, answer in answered]
        written = self._translate([check_language(c, settings.kinds[c.kind]) for c in read])
        seen = [check_by_itself(c, settings.kinds[c.kind], settings.rules) for c in written]
        texts = [(str(c.english), c.concept) for c in seen if c.report is not None]
        reports = iter(report_units(texts, self._checker))
        checked = [c if c.report is None else check_units(c, next(reports), settings.rules) for c in seen]
        self._embed([str(c.english) for c in checked if c.reason is None])
        return checked

    def _translate(self, candidates: list[Candidate]) -> list[Candidate]:
        """Have the captions in other languages than English translated."""
        foreign = [i for i, c in enumerate(candidates) if c.reason is None and c.language != ENGLISH]
        requests = [self.translation(candidates[i]) for i in foreign]
        translated = list(candidates)
        for place, answer in self._ask(requests, "translations"):
            translated[foreign[place]] = read_translation(candidates[foreign[place]], answer)
        return translated

    def _embed(self, texts: list[str]) -> None:
        """Sentence embeddings of accepted captions; none where each concept has one caption and nothing is compared."""
        settings = self.settings
        if settings.sentence_encoder is None or sum(kind.wanted for kind in settings.kinds.values()) == 1:
            return
        if self._encoder is None:
            self._encoder = load_sentence_encoder(settings.sentence_encoder)
        self._vectors.update(zip(texts, self._encoder.encode(texts), strict=True))


def _accepted(candidates: Iterable[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate.reason is None]


def _row(twin_id: str, candidate: Candidate, writer: Writer) -> dict[str, object]:
    concept_id, claim = candidate.concept.concept_id, candidate.claim
    made_by = (writer.model.name, writer.model.fingerprint, writer.prompt.id)
    model, fingerprint, prompt_id = (claim.model, claim.revision, claim.prompt_id) if claim else made_by
    return {
        "caption_id": digest("caption", twin_id, concept_id, candidate.text, fingerprint, prompt_id, candidate.seed),
        "twin_id": twin_id,
        "concept_id": concept_id,
        "kind": candidate.kind,
        "language": candidate.language,
        "text": candidate.text,
        "english": candidate.english,
        "model": model,
        "revision": fingerprint,
        "prompt_id": prompt_id,
        "seed": candidate.seed,
        "tries": candidate.number + 1,
        "checks": candidate.checks,
        "verdict": candidate.verdict,
        "reason": None if candidate.reason is None else str(candidate.reason),
    }
