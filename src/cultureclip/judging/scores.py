"""Scores of each image: its similarity to its own concept, to its twin's and to all concepts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.errors import MissingInputError
from cultureclip.images.source import ImageSource
from cultureclip.judging.judge import Judge
from cultureclip.judging.reasons import Reason

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
        concepts), the ``rank`` of the own concept among all (1 is best; a tie counts against it), the look (``phash``,
        ``colour``) and ``fault``, which says why an image has none of these.

    Raises:
        MissingInputError: if images and requests, or concepts and captions, are of different runs.
    """
    known = sides[["concept_id", "twin_concept_id"]].isin(concept_ids).all(axis=1)
    _check_same_run(sides.assign(known=known.where(known)), "known", "concepts and captions", "captioning")
    present = set(images.ids)
    if len(sides) and present.isdisjoint(sides["image_id"]):
        cause = f"none of the {len(sides)} planned images is in this version: they were planned with other settings"
        raise MissingInputError("images", cause, "Make them first: kedro run --pipelines=synthesis")
    wanted = [identifier for identifier in sides["image_id"] if identifier in present]
    seen = judge.look_at(images, wanted)
    table = sides.copy()
    fault = pd.Series(None, index=table.index, dtype=object)
    fault = fault.mask(~table["image_id"].isin(seen.keys()), str(Reason.UNREADABLE))
    table["fault"] = fault.mask(~table["image_id"].isin(present), str(Reason.NOT_GENERATED))
    for name in ("phash", "colour"):
        table[name] = table["image_id"].map({identifier: look[name] for identifier, look in seen.items()})
    return table.join(_similarities(table[table["fault"].isna()], seen, concept_ids, texts))


def _similarities(
    rows: pd.DataFrame, seen: Mapping[str, Mapping[str, Any]], concept_ids: list[str], texts: np.ndarray
) -> pd.DataFrame:
    """Return cosines and rank of the readable rows, in slices so that [N, C] is never in memory whole."""
    place = pd.Series(np.arange(len(concept_ids)), index=concept_ids)
    own, twin = (place.loc[rows[column]].to_numpy() for column in ("concept_id", "twin_concept_id"))
    columns = ("clip_similarity", "twin_similarity", "chance_similarity", "rank")
    scores = np.full((len(rows), len(columns)), np.nan)
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        embeddings = np.stack([seen[i]["embedding"] for i in rows["image_id"].iloc[part]])
        cosines = np.clip(embeddings @ texts.T, -1, 1)
        line = np.arange(len(cosines))
        mine = cosines[line, own[part]]
        rank = (cosines >= mine[:, None]).sum(1)
        scores[part] = np.stack([mine, cosines[line, twin[part]], cosines.mean(1), rank], axis=1)
    return pd.DataFrame(scores, index=rows.index, columns=list(columns))
