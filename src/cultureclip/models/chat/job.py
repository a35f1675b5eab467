"""Questions to a chat model as a job: slices of all questions, whose answers the workers store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter

from cultureclip.engine.job import Job, Slice, slice_name
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import EngineSettings
from cultureclip.models.chat.request import ChatModel, LocalModel, Request, count_tokens
from cultureclip.settings_base import Device


@dataclass(frozen=True)
class Asked:
    """What a worker has asked and stored.

    Attributes:
        keys: Keys of the answers.
        seconds: Time spent waiting for the model; reading its weights is not counted.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
    """

    keys: tuple[str, ...]
    seconds: float
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Asker:
    """Asks the questions of a slice, and stores every batch of answers as it comes.

    A batch that is lost with its worker is asked again in the same shape, because those before it are in the store and
    those behind it are ordered as they were.

    Attributes:
        model: Model to ask.
        store: Gets the answers.
    """

    model: ChatModel
    store: KeyedStore

    def __call__(self, task: Mapping[str, Request]) -> Iterator[Asked]:
        """Ask the questions of a slice, by key; an answer that is stored by now is not asked for again."""
        kept = self.store.get(task)
        questions = {key: request for key, request in task.items() if key not in kept}
        keys = list(questions)
        if keys:
            self.model.load()  # before the clock starts, which measures only the answers
        started = perf_counter()
        for batch in self.model.stream(list(questions.values())):
            seconds = perf_counter() - started
            self.store.put({keys[place]: asdict(answer) for place, answer in batch})
            read, written = (
                sum(getattr(answer, name) for _, answer in batch) for name in ("prompt_tokens", "completion_tokens")
            )
            yield Asked(tuple(keys[place] for place, _ in batch), seconds, read, written)
            started = perf_counter()


def make_asker(model: ChatModel, store: KeyedStore, device: Device | None) -> Asker:
    """Make the worker of a process; it reads the model's weights when it has something to ask."""
    return Asker(model if device is None or not isinstance(model, LocalModel) else model.on(device), store)


def question_job(
    model: ChatModel, questions: Mapping[str, Request], missing: Sequence[str], store: KeyedStore
) -> Job[Mapping[str, Request], Asked]:
    """Cut all questions, by key, into slices, and keep in each what is missing."""
    every, lacking = list(questions), set(missing)
    slices: list[Slice[Mapping[str, Request]]] = []
    for start in range(0, len(every), model.window):
        cut = every[start : start + model.window]
        if task := {key: questions[key] for key in cut if key in lacking}:
            slices.append(Slice(slice_name(cut), task, len(task)))
    preload = (__name__, type(model).__module__)
    return Job("questions", slices, partial(make_asker, model, store), preload, partial(_count, model))


def _count(model: ChatModel, asked: Asked) -> Mapping[str, float]:
    return count_tokens(asked.prompt_tokens, asked.completion_tokens, model)


def engine_of(model: ChatModel, engine: EngineSettings) -> EngineSettings:
    """Return the engine for a model; servers are asked from this process, many questions at once."""
    return engine if isinstance(model, LocalModel) else engine.here
