"""Linking against a naive reference, and on pocket's own encoder and drawings."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cultureclip.attribution.embedding import Embedder
from cultureclip.attribution.indexing import build_index
from cultureclip.attribution.knowledge_base import KnowledgeBase, check_entities
from cultureclip.attribution.linking import LINKS, link_images
from cultureclip.attribution.pictures import EncodedImages, ReferencePictures, open_folder
from cultureclip.attribution.settings import LinkSettings
from cultureclip.errors import IndexMismatchError, SourceDataError
from cultureclip.models.encoder import load_encoder
from tests.attribution.conftest import TEXT, entity_rows, noise

NAMES = ["kimono", "sari", "obi sash", "torii gate", "taco", "flag of Chad", "flag of Mali", "flag of Peru"]


def base(pictures):
    """Eight entities: two of them share each picture, and every entity has several."""
    rows = [
        (f"e{e}", NAMES[e], "" if e % 3 == 0 else TEXT * e, picture)
        for place, picture in enumerate(pictures)
        for e in ((place % 8), (3 * place + 1) % 8)
    ]
    return KnowledgeBase.of(check_entities(entity_rows(*rows), "mine"))


@pytest.fixture
def queries(tmp_path: Path) -> EncodedImages:
    folder = tmp_path / "queries"
    folder.mkdir()
    for seed in range(30, 36):
        noise(seed).save(folder / f"{seed}.png")
    return open_folder(folder)


def test_links_equal_a_naive_reference(pictures, queries, embedder, settings, encoder_path):
    knowledge, encoder = base(pictures), load_encoder(encoder_path)
    index = build_index(knowledge, embedder, 24)
    chosen = settings.model_copy(update={"neighbours": 3})
    links = LINKS.validate(link_images(queries, queries.ids, knowledge, index, embedder, chosen))
    references = encoder.encode_images([Image.open(path) for path in knowledge.pictures])
    names = dict(zip(knowledge.names, encoder.encode_texts(list(knowledge.names.values())), strict=True))
    for image in queries.ids:
        vector = encoder.encode_images(queries.read([image]))[0]
        near = [list(knowledge.pictures)[place] for place in np.argsort(-(references @ vector))[:3]]
        candidates = sorted({e for p in near for e in knowledge.pictures[p]}, key=lambda e: -float(names[e] @ vector))
        rows = links[links["image_id"] == image]
        assert rows["entity_id"].tolist() == candidates
        assert rows["rank"].tolist() == list(range(1, len(candidates) + 1))
        told = [entity for entity in candidates if len(knowledge.texts.get(entity, "")) > 10]
        assert rows.loc[rows["chosen"], "entity_id"].tolist() == told[:1]
        assert len({e for p in near for e in knowledge.pictures[p]}) <= 6
        assert all(a >= b for a, b in pairwise(rows["name_similarity"]))


def test_the_first_entity_with_a_text_is_taken(pictures, queries, embedder, settings):
    knowledge = base(pictures)
    index = build_index(knowledge, embedder, 24)
    links = link_images(queries, queries.ids, knowledge, index, embedder, settings)
    for _, rows in links.groupby("image_id"):
        long = rows[rows["text_length"] > 10]
        assert rows["chosen"].sum() == 1
        assert rows.loc[rows["chosen"], "rank"].item() == long["rank"].min()
    none = link_images(queries, queries.ids, knowledge, index, embedder, settings.model_copy(update={"min_text": 999}))
    assert not none["chosen"].any()
    assert none["rank"].eq(1).sum() == 6


def test_links_do_not_depend_on_order_or_company(pictures, queries, embedder, settings):
    knowledge = base(pictures)
    index = build_index(knowledge, embedder, 24)
    together = link_images(queries, queries.ids, knowledge, index, embedder, settings)
    for image in [queries.ids[0], queries.ids[-1]]:
        alone = link_images(queries, [image, image], knowledge, index, embedder, settings)
        assert alone.equals(together[together["image_id"] == image].reset_index(drop=True))


def test_an_unreadable_image_has_a_row_and_shifts_no_other(pictures, queries, embedder, settings, tmp_path):
    knowledge = base(pictures)
    index = build_index(knowledge, embedder, 24)
    whole = link_images(queries, queries.ids, knowledge, index, embedder, settings)
    (tmp_path / "queries/31b.png").write_bytes(b"\x89PNG nothing else")
    more = open_folder(tmp_path / "queries")
    links = LINKS.validate(link_images(more, more.ids, knowledge, index, embedder, settings))
    (broken,) = set(more.ids) - set(queries.ids)
    row = links[links["image_id"] == broken]
    assert len(row) == 1
    assert row["entity_id"].isna().all()
    assert "damaged" in row["fault"].item()
    assert links[links["image_id"] != broken].reset_index(drop=True).equals(whole)
    alone = LINKS.validate(link_images(more, [broken], knowledge, index, embedder, settings))
    assert len(alone) == 1


def test_an_index_of_other_entities_or_no_image_is_refused(pictures, queries, embedder, settings):
    index = build_index(base(pictures), embedder, 24)
    other = KnowledgeBase.of(check_entities(entity_rows(("x", "kimono", TEXT, pictures[0])), "mine"))
    with pytest.raises(IndexMismatchError, match="not in the knowledge base"):
        link_images(queries, queries.ids, other, index, embedder, settings)
    with pytest.raises(SourceDataError, match="there are none"):
        link_images(queries, [], base(pictures), index, embedder, settings)


def test_pocket_finds_the_thing_in_a_drawing_of_its_knowledge_base(store):
    """The judge has seen these drawings: a wrong wiring would not get near."""
    things = {"👘": "kimono", "🥻": "sari", "🪆": "matryoshka", "🌮": "taco", "🍣": "sushi", "⛩️": "torii gate"}
    rows = [(char, name, TEXT, f"emoji:{char}") for char, name in things.items()]
    knowledge = KnowledgeBase.of(check_entities(entity_rows(*rows), "mine"))
    settings = LinkSettings(encoder="package:cultureclip/pocket/weights/judge", neighbours=3, picture_size=64)
    embedder = Embedder(settings, store)
    index = build_index(knowledge, embedder, 64)
    source = ReferencePictures(list(knowledge.pictures), 80)
    links = link_images(source, source.ids, knowledge, index, embedder, settings)
    found = links[links["chosen"]].set_index("image_id")["entity_id"]
    right = sum(found[f"emoji:{char}"] == char for char in things)
    assert right >= 5
