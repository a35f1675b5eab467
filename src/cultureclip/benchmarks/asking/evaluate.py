"""Let chat models answer benchmarks: all models the same questions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from cultureclip.benchmarks.asking.ask import Answered, ask_model, count_answers, list_questions
from cultureclip.benchmarks.asking.questions import ChatQuestion
from cultureclip.benchmarks.asking.settings import AskingSettings
from cultureclip.benchmarks.protocols.benchmark import Benchmark
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import ChatModel
from cultureclip.models.chat.settings import ChatSettings
from cultureclip.models.text import LanguageModel
from cultureclip.prompts import Prompt
from cultureclip.tables import CHAT_ANSWERS, make_table


def ask_all(
    models: Mapping[str, ChatSettings],
    benchmarks: Sequence[Benchmark],
    prompt: Prompt,
    store: KeyedStore,
    settings: AskingSettings,
    engine: EngineSettings = HERE,
) -> tuple[list[dict[str, Any]], pd.DataFrame, dict[str, Any]]:
    """Ask every model every question of every benchmark.

    Args:
        models: Name -> which model.
        benchmarks: The benchmarks.
        prompt: The wording, from :func:`~.turns.read_asking_prompt`.
        store: Store of the answers.
        settings: How models are asked.
        engine: Where models are asked, and shared with whom.

    Returns:
        Rows of the predictions table; table CHAT_ANSWERS; and ``answers`` (benchmark -> model -> metric -> counts),
        with ``usage`` (model -> answers, tokens, seconds, cost).

    Raises:
        SourceDataError: if nothing can be asked, or a benchmark has no question for a chat model.
        ConfigurationError: if a model that reads text alone would be shown pictures.
    """
    if not benchmarks:
        cause = "nothing can be asked: all of them are absent or empty"
        raise SourceDataError("ask_benchmarks.benchmarks", cause, "Read the reasons in the log")
    questions = {benchmark.name: list_questions(benchmark, settings) for benchmark in benchmarks}
    rows: list[dict[str, Any]] = []
    written: list[dict[str, Any]] = []
    counts: dict[str, dict[str, Any]] = {benchmark.name: {} for benchmark in benchmarks}
    use = {}
    opened = {name: open_chat_model(of) for name, of in models.items()}
    for name, model in opened.items():
        _check_sees(name, model, questions.values())
    for name, of in models.items():
        model, usage = opened[name], Usage()
        for benchmark in benchmarks:
            asked = questions[benchmark.name]
            answered = list(ask_model(model, benchmark, asked, prompt, store, settings, usage, engine))
            rows += [p.as_row(benchmark.name, name) for one in answered for p in one.predictions]
            written += [_write(one, benchmark.name, name) for one in answered]
            counts[benchmark.name][name] = count_answers(answered)
        use[name] = usage.to_metrics(of.prices)
    return rows, make_table(written, CHAT_ANSWERS), {"answers": counts, "usage": use}


def _check_sees(name: str, model: ChatModel, questions: Iterable[Sequence[ChatQuestion]]) -> None:
    """Refuse to show pictures to a model that reads text alone; of a model at servers, only these know."""
    if isinstance(model, LanguageModel) and any(question.pictures for asked in questions for question in asked):
        cause = "it reads text alone, and questions show pictures"
        raise ConfigurationError(
            f"ask_benchmarks, model {name}", cause, "Set pictures: false, or name a vision-language model"
        )


def _write(one: Answered, benchmark: str, model: str) -> dict[str, Any]:
    return {
        "benchmark": benchmark,
        "model": model,
        "item_id": one.question.item_id,
        "text": one.reading.text,
        "why_not": one.reading.why,
    }
