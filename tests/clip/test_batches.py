import numpy as np
import pytest
import torch

from cultureclip.clip.batches import augment, draw_rows, make_batch, prepare, step_generator
from cultureclip.clip.settings import AugmentationSettings, TextSettings
from cultureclip.clip.towers import crop_tokens, encode_text
from cultureclip.errors import ConfigurationError, TrainingError
from cultureclip.models.encoder import load_encoder
from tests.clip.conftest import make_rows
from tests.support.tiny_clip import write_tiny_clip

TEXTS = TextSettings()


def test_every_distinct_text_once_and_scattered_to_its_row(encoder, rows_and_images):
    rows, images = rows_and_images
    data = prepare(rows, images, encoder, TextSettings(concept_template="the {concept}"), 0.0)
    chosen = torch.tensor([5, 0, 3, 8])
    batch = make_batch(data, chosen, encoder)
    table = rows.set_index("row_id").loc[batch.row_ids]
    texts = encoder.model.encode_text(data.tokens, normalize=True)
    assert len(batch.tokens) == len(torch.unique(batch.tokens, dim=0)) < 16
    embedded = encode_text(encoder.model, batch.tokens)
    for half, side in enumerate(("pos", "neg")):
        for field, places in (("caption", batch.captions), ("concept", batch.concepts)):
            written = [t if field == "caption" else f"the {t}" for t in table[f"{side}_{field}"]]
            want = encoder.model.encode_text(encoder.tokenizer(written), normalize=True)
            torch.testing.assert_close(embedded[places[half]], want, rtol=0, atol=1e-5)
    assert len(texts) == len(data.tokens)


def test_pixels_without_augmentation_are_the_models_own_preprocessing(encoder, rows_and_images):
    rows, images = rows_and_images
    data = prepare(rows, images, encoder, TEXTS, 0.0)
    batch = make_batch(data, torch.arange(4), encoder)
    ids = [*rows["pos_image_id"][:4], *rows["neg_image_id"][:4]]
    want = torch.stack([encoder.preprocess(i.convert("RGB")) for i in images.read(ids)])
    torch.testing.assert_close(batch.pixels, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("text", ["", "taco", "a red kimono in the picture"])
def test_cropping_tokens_is_exact(encoder, text):
    tokens = encoder.tokenizer([text, "taco"])
    cropped = crop_tokens(encoder.model, tokens)
    assert cropped.shape[1] < tokens.shape[1]
    want = encoder.model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(encode_text(encoder.model, cropped), want, rtol=0, atol=1e-5)


def test_tokens_are_left_whole_where_later_ones_matter(encoder):
    tokens = encoder.tokenizer(["taco"])
    encoder.model.attn_mask = None
    assert crop_tokens(encoder.model, tokens) is tokens


def test_a_caption_beyond_the_context_is_refused_or_cut_and_counted(tmp_path, rows_and_images):
    rows, images = rows_and_images
    short = load_encoder(write_tiny_clip(tmp_path / "short", context_length=8))
    with pytest.raises(ConfigurationError, match="context of 8 tokens"):
        prepare(rows, images, short, TEXTS, 0.0)
    data = prepare(rows, images, short, TextSettings(long_caption="truncate"), 0.0)
    assert 0 < data.cut_texts < len(data.tokens)


def test_unreadable_images_are_listed_and_their_rows_left_out(encoder, rows_and_images):
    rows, images = rows_and_images
    broken = rows["neg_image_id"][2]
    missing = rows["pos_image_id"][5]
    images.data[broken] = images.data[broken][:60]
    del images.data[missing]
    data = prepare(rows, images, encoder, TEXTS, 0.2)
    assert sorted(data.unreadable) == sorted([broken, missing])
    assert data.row_ids == [r for i, r in enumerate(rows["row_id"]) if i not in {2, 5}]
    assert len(data.pixels) == 2 * len(rows) - 2
    rest = make_batch(data, torch.arange(len(data.row_ids)), encoder)
    assert rest.pixels.flatten(1).std(dim=1).min() > 0
    with pytest.raises(TrainingError, match="2 of 32 images"):
        prepare(rows, images, encoder, TEXTS, 0.05)


def test_no_readable_row_is_an_error(encoder):
    rows, images = make_rows(2, 0)
    images.data[rows["pos_image_id"][0]] = images.data[rows["neg_image_id"][1]] = b"no image"
    with pytest.raises(TrainingError, match="none of 2 rows"):
        prepare(rows, images, encoder, TEXTS, 0.9)


def test_augmentation_is_drawn_from_the_generator_and_never_mirrors():
    ramp = torch.linspace(0, 1, 16).expand(32, 3, 16, 16).contiguous()
    settings = AugmentationSettings(zoom=0.3, shift=0.1, colour=0.2)
    first, second = (augment(ramp, settings, step_generator(1, 7)) for _ in range(2))
    other = augment(ramp, settings, step_generator(1, 8))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert (first[..., -1] > first[..., 0]).all()
    assert float(first.min()) >= 0 and float(first.max()) <= 1
    still = augment(ramp, AugmentationSettings(zoom=0, shift=0, colour=0), step_generator(1, 7))
    torch.testing.assert_close(still, ramp, rtol=0, atol=1e-5)


def test_rows_of_an_epoch_are_distinct_and_depend_on_seed_and_step_only():
    epoch = [draw_rows(10, 3, seed=5, step=step) for step in range(3)]
    assert len(np.unique(torch.cat(epoch))) == 9
    assert torch.equal(draw_rows(10, 3, 5, 4), draw_rows(10, 3, 5, 4))
    assert not torch.equal(torch.cat(epoch), torch.cat([draw_rows(10, 3, 5, 3 + s) for s in range(3)]))
    assert not torch.equal(torch.cat(epoch), torch.cat([draw_rows(10, 3, 6, s) for s in range(3)]))
    assert sorted(draw_rows(4, 32, 1, 0).tolist()) == [0, 1, 2, 3]
