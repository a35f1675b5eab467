"""CUNIT's matching task, asked: each triplet in both orders of its candidates."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cultureclip.audit.questionnaires.asking import Asker
from cultureclip.audit.questionnaires.prompts import MATCH
from cultureclip.audit.settings import MatchingSettings
from cultureclip.audit.tasks.matching import Shown, Triplet, credit_by_cosine, parse_order, score_triplets
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.request import Request, Sampling
from cultureclip.prompts import FIELD_LIMIT, plain

_COLUMNS = ["triplet", "shown", "closer_first", "answer"]


def ask_matches(triplets: Sequence[Triplet], settings: MatchingSettings, asker: Asker) -> pd.DataFrame:
    """Ask which candidate of each triplet is closer, greedily and in both orders.

    Args:
        triplets: The triplets.
        settings: What is shown.
        asker: Who is asked.

    Returns:
        From :func:`~cultureclip.audit.tasks.matching.score_triplets`, with ``text_tower``: the text tower's credit on
        the same triplet, null without one.
    """
    chosen = list(triplets)[: settings.first]
    places = [
        (number, shown, first) for number in range(len(chosen)) for shown in settings.shown for first in (True, False)
    ]
    sampling = Sampling(max_tokens=settings.max_new_tokens, stop="\n")
    requests = [_request(chosen[number], shown, first, sampling, asker) for number, shown, first in places]
    read = [None if a.finish != "stop" else parse_order(a.text) for a in asker.answer(requests, "matching")]
    answers = pd.DataFrame([(*place, one) for place, one in zip(places, read, strict=True)], columns=_COLUMNS)
    scored = score_triplets(chosen, settings.bands, answers)
    tower = {shown: _text_tower_credits(chosen, shown, settings) for shown in settings.shown}
    credits = [tower[shown][number] for number, shown in zip(scored["triplet"], scored["shown"], strict=True)]
    return scored.assign(text_tower=credits)


def _request(triplet: Triplet, shown: Shown, closer_first: bool, sampling: Sampling, asker: Asker) -> Request:
    pair = (triplet.closer, triplet.farther) if closer_first else (triplet.farther, triplet.closer)
    thing, a, b = (plain(one.show(shown))[:FIELD_LIMIT] for one in (triplet.query, *pair))
    turns = asker.prompt.ask(MATCH, {"thing": thing, "a": a, "b": b})
    return Request(turns=turns, sampling=sampling, seed=seed_from_id(digest("match", asker.seed)))


def _text_tower_credits(triplets: Sequence[Triplet], shown: Shown, settings: MatchingSettings) -> np.ndarray:
    if settings.text_tower is None:
        return np.full(len(triplets), np.nan)
    from cultureclip.models.encoder import load_encoder
    from cultureclip.models.weights.locate import locate

    encoder = load_encoder(locate(settings.text_tower), settings.device)
    sides = ([one.query for one in triplets], [one.closer for one in triplets], [one.farther for one in triplets])
    return credit_by_cosine(*(encoder.encode_texts([thing.show(shown) for thing in side]) for side in sides))
