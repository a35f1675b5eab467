"""Rows with one picture and two captions: who can learn from them, and what is counted."""

import pytest
import torch

from cultureclip.clip.data.batches import TwinBatch
from cultureclip.clip.objectives.contrast import TwinEmbeddings
from cultureclip.clip.objectives.losses import OBJECTIVES, build_objective
from cultureclip.clip.settings import ObjectiveSettings
from cultureclip.clip.training.step import twin_accuracy
from cultureclip.errors import ConfigurationError
from tests.clip.conftest import make_rows
from tests.clip.trainings import train


def embeddings(seed: int = 0) -> TwinEmbeddings:
    draw = torch.Generator().manual_seed(seed)
    images, captions, concepts = torch.nn.functional.normalize(torch.randn(3, 2, 4, 6, generator=draw), dim=-1)
    ids = torch.arange(8).view(2, 4)
    return TwinEmbeddings(images, captions, concepts, ids, ids, torch.tensor(10.0))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_says_whether_it_learns_from_the_negatives_pictures(name):
    """Against the definition: whether the loss changes when only these pictures do."""
    twins, loss = embeddings(), build_objective(name)
    other = TwinEmbeddings(**{**vars(twins), "images": torch.stack([twins.images[0], embeddings(1).images[1]])})
    assert bool(loss(twins) != loss(other)) == loss.reads_negative_pictures
    margin = build_objective(name, ObjectiveSettings(twin_margin_weight=1.0))
    assert margin.reads_negative_pictures


def test_only_objectives_of_the_positives_pictures_train_on_such_rows(base_folder, tmp_path):
    rows, images = make_rows()
    rows = rows.assign(neg_image_id=rows["pos_image_id"])
    with pytest.raises(ConfigurationError, match="16 of 16 rows have one picture") as raised:
        train(rows, images, base_folder, tmp_path, objective="cultureclip")
    assert "negclip" in raised.value.remedy
    assert not list(tmp_path.iterdir()), "nothing has begun"
    _, log = train(rows, images, base_folder, tmp_path, objective="negclip")
    assert all(0 <= row["dev_caption_accuracy"] <= 1 for row in log)
    assert {row["dev_caption_accuracy"] for row in log} != {0.5}, "the one picture is not counted against both captions"


def test_a_side_without_a_picture_of_its_own_does_not_count():
    twins = embeddings()
    images = torch.tensor([0, 1, 2, 3, 0, 5, 2, 7])
    batch = TwinBatch(["r"] * 4, *[torch.zeros(0)] * 4, images, None, None, None)  # type: ignore[arg-type]
    assert batch.shown.tolist() == [[True] * 4, [False, True, False, True]]
    right = [(twins.images * twins.captions).sum(-1), (twins.images * twins.captions.flip(0)).sum(-1)]
    naive = [float(right[0][s][i] > right[1][s][i]) for s in (0, 1) for i in range(4) if s == 0 or i in (1, 3)]
    assert twin_accuracy(twins, "caption", batch.shown) == pytest.approx(sum(naive) / len(naive))
