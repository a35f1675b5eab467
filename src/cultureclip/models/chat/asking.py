"""Ask questions until the answers have the form that was asked for; keep every answer and ask nothing twice."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.run import SharedWork
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import StorageError, UnparsableAnswerError
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.job import engine_of, question_job
from cultureclip.models.chat.request import Answer, ChatModel, Request, Structured, cost_of
from cultureclip.models.chat.structured import SHOWN, parse_answer

logger = logging.getLogger(__name__)

RETRY_TEMPERATURE = 0.5
"""Temperature of a repeated question that was asked at 0, where another seed would give the same answer again."""

Reason = Literal["cut_off", "refused", "unparsable"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of a question.

    Attributes:
        text: The last answer; of a failed one its beginning.
        value: The parsed value; None for free text and after a failure.
        reason: Reason of the failure, or None.
        cause: The reason in words.
        tries: Number of attempts.
    """

    text: str
    value: Structured | None
    reason: Reason | None
    cause: str | None
    tries: int

    @property
    def failed(self) -> bool:
        """Whether there is no acceptable answer."""
        return self.reason is not None


@dataclass
class Usage:
    """Use of a model by a stage.

    Attributes:
        asked: Answers that the model gave now.
        kept: Answers found in the store.
        failed: Questions without an acceptable answer.
        prompt_tokens: Tokens read by the questions of this run.
        completion_tokens: Tokens written, likewise.
        seconds: Time spent waiting for the model's answers; reading its weights is not counted.
    """

    asked: int = 0
    kept: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def note_kept(self, request: Request, answer: Answer, questions: int) -> None:  # noqa: ARG002 - for a transcript
        """Count an answer from the store, which answers so many equal questions."""
        self.kept += questions

    def note_asked(self, request: Request, answer: Answer) -> None:  # noqa: ARG002
        """Count an answer that the model gave now."""
        self.asked += 1
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens

    def add(self, other: "Usage") -> None:
        """Add the counts of another, such as of a worker."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)

    def to_metrics(self, prices: tuple[float, float] | None = None) -> dict[str, Any]:
        """Return the counts, and the cost if prices per million tokens read and written are given."""
        metrics = asdict(self) | {"seconds": round(self.seconds, 3)}
        if prices is not None:
            metrics["cost"] = cost_of(self.prompt_tokens, self.completion_tokens, prices)
        return metrics


@dataclass(frozen=True)
class Exchange:
    """A question and its answer.

    Attributes:
        request: The question.
        answer: Answer of the model.
        kept: Whether the answer was in the store before.
    """

    request: Request
    answer: Answer
    kept: bool


class Transcript(Usage):
    """Counts and remembers every question with its answer, so any stage that takes a ``Usage`` can be watched."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[Exchange] = []

    def note_kept(self, request: Request, answer: Answer, questions: int) -> None:
        """Count and remember an answer from the store."""
        super().note_kept(request, answer, questions)
        self.exchanges.append(Exchange(request, answer, kept=True))

    def note_asked(self, request: Request, answer: Answer) -> None:
        """Count and remember an answer that the model gave now."""
        super().note_asked(request, answer)
        self.exchanges.append(Exchange(request, answer, kept=False))

    def add(self, other: Usage) -> None:
        """Add the counts of another, and what it remembers if it is a transcript."""
        super().add(other)
        self.exchanges += other.exchanges if isinstance(other, Transcript) else []


def ask(
    model: ChatModel,
    requests: Sequence[Request],
    store: KeyedStore,
    tries: int,
    usage: Usage | None = None,
    accept: Collection[str] | None = None,
) -> list[Outcome]:
    """Answer every question; ask again with another seed if the answer has the wrong form.

    Args:
        model: Model to ask.
        requests: The questions.
        store: Store of the answers, by :meth:`Request.key`: a killed run loses only requests in flight.
        tries: Most times that a question is asked.
        usage: Counts to add to.
        accept: Answers of a question without a schema that have the right form; None: any text has.

    Returns:
        Outcome of each question, in the order of ``requests``.
    """
    usage = usage if usage is not None else Usage()
    outcomes: list[Outcome | None] = [None] * len(requests)
    for attempt in range(tries):
        open_places = [place for place, outcome in enumerate(outcomes) if outcome is None or outcome.failed]
        asked = [_repeated(requests[place], attempt) for place in open_places]
        for number, answer in answer_all(model, asked, store, usage):
            outcomes[open_places[number]] = _read(answer, asked[number], attempt + 1, accept)
    done = [outcome for outcome in outcomes if outcome is not None]
    usage.failed += sum(outcome.failed for outcome in done)
    return done


