from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cultureclip import pocket
from cultureclip.clip.data.batches import TwinData, draw_rows, make_batch, prepare, step_generator
from cultureclip.clip.data.towers import crop_tokens, encode_text, tokenize
from cultureclip.clip.settings import AugmentationSettings, TextSettings
from cultureclip.errors import ConfigurationError, StorageError, TrainingError
from cultureclip.ids import digest
from cultureclip.models.encoder import load_encoder
from tests.clip.conftest import make_rows
from tests.support.tiny_clip import write_tiny_clip

TEXTS = TextSettings()
FAR = AugmentationSettings(zoom=0.3, shift=0.1, colour=0.2, crop_area=(0.5, 1), mirror=0.5)


def test_every_distinct_text_once_and_scattered_to_its_row(encoder, rows_and_images):
    rows, images = rows_and_images
    data = prepare(rows, images, encoder, TextSettings(concept_template="the {concept}"), 0.0)
    chosen = torch.tensor([5, 0, 3, 8])
    batch = make_batch(data, chosen, encoder)
    table = rows.set_index("row_id").loc[batch.row_ids]
    texts = encoder.model.encode_text(data.tokens, normalize=True)
    assert len(batch.tokens) == len(torch.unique(batch.tokens, dim=0)) < 16
    embedded = encode_text(encoder.model, batch.tokens)
    for place, side in enumerate(("pos", "neg")):
        for field, places in (("caption", batch.captions), ("concept", batch.concepts)):
            written = [t if field == "caption" else f"the {t}" for t in table[f"{side}_{field}"]]
            want = encoder.model.encode_text(encoder.tokenizer(written), normalize=True)
            torch.testing.assert_close(embedded[places[place]], want, rtol=0, atol=1e-5)
    assert len(texts) == len(data.tokens)


def test_pixels_without_augmentation_are_the_models_own_preprocessing(encoder, rows_and_images):
    rows, images = rows_and_images
    data = prepare(rows, images, encoder, TEXTS, 0.0)
    batch = make_batch(data, torch.arange(4), encoder)
    ids = [*rows["pos_image_id"][:4], *rows["neg_image_id"][:4]]
    want = torch.stack([encoder.preprocess(i.convert("RGB")) for i in images.read(ids)])
    torch.testing.assert_close(batch.pixels(), want, rtol=0, atol=1e-6)


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


class Tokenizer:
    """Words of one letter as tokens from 2 on; padding is 0, and an end token, where there is one, is 1."""

    def __init__(self, ends, left=False, context_length=4):
        self.ends, self.left, self.context_length = ends, left, context_length

    def __call__(self, texts, context_length):
        rows = []
        for text in texts:
            words = [ord(word) for word in text.split()][: context_length - self.ends] + [1] * self.ends
            padding = [0] * (context_length - len(words))
            rows.append(padding + words if self.left else words + padding)
        return torch.tensor(rows)


@pytest.mark.parametrize(("ends", "left"), [(False, False), (True, False), (False, True), (True, True)])
def test_cut_texts_are_found_wherever_a_tokenizer_pads_and_ends(ends, left):
    """Towers that are not CLIP's own; the model has room for more tokens than it was trained at."""
    model, tokenizer, fits = SimpleNamespace(context_length=9), Tokenizer(ends, left), ["a", "a b c d"[: 7 - 2 * ends]]
    tokens, cut = tokenize(model, tokenizer, fits, "error")
    assert tokens.shape == (2, 4) and cut == 0
    _, cut = tokenize(model, tokenizer, [*fits, fits[1] + " e", "a b c d e f g h i j k"], "truncate")
    assert cut == 2
    with pytest.raises(ConfigurationError, match="context of 4 tokens"):
        tokenize(model, tokenizer, ["a b c d e"], "error")


def test_unreadable_images_are_listed_and_their_rows_left_out(encoder, rows_and_images):
    rows, images = rows_and_images
    broken = rows["neg_image_id"][2]
    missing = rows["pos_image_id"][5]
    images.data[broken] = images.data[broken][:60]
    del images.data[missing]
    data = prepare(rows, images, encoder, TEXTS, 0.2)
    assert sorted(data.unreadable) == sorted([broken, missing])
    assert data.row_ids == [r for i, r in enumerate(rows["row_id"]) if i not in {2, 5}]
    assert data.unreadable[missing].startswith("KeyError") and "truncated" in data.unreadable[broken]
    rest = make_batch(data, torch.arange(len(data.row_ids)), encoder)
    assert rest.pixels().flatten(1).std(dim=1).min() > 0
    with pytest.raises(TrainingError, match=r"2 of 32 images cannot be read, more than 5\.0%; the first: "):
        prepare(rows, images, encoder, TEXTS, 0.05)


def test_no_readable_row_is_an_error(encoder):
    rows, images = make_rows(2, 0)
    images.data[rows["pos_image_id"][0]] = images.data[rows["neg_image_id"][1]] = b"no image"
    with pytest.raises(TrainingError, match="none of 2 rows"):
        prepare(rows, images, encoder, TEXTS, 0.9)


def test_as_released_rows_of_unreadable_images_are_kept_and_shown_as_zeros(encoder, rows_and_images):
    rows, images = rows_and_images
    for identifier in rows["neg_image_id"][:10]:
        images.data[identifier] = b"no image"
    data = prepare(rows, images, encoder, TEXTS, 0.0, zeros_for_unreadable=True)
    assert data.row_ids == list(rows["row_id"]) and len(data.unreadable) == 10
    shown = make_batch(data, torch.arange(16), encoder, FAR, step_generator(1, 1)).pixels().unflatten(0, (2, 16))
    assert not shown[1, :10].any()
    assert shown[0].flatten(1).any(1).all() and shown[1, 10:].flatten(1).any(1).all()


