"""Ask chat models the questions of benchmarks, read their answers, and score them item by item."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cultureclip.benchmarks.asking.answers import READERS, Reading
from cultureclip.benchmarks.asking.captions import score_caption
from cultureclip.benchmarks.asking.cider import Cider
from cultureclip.benchmarks.asking.questions import ChatQuestion
from cultureclip.benchmarks.asking.settings import AskingSettings
from cultureclip.benchmarks.asking.turns import ask_turns, shown_order
from cultureclip.benchmarks.protocols.benchmark import Benchmark
from cultureclip.benchmarks.protocols.items import Prediction, metric_of
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import SourceDataError
from cultureclip.models.chat.asking import Usage, answer_all
from cultureclip.models.chat.request import ChatModel, Request, Sampling
from cultureclip.prompts import Prompt

_AT_ONCE = 256
"""Questions whose pictures are in memory at once."""
NONE = -1
"""Position of the choice where an answer does not count."""


@dataclass(frozen=True)
class Answered:
    """A model's answer to a question.

    Attributes:
        question: The question.
        reading: What the answer says.
        cider: Of all pictures that captions are asked of; None where none are.
    """

    question: ChatQuestion
    reading: Reading
    cider: Cider | None = None

    @property
    def predictions(self) -> Iterator[Prediction]:
        """One prediction; of a caption one per figure."""
        question = self.question
        if question.kind == "caption":
            text = "" if self.reading.why else self.reading.text
            scores = score_caption(text, question.culture, question.references, self.cider)
            for metric, score in scores.items():
                item = question.item_id.partition(":")[2]
                yield self._predict(f"{caption_metric(question, metric)}:{item}", (self.reading.text,), (score,), score)
            return
        shown = shown_order(question)
        chosen = None if self.reading.choice is None else shown[self.reading.choice]
        marks = tuple(float(option == chosen) for option in question.options)
        yield self._predict(question.item_id, question.options, marks, marks[0])

    def _predict(self, item: str, options: tuple[str, ...], scores: tuple[float, ...], credit: float) -> Prediction:
        question = self.question
        return Prediction(
            item_id=item,
            cluster=question.cluster,
            part=question.part,
            options=options,
            scores=scores,
            predicted=scores.index(max(scores)) if self.reading.why is None else NONE,
            correct=credit,
            image=question.image,
            culture=question.culture,
            category=question.category,
        )


def caption_metric(question: ChatQuestion, figure: str) -> str:
    """Return the metric of a caption's figure, such as ``region, document`` of a question for ``caption, document``."""
    return figure + metric_of(question.item_id).removeprefix("caption")


def list_questions(benchmark: Benchmark, settings: AskingSettings) -> list[ChatQuestion]:
    """List a benchmark's questions in the order of their ids, so that the first of them are a sample.

    Raises:
        SourceDataError: if it has none that can be asked.
    """
    asked = [q for q in benchmark.chat_questions() if settings.pictures or not q.pictures]
    if not asked:
        cause = "it has no question for a chat model" + ("" if settings.pictures else " that shows no picture")
        raise SourceDataError(f"benchmark {benchmark.name}", cause, "Take it out of ask_benchmarks.benchmarks")
    return sorted(asked, key=lambda q: q.item_id.partition(":")[2])[: settings.first]


def ask_model(
    model: ChatModel,
    benchmark: Benchmark,
    questions: Sequence[ChatQuestion],
    prompt: Prompt,
    store: KeyedStore,
    settings: AskingSettings,
    usage: Usage,
    engine: EngineSettings = HERE,
) -> Iterator[Answered]:
    """Ask one model all questions of a benchmark, greedily and once each.

    Args:
        model: Model to ask.
        benchmark: Has the pictures.
        questions: From :func:`list_questions`.
        prompt: The wording.
        store: Store of the answers: a question that was answered before is not asked again.
        settings: Most tokens of an answer.
        usage: Counts to add to.
        engine: Where the model is asked, and shared with whom.

    Yields:
        An answer per question, in their order.

    Raises:
        ConfigurationError: if a model that reads text alone is shown a picture.
    """
    ahead, captioned = iter(questions), {q.image: q.references for q in questions if q.references}
    cider = Cider(captioned) if captioned else None
    while part := list(islice(ahead, _AT_ONCE)):
        requests = [_request(question, prompt, benchmark, settings) for question in part]
        answers = dict(answer_all(model, requests, store, usage, engine, f"{benchmark.name} questions"))
        for place, question in enumerate(part):
            reading = READERS[question.kind](answers[place], shown_order(question))
            usage.failed += reading.why is not None
            yield Answered(question, reading, cider)


def count_answers(answered: Sequence[Answered]) -> dict[str, dict[str, Any]]:
    """Count answers by metric, and why some do not count.

    Returns:
        Metric -> ``asked``, ``unparsable``, ``refused``, ``cut_off``; and ``accuracy_of_answers``, over the answers
        that count alone: the score takes those that do not as wrong.
    """
    counts: dict[str, dict[str, Any]] = {}
    for metric in sorted({metric_of(one.question.item_id) for one in answered}):
        of = [one for one in answered if metric_of(one.question.item_id) == metric]
        why = Counter(one.reading.why for one in of)
        counts[metric] = {"asked": len(of)} | {name: why[name] for name in ("unparsable", "refused", "cut_off")}
        right = [p.correct for one in of if one.reading.why is None and one.question.options for p in one.predictions]
        if right:
            counts[metric]["accuracy_of_answers"] = sum(right) / len(right)
    return counts


def _request(question: ChatQuestion, prompt: Prompt, benchmark: Benchmark, settings: AskingSettings) -> Request:
    most = settings.caption_tokens if question.kind == "caption" else settings.answer_tokens
    return Request(
        turns=ask_turns(prompt, question, benchmark.images), sampling=Sampling(max_tokens=most), seed=settings.seed
    )
