"""Nodes of the mining stage."""

import json
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from cultureclip.concepts.bottom_up.learn import BottomUp
from cultureclip.concepts.matching import Matching
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import SourceDataError
from cultureclip.images.store import ShardStore
from cultureclip.pipelines.mining.parameters import MiningParameters

if TYPE_CHECKING:
    import numpy as np

    from cultureclip.images.portraits import Portraits

logger = logging.getLogger(__name__)


def read_concepts(
    atlas: str,
    mining_store: KeyedStore,
    top_down_prompt: dict[str, Any],
    bottom_up_prompt: dict[str, Any],
    category_prompt: dict[str, Any],
    parameters: MiningParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], list[BottomUp]]:
    """Read the sources of concepts, merge rows that name one thing, and keep what each source said.

    Returns:
        Tables ``concepts`` and ``concept_sources``, the report, and the bottom-up pass; none where it is off.
    """
    from cultureclip.concepts.gather import gather_concepts
    from cultureclip.concepts.proposals import read_top_down_prompt
    from cultureclip.concepts.sources.source import Material

    bottom_up = open_bottom_up(mining_store, bottom_up_prompt, category_prompt, parameters)
    material = Material(atlas, mining_store, read_top_down_prompt(top_down_prompt))
    check = next((one.make_check() for one in bottom_up if parameters.bottom_up.checks), None)
    gathered = gather_concepts(parameters.sources, material, parameters.merging, parameters.problems_shown, check)
    parameters.exclude.find(gathered.concepts)  # a misspelt name is refused here
    return gathered.concepts, gathered.sources, gathered.report, bottom_up


def open_bottom_up(
    store: KeyedStore, concept_prompt: dict[str, Any], category_prompt: dict[str, Any], parameters: MiningParameters
) -> list[BottomUp]:
    """Read the sample of titles and the prompts, and open the language model; nothing is asked yet.

    Returns:
        The bottom-up pass; none where it is off.
    """
    from PIL import Image

    from cultureclip.concepts.bottom_up.ask import TitleAsker, read_category_prompt, read_concept_prompt
    from cultureclip.concepts.bottom_up.titles import read_titles
    from cultureclip.concepts.looks import read_pictures
    from cultureclip.models.chat.asking import Usage
    from cultureclip.models.chat.open import open_chat_model
    from cultureclip.models.sentence import load_sentence_encoder

    def read(reference: str) -> Image.Image:
        return Image.fromarray(read_pictures(reference, parameters.twins.picture_size)[0])

    def embed(texts: list[str]) -> "np.ndarray":
        return load_sentence_encoder(parameters.sentence_encoder).encode(texts)

    settings = parameters.bottom_up
    prompts = read_concept_prompt(concept_prompt), read_category_prompt(category_prompt)
    if not settings.enabled:
        return []
    titles = read_titles(settings.titles, parameters.problems_shown)
    asker = TitleAsker(
        model=open_chat_model(settings.language_model),
        concept_prompt=prompts[0],
        category_prompt=prompts[1],
        options=settings.options,
        tries=settings.tries,
        store=store,
        read=read if settings.show_pictures else None,
        usage=Usage(),
    )
    return [BottomUp(titles, asker, embed, settings)]


