"""Measurement of pocket's vision-language judge against the truth, by free generation through the chat interface."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.temporary import scratch_folder
from cultureclip.judging.rating import CRITERIA, HIGHEST, LOWEST, Ratings
from cultureclip.models.chat.asking import Outcome, ask
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import Picture, Request, Sampling, Turn
from cultureclip.models.encoder import load_encoder
from cultureclip.models.settings import LanguageModelSettings, ModelPath
from cultureclip.pocket.build import CARD_NAME
from cultureclip.pocket.measure import add_to_card
from cultureclip.pocket.pictures import to_float
from cultureclip.pocket.settings import PocketSettings
from cultureclip.pocket.vision_judge.build import embed_drawings, list_things
from cultureclip.pocket.vision_judge.damage import GRADES, TRAINED, UNTRAINED, damage
from cultureclip.pocket.vision_judge.expectation import expect_ratings
from cultureclip.pocket.vision_judge.questions import Questions, Thing, find_look_alikes, name_with_culture
from cultureclip.pocket.vision_judge.truth import Truth

MAX_TOKENS = 32
_SHUFFLED = "shuffled"


def measure_vision_judge(concepts: pd.DataFrame, settings: PocketSettings) -> dict[str, Any]:
    """Measure the judge on pictures that the generator draws from another seed; write the figures onto its card.

    Args:
        concepts: Table of concepts with a drawing each.
        settings: Settings of the shipped models; the judge is read from ``weights``.

    Returns:
        From :func:`figures`.
    """
    found = figures(ask_about_truth(concepts, settings))
    add_to_card(Path(settings.weights) / "vision_judge" / CARD_NAME, found)
    return found


def ask_about_truth(concepts: pd.DataFrame, settings: PocketSettings) -> pd.DataFrame:
    """Ask about generated pictures whose truth is known, damaged and not, and about shuffled ones.

    Every generated picture is asked about without damage by its own name and by its nearest look-alike's; with a
    damage, trained and untrained in turn, by a name drawn as in training; and each of these last questions is asked
    once more with the picture of another question.

    Returns:
        One row per question: ``picture`` (number), ``name`` of the concept shown, ``asked`` (own, twin, drawn,
        shuffled), ``unseen``, ``kind`` (``universal``), ``damage``, ``grade``, the ``question`` and the ``png`` shown;
        per criterion the judge's rating (missing where the answer has another form) and, as ``<criterion>_truth``, the
        true one; for questions about undamaged pictures also ``<criterion>_expected``.
    """
    weights, own = Path(settings.weights), settings.vision_judge
    things = list_things(concepts, settings, settings.measured_images, own.seed + 1)
    questions = Questions(
        things, find_look_alikes(embed_drawings(things, load_encoder(weights / "judge")), things), range(len(things))
    )
    rows, pictures, texts = _list_questions(questions, own.seed + 1)
    shuffled = [row | {"asked": _SHUFFLED} for row in rows if row["asked"] == "drawn"]
    moved = [picture for picture, row in zip(pictures, rows, strict=True) if row["asked"] == "drawn"]
    random.Random(own.seed).shuffle(moved)
    texts += [text for text, row in zip(texts, rows, strict=True) if row["asked"] == "drawn"]
    outcomes = _ask(weights / "vision_judge", [*pictures, *moved], texts)
    shown = [picture.data for picture in (*pictures, *moved)]
    parts = zip([*rows, *shuffled], texts, shown, outcomes, strict=True)
    answers = pd.DataFrame([row | {"question": text, "png": png} | _read(o) for row, text, png, o in parts])
    plain = answers.index[answers["asked"].isin(["own", "twin"])]
    expected = expect_ratings(
        weights / "vision_judge", [pictures[i] for i in plain], [texts[i] for i in plain], MAX_TOKENS
    )
    return answers.join(pd.DataFrame(expected, index=plain, columns=[f"{name}_expected" for name in CRITERIA]))


def _list_questions(questions: Questions, seed: int) -> tuple[list[dict[str, Any]], list[Picture], list[str]]:
    rng, draw = random.Random(seed), torch.Generator().manual_seed(seed)
    rows: list[dict[str, Any]] = []
    pictures: list[Picture] = []
    texts: list[str] = []
    shown_pictures = [(i, picture) for i in questions.cultural for picture in questions.things[i].pictures[1:]]
    for number, (i, picture) in enumerate(shown_pictures):
        thing, pixels = questions.things[i], to_float(picture)
        name = rng.choice(tuple(UNTRAINED if number % 2 else TRAINED))
        grade = rng.randint(1, GRADES)
        damaged = damage(pixels, name, grade, draw)
        chosen = rng.choice(questions.draw_asked(i, rng))
        for how, j, shown, worn in (
            ("own", i, pixels, (None, 0)),
            ("twin", questions.look_alikes[i][0], pixels, (None, 0)),
            ("drawn", chosen, damaged, (name, grade)),
        ):
            sound = questions.truth(i, j)
            truth = Truth(sound.relation, sound.origin, *worn)
            rows.append(_row(number, thing, how, truth))
            pictures.append(Picture.of(_to_image(shown)))
            texts.append(name_with_culture(questions.things[j]))
    return rows, pictures, texts


def _row(number: int, thing: Thing, how: str, truth: Truth) -> dict[str, Any]:
    true = {f"{name}_truth": rating for name, rating in zip(CRITERIA, truth.ratings, strict=True)}
    worn = {"damage": truth.damage or "none", "grade": truth.grade, "is_trained": truth.damage not in UNTRAINED}
    shown = {"picture": number, "name": thing.names[0], "unseen": thing.unseen, "kind": thing.universal}
    return {**shown, "asked": how, **worn, **true}


def _ask(folder: Path, pictures: Sequence[Picture], texts: Sequence[str]) -> list[Outcome]:
    model = open_chat_model(LanguageModelSettings(path=ModelPath(folder), dtype="float32", batch=64))
    requests = [
        Request(
            turns=(Turn("user", (picture, text)),), sampling=Sampling(max_tokens=MAX_TOKENS), seed=0, schema=Ratings
        )
        for picture, text in zip(pictures, texts, strict=True)
    ]
    with scratch_folder() as scratch:
        return ask(model, requests, KeyedStore(scratch / "answers.sqlite"), tries=1)


def _read(outcome: Outcome) -> dict[str, float]:
    value = outcome.value
    ratings = {name: getattr(value, name).rating if value is not None else None for name in CRITERIA}
    return {name: float("nan") if rating is None else float(rating) for name, rating in ratings.items()}


def _to_image(pixels: torch.Tensor) -> Image.Image:
    return Image.fromarray(((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy())


def figures(answers: pd.DataFrame) -> dict[str, Any]:
    """Sum up the answers.

    Args:
        answers: From :func:`ask_about_truth`.

    Returns:
        ``parsed``: share of answers in the right form. ``right_over_twin``: share of undamaged pictures whose own name
        gets a higher consistency than the look-alike's (a tie is not higher), with a Wilson interval and n, for
        concepts of the training, for unseen ones and for all; ``expected_over_twin``: the same by the expected digits,
        which do not tie. ``kappa``: quadratic weighted kappa with the truth, of
        the three ratings together and of each, for groups of questions and with shuffled pictures. ``digits``: share
        of each rating in the questions about damaged pictures.
    """
    readable = answers.dropna(subset=list(CRITERIA))
    drawn, shuffled = (readable[readable["asked"] == how] for how in ("drawn", _SHUFFLED))
    plain = readable[readable["asked"].isin(["own", "twin"])]
    asked = pd.concat([plain, drawn])
    groups = {
        "all": asked,
        "seen": asked[~asked["unseen"]],
        "unseen": asked[asked["unseen"]],
        "undamaged": plain,
        "trained_damages": drawn[drawn["is_trained"]],
        "untrained_damages": drawn[~drawn["is_trained"]],
        "untrained_damages_unseen": drawn[~drawn["is_trained"] & drawn["unseen"]],
        "shuffled": shuffled,
    }
    digits = drawn[list(CRITERIA)].to_numpy().astype(int).ravel()
    return {
        "parsed": float(len(readable) / len(answers)),
        "right_over_twin": _over_twin(answers, "consistency"),
        "expected_over_twin": _over_twin(answers, "consistency_expected"),
        "kappa": {group: _kappas(rows) for group, rows in groups.items() if len(rows)},
        "digits": {str(digit): float((digits == digit).mean()) for digit in range(LOWEST, HIGHEST + 1)},
    }


def _over_twin(answers: pd.DataFrame, column: str) -> dict[str, Any]:
    """Return how often the own name's value is above the look-alike's; a value that is missing is not above."""
    by_picture = answers[answers["asked"].isin(["own", "twin"])].pivot(index="picture", columns="asked", values=column)
    higher = by_picture["own"] > by_picture["twin"]
    unseen = answers.groupby("picture")["unseen"].first()[higher.index]
    groups = {"all": higher, "seen": higher[~unseen], "unseen": higher[unseen]}
    return {group: _share(hits) for group, hits in groups.items()}


def _share(hits: pd.Series) -> dict[str, Any]:
    interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return {"value": float(hits.mean()), "ci_low": interval.low, "ci_high": interval.high, "n": len(hits)}


def _kappas(rows: pd.DataFrame) -> dict[str, Any]:
    """Return quadratic weighted kappa (Cohen 1968) of all ratings together and of each criterion."""
    given = {name: rows[name].to_numpy(dtype=int) for name in CRITERIA}
    true = {name: rows[f"{name}_truth"].to_numpy(dtype=int) for name in CRITERIA}
    pairs = {"together": (np.concatenate(list(true.values())), np.concatenate(list(given.values())))}
    pairs |= {name: (true[name], given[name]) for name in CRITERIA}
    scores = {name: cohen_kappa_score(*pair, weights="quadratic") for name, pair in pairs.items()}
    return {**{name: float(score) for name, score in scores.items()}, "n": len(rows)}
