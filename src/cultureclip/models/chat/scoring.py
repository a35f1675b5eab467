"""Probabilities of given answers: what a model would say first, kept like its answers."""

from collections.abc import Sequence
from time import perf_counter

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.ids import digest
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.request import ChatModel, OptionScorer, Request

_PART = 256
"""Questions that are scored and stored together: the most that a crash can lose."""


def score_all(
    model: ChatModel, requests: Sequence[Request], options: Sequence[str], store: KeyedStore, usage: Usage
) -> list[list[float]] | None:
    """Give the log-probabilities of each option as the first token of every answer.

    Args:
        model: Model to ask.
        requests: The questions; equal ones are computed once.
        options: Answers, each one token of the model's vocabulary.
        store: Store of the numbers, by question and options.
        usage: Counts to add to.

    Returns:
        Log-probabilities in nats, in the order of ``requests`` and ``options``; None if the model shows none.

    Raises:
        ConfigurationError: if an option is not a single token.
    """
    if not isinstance(model, OptionScorer):
        return None
    keys = [digest("score", request.key(model.fingerprint), list(options)) for request in requests]
    questions = dict(zip(keys, requests, strict=True))
    kept = store.get(questions)
    usage.kept += sum(key in kept for key in keys)
    missing = [key for key in questions if key not in kept]
    if missing:
        model.load()
    started = perf_counter()
    for start in range(0, len(missing), _PART):
        part = missing[start : start + _PART]
        for scored in model.score([questions[key] for key in part], options):
            made = {part[place]: chances for place, chances in scored}
            store.put(made)
            kept |= made
            usage.asked += len(made)
    usage.seconds += perf_counter() - started
    return [kept[key] for key in keys]