def ask_about_titles(pass_over_titles: list[BottomUp]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask about titles whose truth is known, compare the language model with the sentence encoder, keep the better.

    Returns:
        The table of titles and the figures; nothing where the pass is off.
    """
    from cultureclip.concepts.bottom_up.calibrate import BOTTOM_UP
    from cultureclip.tables import make_table

    for bottom_up in pass_over_titles:
        table, figures, _ = bottom_up.learned
        return table, figures
    return make_table([], BOTTOM_UP), {}


def propose_twins(
    gathered: pd.DataFrame, mining_store: KeyedStore, twins_prompt: dict[str, Any], parameters: MiningParameters
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Let a language model name a twin of every concept.

    Returns:
        The concepts, with those that the model added, the table of proposals, and its figures; without a model the
        concepts alone.
    """
    from cultureclip.concepts import twin_proposals
    from cultureclip.models.chat.open import open_chat_model
    from cultureclip.tables import make_table

    prompt, settings = twin_proposals.read_twins_prompt(twins_prompt), parameters.twin_proposals
    if settings is None:
        return gathered, make_table([], twin_proposals.TWIN_PROPOSALS), {}
    model = open_chat_model(settings.language_model)
    proposed = twin_proposals.propose_twins(gathered, model, mining_store, prompt, settings)
    return proposed.concepts, proposed.proposals, proposed.figures


def embed_looks(
    concepts: pd.DataFrame,
    concept_sources: pd.DataFrame,
    mining_store: KeyedStore,
    image_store: ShardStore,
    parameters: MiningParameters,
    engine: EngineSettings = HERE,
) -> pd.DataFrame:
    """Embed the pictures of every concept with the judge and find reference pictures that are alike to the pixel."""
    from itertools import chain

    from cultureclip.concepts.kinds import find_kinds
    from cultureclip.concepts.looks import choose_representatives
    from cultureclip.concepts.prototypes import PictureEmbedder, PictureReader, average_looks, list_references, see
    from cultureclip.engine.temporary import scratch_folder
    from cultureclip.models.weights.locate import locate

    files = _fetch_pictures(concept_sources, parameters)
    references = list_references(concepts, concept_sources, parameters.twins.pictures, files)
    without = concepts[~concepts["concept_id"].isin(list(references))]
    portraits = _draw_portraits(without, image_store, parameters, engine)
    pictures = Counter({concept: len(own) for concept, own in references.items()}) + Counter(portraits.concepts)
    shown = concepts[concepts["concept_id"].isin(list(pictures))].reset_index(drop=True)
    if len(shown) < 2:
        cause = f"{len(shown)} of {len(concepts)} concepts have a picture, and a twin needs two"
        raise SourceDataError("table of concepts", cause, "Fill in emoji or reference_image")
    if len(shown) < len(concepts):
        logger.warning("%d concepts have no picture and can be in no twin", len(concepts) - len(shown))
    settings = parameters.twins
    kinds = find_kinds(shown["universal"], settings.max_twins_per_kind)
    kind_of = dict(zip(shown["concept_id"], kinds, strict=True))
    embedder = PictureEmbedder(locate(parameters.judge), parameters.device, mining_store, engine)
    with scratch_folder() as folder:  # pictures that are compared to the pixel lie on the disk
        reader = PictureReader(references, kind_of, settings, folder)
        drawn = see(portraits, settings.picture_size)
        vectors = embedder.embed(chain(reader, drawn))
        looks = average_looks([*reader.concepts, *portraits.concepts], vectors)
        referenced = shown[shown["concept_id"].isin(list(references))].reset_index(drop=True)
        chosen = choose_representatives(referenced, reader.styles, settings.indistinguishable_below)
    stands_for = dict(zip(referenced["concept_id"], chosen, strict=True))
    return pd.DataFrame(
        {
            "concept_id": shown["concept_id"],
            "embedding": [looks[concept] for concept in shown["concept_id"]],
            "judge": embedder.fingerprint,
            "pictures": [pictures[concept] for concept in shown["concept_id"]],
            "stands_for": [stands_for.get(concept, concept) for concept in shown["concept_id"]],
        }
    )


def _draw_portraits(
    concepts: pd.DataFrame, store: ShardStore, parameters: MiningParameters, engine: EngineSettings
) -> "Portraits":
    """Plan pictures of concepts that have none; no picture where that is off."""
    from cultureclip.images.portraits import Portraits

    return Portraits(concepts, parameters.portraits, store, engine)


def _fetch_pictures(concept_sources: pd.DataFrame, parameters: MiningParameters) -> dict[str, str]:
    """Return the file of each picture that sources give the address of and that can be had; none where that is off."""
    from cultureclip.concepts.pictures import PictureFetcher

    if parameters.twins.fetch is None:
        return {}
    fetcher = PictureFetcher(parameters.twins.fetch)
    files = fetcher.fetch(concept_sources["picture_url"].dropna())
    for reason, count in fetcher.problems.most_common():
        logger.warning("Mining: %d pictures cannot be had: %s", count, reason)
    return files


def match_twins(
    concepts: pd.DataFrame,
    looks: pd.DataFrame,
    twin_proposals: pd.DataFrame,
    twin_reviews: pd.DataFrame,
    parameters: MiningParameters,
) -> tuple[pd.DataFrame, Matching]:
    """Match concepts that look alike and belong to different cultures; what people say about a pair comes first."""
    from cultureclip.concepts import twins
    from cultureclip.concepts.looks import stack_embeddings
    from cultureclip.concepts.proposed_twins import add_proposals
    from cultureclip.concepts.reviews import settle
    from cultureclip.models.sentence import load_sentence_encoder

    shown = looks.merge(concepts, on="concept_id", validate="one_to_one")
    encoder, words = load_sentence_encoder(parameters.sentence_encoder), list(shown["universal"].unique())
    proposed = twin_proposals[["a_concept_id", "b_concept_id"]].dropna()
    reviews = settle(twin_reviews)
    matching = twins.match_twins(
        shown,
        stack_embeddings(shown),
        encoder.encode(list(shown["context"])),
        dict(zip(words, encoder.encode(words), strict=True)),
        list(shown["stands_for"]),
        reviews,
        parameters.twins,
        list(proposed.itertuples(index=False, name=None)),
        parameters.exclude.find(concepts),
    )
    if parameters.twin_proposals is not None:
        settings, share = parameters.twin_proposals, parameters.twins.dev_share
        matching = replace(matching, twins=add_proposals(matching.twins, twin_proposals, concepts, settings, share))
    if missed := len(reviews) - matching.reviewed:
        logger.warning("Mining: %d of %d reviewed pairs are not considered this time", missed, len(reviews))
    return matching.twins, matching


def tabulate_yields(concepts: pd.DataFrame, matching: Matching) -> pd.DataFrame:
    """Count the concepts of each culture that are left after every step."""
    from cultureclip.concepts import yields

    return yields.tabulate_yields(concepts, matching.steps, matching.coverage)


def summarise_mining(
    concepts: pd.DataFrame,
    looks: pd.DataFrame,
    matching: Matching,
    bottom_up_figures: dict[str, Any],
    proposal_figures: dict[str, Any],
    parameters: MiningParameters,
) -> dict[str, Any]:
    """Count candidate pairs in, kept and rejected by reason, and what the concepts are; add what models were asked."""
    from cultureclip.concepts.assignment import KIND_FULL
    from cultureclip.concepts.kinds import find_kinds

    twins, rejected = matching.twins, matching.refused
    kept = twins[twins["verdict"] == "accepted"]
    if kept.empty:
        logger.warning("Mining: no twin is accepted, so there is nothing to caption; rejected by reason: %s", rejected)
    if KIND_FULL in rejected:
        limits = "mining.twins.max_twins_per_kind"
        logger.info("Mining: %d more pairs are refused as %r, see %s", rejected[KIND_FULL], KIND_FULL, limits)
    kind_of = pd.Series(find_kinds(concepts["universal"], parameters.twins.max_twins_per_kind), concepts["concept_id"])
    indistinct = looks[looks["stands_for"] != looks["concept_id"]]
    name_of = concepts.set_index("concept_id")["name"]
    return {
        "in": matching.considered,
        "kept": len(kept),
        "rejected": rejected,
        "refused_in_table": len(twins) - len(kept),
        "reviewed": matching.reviewed,
        "twins": {
            "by_kind": json.loads(kept["a_concept_id"].map(kind_of).value_counts().to_json()),
            "dev": int((kept["split"] == "dev").sum()),
        },
        "concepts": {
            "in_all": len(concepts),
            "by_kind": json.loads(kind_of.value_counts().to_json()),
            "without_picture": len(concepts) - len(looks),
            "cultures": concepts["cultures"].explode().nunique(),
            "by_category": json.loads(concepts["category"].value_counts().to_json()),
            "in_twins": len(set(kept["a_concept_id"]) | set(kept["b_concept_id"])),
        },
        "drawn_alike": [
            [name_of[a], name_of[b]] for a, b in zip(indistinct["concept_id"], indistinct["stands_for"], strict=True)
        ],
        "bottom_up": bottom_up_figures,
        "twin_proposals": proposal_figures,
    }
