"""Nodes of the mining stage."""

import json
import logging
from typing import Any

import pandas as pd

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError
from cultureclip.pipelines.mining.parameters import MiningParameters

logger = logging.getLogger(__name__)


def read_concepts(atlas: str, parameters: MiningParameters) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read the sources of concepts, merge rows that name one thing, and keep what each source said."""
    from cultureclip.concepts.gather import gather_concepts

    gathered = gather_concepts(parameters.sources, atlas, parameters.merging, parameters.problems_shown)
    return gathered.concepts, gathered.sources, gathered.report


def ask_language_model(concepts: pd.DataFrame, answer_store: KeyedStore, parameters: MiningParameters) -> pd.DataFrame:
    """Ask the language model of every emoji name whether it is bound to a culture."""
    from cultureclip.concepts.bottom_up import ask_names, empty_table, list_names
    from cultureclip.concepts.emoji import list_emoji
    from cultureclip.models.text import load_language_model

    settings = parameters.bottom_up
    if not settings.enabled:
        return empty_table()
    names = list_names(list_emoji(), concepts)
    model = load_language_model(settings.language_model)
    first, second = settings.question.options
    log_odds = [  # of yes, with either letter for it
        sign
        * ask_names(
            list(names["name"]), model, settings.question.to_messages(yes, no), settings.question.options, answer_store
        )
        for sign, yes, no in ((1, first, second), (-1, second, first))
    ]
    return names.assign(language_model_score=sum(log_odds) / len(log_odds))


def classify_names(answers: pd.DataFrame, parameters: MiningParameters) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Compare the sentence encoder with the language model, use the better one, and classify the finds."""
    from cultureclip.concepts import bottom_up
    from cultureclip.models.sentence import load_sentence_encoder

    if not parameters.bottom_up.enabled:
        return answers, {}
    names = answers.drop(columns="language_model_score")
    embeddings = load_sentence_encoder(parameters.sentence_encoder).encode(list(names["name"]))
    return bottom_up.classify_names(
        names,
        answers["language_model_score"].to_numpy(),
        embeddings,
        parameters.bottom_up,
    )


def embed_looks(concepts: pd.DataFrame, parameters: MiningParameters) -> pd.DataFrame:
    """Embed every reference picture with the judge and find pictures that are drawn alike to the pixel."""
    import numpy as np

    from cultureclip.concepts.looks import choose_representatives, embed_pictures, read_pictures
    from cultureclip.engine.progress import progress_bar
    from cultureclip.models.encoder import load_encoder
    from cultureclip.models.locate import locate

    shown = concepts[concepts["reference_image"].notna()].reset_index(drop=True)
    if len(shown) < 2:
        cause = f"{len(shown)} of {len(concepts)} concepts have a picture, and a twin needs two"
        raise SourceDataError("table of concepts", cause, "Fill in emoji or reference_image")
    if len(shown) < len(concepts):
        logger.warning("%d concepts have no picture and can be in no twin", len(concepts) - len(shown))
    drawn = [
        read_pictures(reference, parameters.twins.picture_size)
        for reference in progress_bar(shown["reference_image"], desc="draw concepts")
    ]
    judge = load_encoder(locate(parameters.judge), parameters.device)
    styles = [np.stack(of_style) for of_style in zip(*drawn, strict=True)]
    embeddings = embed_pictures(judge, styles[0], parameters.twins.compare_mirrored)
    stands_for = choose_representatives(shown, styles, parameters.twins.indistinguishable_below)
    return pd.DataFrame({"concept_id": shown["concept_id"], "embedding": list(embeddings), "stands_for": stands_for})


def match_twins(concepts: pd.DataFrame, looks: pd.DataFrame, parameters: MiningParameters) -> pd.DataFrame:
    """Match concepts that look alike and belong to different cultures."""
    from cultureclip.concepts import twins
    from cultureclip.concepts.looks import stack_embeddings
    from cultureclip.models.sentence import load_sentence_encoder

    shown = looks.merge(concepts, on="concept_id", validate="one_to_one")
    return twins.match_twins(
        shown,
        stack_embeddings(shown),
        load_sentence_encoder(parameters.sentence_encoder).encode(list(shown["context"])),
        list(shown["stands_for"]),
        parameters.twins,
    )


def summarise_mining(
    concepts: pd.DataFrame, looks: pd.DataFrame, twins: pd.DataFrame, bottom_up_figures: dict[str, Any]
) -> dict[str, Any]:
    """Count candidate pairs in, kept and rejected by reason; what the concepts are; what the bottom-up pass found."""
    from cultureclip.concepts.assignment import KIND_FULL

    kept = twins[twins["verdict"] == "accepted"]
    rejected = json.loads(twins["reason"].value_counts().to_json())
    if kept.empty:
        logger.warning("Mining: no twin is accepted, so there is nothing to caption; rejected by reason: %s", rejected)
    if KIND_FULL in rejected:
        limits = "mining.twins.max_flag_twins and max_object_twins"
        logger.info("Mining: %d more pairs are refused as %r, see %s", rejected[KIND_FULL], KIND_FULL, limits)
    is_flag = concepts.set_index("concept_id")["universal"] == "flag"
    flags = int(kept["a_concept_id"].isin(is_flag.index[is_flag]).sum())
    indistinct = looks[looks["stands_for"] != looks["concept_id"]]
    name_of = concepts.set_index("concept_id")["name"]
    return {
        "in": len(twins),
        "kept": len(kept),
        "rejected": rejected,
        "twins": {"flags": flags, "objects": len(kept) - flags, "dev": int((kept["split"] == "dev").sum())},
        "concepts": {
            "in_all": len(concepts),
            "flags": int(is_flag.sum()),
            "without_picture": len(concepts) - len(looks),
            "cultures": concepts["cultures"].explode().nunique(),
            "by_category": json.loads(concepts["category"].value_counts().to_json()),
            "in_twins": len(set(kept["a_concept_id"]) | set(kept["b_concept_id"])),
        },
        "drawn_alike": [
            [name_of[a], name_of[b]] for a, b in zip(indistinct["concept_id"], indistinct["stands_for"], strict=True)
        ],
        "bottom_up": bottom_up_figures,
    }
