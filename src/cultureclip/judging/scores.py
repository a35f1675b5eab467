"""Scores of each image: its similarity to its own concept, to its twin's and to all concepts."""

import numpy as np
import pandas as pd

from cultureclip.errors import MissingInputError
from cultureclip.images.source import ImageSource
from cultureclip.judging.judge import Judge
from cultureclip.judging.reasons import Reason

RANKED = 20_000
"""Most images whose own concept is ranked among all: an image costs the cosines to all concepts."""
LOOKS = ("phash", "colour")
TEXT = pd.Series(["text"]).dtype
_SCORES = ("clip_similarity", "twin_similarity", "chance_similarity", "rank")
_ROWS = 4096


def list_sides(requests: pd.DataFrame, captions: pd.DataFrame, twins: pd.DataFrame) -> pd.DataFrame:
    """Say for every planned image which concept of which twin it shows.

    Returns:
        ``image_id``, ``caption_id``, ``twin_id``, ``concept_id``, ``twin_concept_id`` (the other side), in the order of
        ``requests``.

    Raises:
        MissingInputError: if the tables are of different runs.
    """
    sides = requests[["image_id", "caption_id"]].merge(
        captions[["caption_id", "twin_id", "concept_id"]], on="caption_id", how="left", validate="many_to_one"
    )
    _check_same_run(sides, "twin_id", "captions and image_requests", "synthesis")
    sides = sides.merge(
        twins[["twin_id", "a_concept_id", "b_concept_id"]], on="twin_id", how="left", validate="many_to_one"
    )
    _check_same_run(sides, "a_concept_id", "twins and captions", "captioning")
    is_a = sides["concept_id"] == sides["a_concept_id"]
    sides["twin_concept_id"] = sides["b_concept_id"].where(is_a, sides["a_concept_id"])
    return sides.drop(columns=["a_concept_id", "b_concept_id"])


def _check_same_run(sides: pd.DataFrame, column: str, tables: str, pipeline: str) -> None:
    """Refuse images for which one table lacks a row that the other refers to."""
    if absent := int(sides[column].isna().sum()):
        cause = f"of different runs: {absent} of {len(sides)} planned images refer to rows that are not there"
        raise MissingInputError(tables, cause, f"Make them again, in order: kedro run --pipelines={pipeline}")


def measure(
    sides: pd.DataFrame, images: ImageSource, judge: Judge, concept_ids: list[str], texts: np.ndarray
) -> pd.DataFrame:
    """Measure every planned image.

    Args:
        sides: From :func:`list_sides`.
        images: Generated images.
        judge: Judge of the images.
        concept_ids: All concepts [C].
        texts: Text embeddings of the concepts, float32 [C, D], normalised.

    Returns:
        ``sides`` with the cosines ``clip_similarity``, ``twin_similarity``, ``chance_similarity`` (mean over all
        concepts), the ``rank`` of the own concept among all (1 is best; a tie counts against it; of more images than
        :data:`RANKED`, only those with the least ids have one), the look (``phash``, ``colour``) and ``fault``, which
        says why an image has none of these.

    Raises:
        MissingInputError: if images and requests, or concepts and captions, are of different runs.
    """
    known = sides[["concept_id", "twin_concept_id"]].isin(concept_ids).all(axis=1)
    _check_same_run(sides.assign(known=known.where(known)), "known", "concepts and captions", "captioning")
    present = set(images.ids)
    if len(sides) and present.isdisjoint(sides["image_id"]):
        cause = f"none of the {len(sides)} planned images is in this version: they were planned with other settings"
        raise MissingInputError("images", cause, "Make them first: kedro run --pipelines=synthesis")
    seen = judge.embed_images(images, (identifier for identifier in sides["image_id"] if identifier in present))
    table = sides.copy()
    fault = pd.Series(None, index=table.index, dtype=object)
    fault = fault.mask(~table["image_id"].isin(seen), str(Reason.UNREADABLE))
    table["fault"] = fault.mask(~table["image_id"].isin(present), str(Reason.NOT_GENERATED))
    return table.join(_read_measurements(table[table["fault"].isna()], judge, concept_ids, texts))


def _read_measurements(rows: pd.DataFrame, judge: Judge, concept_ids: list[str], texts: np.ndarray) -> pd.DataFrame:
    """Return looks, cosines and ranks of the readable rows, read in slices: no [N, D] or [N, C] is in memory whole."""
    place = pd.Series(np.arange(len(concept_ids)), index=concept_ids)
    own, twin = (place.loc[rows[column]].to_numpy() for column in ("concept_id", "twin_concept_id"))
    ranked, mean = _choose_ranked(rows["image_id"]), texts.mean(axis=0)
    parts = []
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        looks = list(judge.read_looks(rows["image_id"].iloc[part].tolist()).values())
        embeddings = np.stack([look["embedding"] for look in looks])
        if len(rows) <= RANKED:
            scores = _rank(embeddings, own[part], twin[part], texts)
        else:
            scores = _compare(embeddings, texts[own[part]], texts[twin[part]], mean)
            chosen = np.flatnonzero(ranked[part])
            scores[chosen] = _rank(embeddings[chosen], own[part][chosen], twin[part][chosen], texts)
        texts_of = {name: pd.Series([look[name] for look in looks], dtype=TEXT) for name in LOOKS}
        parts.append(pd.DataFrame({**texts_of, **dict(zip(_SCORES, scores.T, strict=True))}))
    empty = pd.DataFrame({name: pd.Series(dtype=TEXT if name in LOOKS else float) for name in (*LOOKS, *_SCORES)})
    return pd.concat(parts or [empty], ignore_index=True).set_axis(rows.index)


def _choose_ranked(image_ids: pd.Series) -> np.ndarray:
    """Return a mask of at most :data:`RANKED` images; ids are digests, so the least ones are a random sample."""
    chosen = np.zeros(len(image_ids), dtype=bool)
    chosen[image_ids.reset_index(drop=True).sort_values().index[:RANKED]] = True
    return chosen


def _rank(embeddings: np.ndarray, own: np.ndarray, twin: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return :data:`_SCORES` of some images, float [B, 4], from their cosines to all concepts, [B, C]."""
    cosines = np.clip(embeddings @ texts.T, -1, 1)
    line = np.arange(len(cosines))
    mine = cosines[line, own]
    return np.stack(
        [mine, cosines[line, twin], cosines.mean(1), (cosines >= mine[:, None]).sum(1)], axis=1, dtype=float
    )


def _compare(embeddings: np.ndarray, own: np.ndarray, twin: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the same without ranks: the mean of the cosines is the cosine's product with the mean of the texts."""
    scores = np.full((len(embeddings), len(_SCORES)), np.nan)
    scores[:, 0], scores[:, 1] = (np.einsum("nd,nd->n", embeddings, side) for side in (own, twin))
    scores[:, 2] = embeddings @ mean
    return scores.clip(-1, 1)
