"""Hard negatives from the rows to the trained model."""

import pytest
import torch
import yaml
from pydantic import ValidationError

from cultureclip.clip.data.batches import TwinData, make_batch, prepare
from cultureclip.clip.data.towers import encode_text
from cultureclip.clip.settings import TextSettings
from cultureclip.clip.training.keys import training_key
from cultureclip.errors import ConfigurationError
from cultureclip.pipelines.train import create_pipeline
from cultureclip.pipelines.train.instances import check_hard_negatives
from cultureclip.pipelines.train.parameters import TrainParameters
from cultureclip.session_config import SessionConfig, note_config
from cultureclip.tables import NEGATIVE_COLUMNS
from tests.clip.conftest import make_rows
from tests.clip.trainings import SETTINGS, train
from tests.support.parameters import change_stage

WEIGHED = SETTINGS.model_copy(
    update={"objective": SETTINGS.objective.model_copy(update={"hard_negative_weight": 20.0})}
)


def with_negatives(rows):
    """Positive sides have a hard negative in every other row; negative sides have none."""
    texts = [f"a {('taco', 'kimono')[n % 4 // 2]} of glass" if n % 2 else None for n in range(len(rows))]
    return rows.assign(**dict(zip(NEGATIVE_COLUMNS, (texts, None), strict=True)))


def test_a_batch_has_each_negative_at_its_image_and_none_elsewhere(encoder, tmp_path):
    rows, images = make_rows()
    rows = with_negatives(rows)
    made = prepare(rows, images, encoder, TextSettings(), 0.0)
    made.save(tmp_path)
    for data in (made, TwinData.load(tmp_path)):
        batch = make_batch(data, torch.tensor([5, 0, 3, 8]), encoder)
        table = rows.set_index("row_id").loc[batch.row_ids]
        written = table[NEGATIVE_COLUMNS[0]]
        assert batch.has_negative.tolist() == [written.notna().tolist(), [False] * 4]
        embedded = encode_text(encoder.model, batch.tokens)[batch.negatives[0]]
        want = encoder.model.encode_text(encoder.tokenizer(list(written.dropna())), normalize=True)
        torch.testing.assert_close(embedded[batch.has_negative[0]], want, rtol=0, atol=1e-5)


def test_rows_without_the_columns_make_the_batches_of_before(encoder):
    rows, images = make_rows()
    batch = make_batch(prepare(rows, images, encoder, TextSettings(), 0.0), torch.arange(4), encoder)
    assert batch.negatives is None and batch.has_negative is None


def test_training_moves_images_away_from_their_hard_negatives(base_folder, tmp_path):
    rows, images = make_rows()
    rows = with_negatives(rows)
    leads = {}
    for name, settings in (("without", SETTINGS), ("with", WEIGHED)):
        checkpoint, _ = train(rows, images, base_folder, tmp_path, settings=settings)
        leads[name] = lead(checkpoint, rows, images, base_folder)
    assert leads["with"] > leads["without"] + 0.05


def lead(checkpoint, rows, images, base_folder) -> float:
    """Mean lead of the own caption over the hard negative, in cosine."""
    from cultureclip.clip.lora.adapter import LoraAdapter
    from cultureclip.models.encoder import load_encoder

    encoder = load_encoder(base_folder)
    adapter = LoraAdapter(encoder.model, checkpoint.card.lora, 0)
    adapter.load(checkpoint.adapter)
    batch = make_batch(prepare(rows, images, encoder, TextSettings(), 0.0), torch.arange(12), encoder)
    with torch.no_grad():
        pictures = encoder.model.encode_image(batch.pixels(), normalize=True).unflatten(0, (2, -1))[0]
        texts = encode_text(encoder.model, batch.tokens)
        own, other = texts[batch.captions[0]], texts[batch.negatives[0]]
        return float((pictures * (own - other)).sum(-1)[batch.has_negative[0]].mean())


def test_other_negatives_are_another_training():
    rows, images = make_rows()
    keys = {
        training_key(table, images, None, "f", "cultureclip", 1, WEIGHED)
        for table in (rows, with_negatives(rows), with_negatives(rows).replace("a taco of glass", "a taco of tin"))
    }
    assert len(keys) == 3


@pytest.mark.parametrize("changes", [{"hard_negatives": True}, {"objective": {"hard_negative_weight": 1.0}}])
def test_negatives_that_are_not_weighed_and_weights_without_negatives_are_refused(changes):
    with pytest.raises(ValidationError, match="belong together"):
        change_stage("train", **changes)


def test_a_variant_may_weigh_them_beside_a_training_that_does_not():
    variant = {"objective": "cultureclip", "settings": {"objective": {"hard_negative_weight": 1.0}}}
    changes = {"variants": {"hard": variant}, "objectives": ["cultureclip", "hard"], "hard_negatives": True}
    parameters = change_stage("train", **changes)
    assert isinstance(parameters, TrainParameters)
    assert parameters.run_settings("hard").objective.hard_negative_weight == 1.0
    assert parameters.run_settings("cultureclip").objective.hard_negative_weight == 0.0


@pytest.mark.parametrize("wanted", [True, False])
def test_the_pipeline_reads_the_instances_where_the_config_says_so(tmp_path, wanted):
    for env in ("base", "local"):
        (tmp_path / "conf" / env).mkdir(parents=True)
    train = {"objectives": ["clip", "cultureclip"], "seeds": [1], "hard_negatives": wanted}
    (tmp_path / "conf/base/parameters_train.yml").write_text(yaml.safe_dump({"train": train}))
    note_config(SessionConfig(str(tmp_path / "conf"), None))
    try:
        assert ("culture_instances" in create_pipeline().inputs()) == wanted
    finally:
        note_config(None)


def test_what_the_pipeline_reads_cannot_be_changed_by_params():
    check_hard_negatives(built=True, wanted=True)
    with pytest.raises(ConfigurationError, match="--params cannot change"):
        check_hard_negatives(built=False, wanted=True)