def test_a_slice_of_a_batch_has_the_bits_of_the_whole(encoder, rows_and_images):
    data = prepare(*rows_and_images, encoder, TEXTS, 0.0, mirrorable=set(rows_and_images[0]["pos_concept_id"]))
    rows = torch.tensor([5, 0, 3, 8, 1])
    batch = make_batch(data, rows, encoder, FAR, step_generator(1, 7))
    whole = batch.pixels()
    assert batch.count == len(whole) == 10
    for size in (1, 3, 4, 7):
        parts = [batch.pixels(slice(start, start + size)) for start in range(0, batch.count, size)]
        assert torch.equal(torch.cat(parts), whole)
    again = make_batch(data, rows, encoder, FAR, step_generator(1, 7))
    assert torch.equal(again.pixels(slice(3, 6)), whole[3:6])
    other = make_batch(data, rows, encoder, FAR, step_generator(1, 8))
    assert not torch.equal(other.pixels(), whole)


def test_pictures_that_are_not_to_change_keep_their_bits_and_draw_the_same_numbers(encoder, rows_and_images):
    data, rows = prepare(*rows_and_images, encoder, TEXTS, 0.0), torch.tensor([5, 0, 3])
    generators = [step_generator(1, 7) for _ in range(2)]
    still, _ = (
        make_batch(data, rows, encoder, settings, generator)
        for settings, generator in zip((AugmentationSettings.none(), FAR), generators, strict=True)
    )
    assert torch.equal(still.pixels(), make_batch(data, rows, encoder).pixels())
    assert torch.equal(*(generator.get_state() for generator in generators))


def test_flags_and_images_that_show_a_flag_too_are_never_mirrored(encoder):
    rows, images = make_rows()
    shared = rows["pos_image_id"][0]
    rows.loc[1, "neg_image_id"] = shared  # a picture of a kimono that stands for a flag in another row
    flag = set(rows.loc[rows["neg_concept"] == "flag of Chad", "neg_image_id"])
    allowed = {digest(name) for name in ("kimono", "taco", "torii")}
    data = prepare(rows, images, encoder, TEXTS, 0.0, mirrorable=allowed)
    always = AugmentationSettings.none().model_copy(update={"mirror": 1.0})
    as_they_are = make_batch(data, torch.arange(16), encoder).pixels()
    ids = [*rows["pos_image_id"], *rows["neg_image_id"]]
    for seed in range(5):
        shown = make_batch(data, torch.arange(16), encoder, always, step_generator(seed, 0)).pixels()
        for image_id, before, after in zip(ids, as_they_are, shown, strict=True):
            want = before if image_id in flag else before.flip(-1)
            torch.testing.assert_close(after, want, rtol=0, atol=1e-4)
    assert shared in flag
    assert not prepare(rows, images, encoder, TEXTS, 0.0).mirrorable.any()


@pytest.mark.parametrize("cached", [True, False])
def test_saved_data_give_another_process_the_same_batches(encoder, rows_and_images, tmp_path, cached):
    rows, images = rows_and_images
    images.data[rows["neg_image_id"][2]] = b"no image"
    cache = tmp_path / "cache" if cached else None
    data = prepare(rows, images, encoder, TEXTS, 0.2, cache_dir=cache, mirrorable={digest("taco")})
    data.save(tmp_path / "job" / "train")
    (tmp_path / "job").rename(tmp_path / "moved")
    loaded = TwinData.load(tmp_path / "moved" / "train")
    assert isinstance(loaded.pixels, np.memmap)
    assert (loaded.row_ids, loaded.unreadable, loaded.cut_texts) == (data.row_ids, data.unreadable, data.cut_texts)
    ours, theirs = (make_batch(d, torch.arange(9), encoder, FAR, step_generator(2, 3)) for d in (data, loaded))
    assert torch.equal(ours.pixels(), theirs.pixels())
    for name in ("tokens", "captions", "concepts", "images"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name))
    pixels = next((cache or tmp_path / "moved" / "train").glob("*.npy"))
    pixels.write_bytes(pixels.read_bytes()[:-1])
    with pytest.raises(StorageError, match=rf"{pixels.name}: not a whole file of pixels.*Start the training again"):
        TwinData.load(tmp_path / "moved" / "train")


def test_rows_of_an_epoch_are_distinct_and_depend_on_seed_and_step_only():
    epoch = [draw_rows(10, 3, seed=5, step=step) for step in range(3)]
    assert len(np.unique(torch.cat(epoch))) == 9
    assert torch.equal(draw_rows(10, 3, 5, 4), draw_rows(10, 3, 5, 4))
    assert not torch.equal(torch.cat(epoch), torch.cat([draw_rows(10, 3, 5, 3 + s) for s in range(3)]))
    assert not torch.equal(torch.cat(epoch), torch.cat([draw_rows(10, 3, 6, s) for s in range(3)]))
    assert sorted(draw_rows(4, 32, 1, 0).tolist()) == [0, 1, 2, 3]


def test_characters_that_a_tokenizer_does_not_know_are_warned_of(caplog):
    encoder = load_encoder(Path(pocket.__file__).parent / "weights" / "base_clip")
    texts = ["a kimono", "日本の着物", "जापान का किमोनो"]
    with caplog.at_level("WARNING"):
        tokenize(encoder.model, encoder.tokenizer, texts, "truncate")
    (record,) = [record for record in caplog.records if record.name == "cultureclip.clip.data.towers"]
    assert record.getMessage().startswith("1 of 3 texts") and "जापान" in record.getMessage()