def answer_all(
    model: ChatModel,
    requests: Sequence[Request],
    store: KeyedStore,
    usage: Usage,
    engine: EngineSettings = HERE,
    name: str = "questions",
) -> Iterator[tuple[int, Answer]]:
    """Give the answer of every request once: from the store, or from the model, whose answer is then stored.

    Args:
        model: Model to ask.
        requests: The questions; those of one key are asked once.
        store: Store of the answers.
        usage: Counts to add to.
        engine: Where the model is asked, and shared with whom.
        name: Name of the job.

    Yields:
        (Place of the request, its answer), as they come.

    Raises:
        JobError: if slices of the questions failed; the others are answered.
    """
    keys = [request.key(model.fingerprint) for request in requests]
    places: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    work = SharedWork(engine_of(model, engine), name, digest("questions", list(places), model.window))
    kept = store.get(places)
    questions = {key: requests[of_key[0]] for key, of_key in places.items()}
    missing = dict.fromkeys(key for key in places if key not in kept)

    def give(stored: Mapping[str, Any]) -> Iterator[tuple[int, Answer]]:
        for key, value in stored.items():
            usage.note_kept(questions[key], Answer(**value), len(places[key]))
            yield from ((place, Answer(**value)) for place in places[key])

    yield from give(kept)
    for asked in work.run(question_job(model, questions, list(missing), store)):
        usage.seconds += asked.seconds
        for key, value in store.get(asked.keys).items():
            del missing[key]
            usage.note_asked(questions[key], Answer(**value))
            yield from ((place, Answer(**value)) for place in places[key])
    if missing:  # what other runs asked
        theirs = store.get(missing)
        if absent := [key for key in missing if key not in theirs]:
            cause = f"{len(absent)} answers are not in it, though a run that shares {name} asked for them"
            raise StorageError(store.path, cause, "Give runs that share engine.journal the same data, then run again")
        yield from give(theirs)


def _repeated(request: Request, attempt: int) -> Request:
    """Return the same question with the seed of another attempt; at temperature 0 a seed alone would change nothing."""
    if attempt == 0:
        return request
    sampling = request.sampling
    if sampling.temperature == 0:
        sampling = replace(sampling, temperature=RETRY_TEMPERATURE)
    return replace(request, seed=seed_from_id(digest("attempt", request.seed, attempt)), sampling=sampling)


def _read(answer: Answer, request: Request, tries: int, accept: Collection[str] | None) -> Outcome:
    if answer.finish == "refused":
        return _failure(answer, "refused", "the model declined to answer", tries)
    if answer.finish == "length":
        cause = f"cut off after {request.sampling.max_tokens} tokens"
        return _failure(answer, "cut_off", cause, tries)
    if request.schema is None:
        if accept is not None and answer.text not in accept:
            return _failure(answer, "unparsable", f"none of {', '.join(accept)}", tries)
        return Outcome(text=answer.text, value=None, reason=None, cause=None, tries=tries)
    try:
        value = parse_answer(answer.text, request.schema)
    except UnparsableAnswerError as error:
        return _failure(answer, "unparsable", error.cause, tries)
    return Outcome(text=answer.text, value=value, reason=None, cause=None, tries=tries)


def _failure(answer: Answer, reason: Reason, cause: str, tries: int) -> Outcome:
    return Outcome(text=answer.text[:SHOWN], value=None, reason=reason, cause=cause, tries=tries)
