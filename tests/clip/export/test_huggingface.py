import html
import json
import shutil
import unicodedata

import ftfy
import numpy as np
import open_clip
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from cultureclip.clip.export.checkpoint import save_checkpoint
from cultureclip.clip.export.hf_config import to_clip_config
from cultureclip.clip.export.hf_names import from_clip_model, to_clip_model
from cultureclip.clip.export.hf_processing import to_tokenizer
from cultureclip.clip.export.huggingface import from_huggingface, to_huggingface
from cultureclip.errors import StorageError, WeightsError
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, load_encoder
from cultureclip.models.weights.locate import locate
from tests.clip.export.test_checkpoint import make_checkpoint
from tests.support.tiny_clip import WORDS, write_tiny_clip
from tests.support.tiny_paper import write_tiny_openai_clip

TEXTS = ["a red kimono", "Taco of silk,  in the PICTURE!", WORDS, "日本 🇯🇵 crème brûlée", "1,234 it's &c"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    to_huggingface(write_tiny_clip(folder / "source"), folder / "hf")
    return folder / "hf"


@pytest.fixture
def hf(converted, tmp_path):
    """A CLIPModel's folder that a test may change."""
    return shutil.copytree(converted, tmp_path / "hf")


def pictures():
    rng = np.random.default_rng(0)
    sizes = [(40, 24, 3), (16, 16, 3), (20, 60, 3)]
    return [Image.fromarray(rng.integers(0, 255, size).astype(np.uint8)) for size in sizes]


def assert_same_embeddings(folder, encoder):
    model = CLIPModel.from_pretrained(folder).eval()
    processor = CLIPProcessor.from_pretrained(folder, backend="pil")
    inputs = processor(images=pictures(), text=TEXTS, return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        got = model(**inputs)
    np.testing.assert_allclose(got.image_embeds, encoder.encode_images(pictures()), rtol=0, atol=1e-4)
    np.testing.assert_allclose(got.text_embeds, encoder.encode_texts(TEXTS), rtol=0, atol=1e-4)
    assert float(model.logit_scale.detach()) == float(encoder.model.logit_scale.detach())
    return model


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_embeddings_are_the_same_there_and_back(tmp_path, quick_gelu):
    source = write_tiny_clip(tmp_path / "source", quick_gelu=quick_gelu)
    to_huggingface(source, tmp_path / "hf")
    encoder = load_encoder(source)
    model = assert_same_embeddings(tmp_path / "hf", encoder)
    activations = {model.config.text_config.hidden_act, model.config.vision_config.hidden_act}
    assert activations == {"quick_gelu" if quick_gelu else "gelu"}
    from_huggingface(tmp_path / "hf", tmp_path / "back")
    back = load_encoder(tmp_path / "back")
    want, got = encoder.model.state_dict(), back.model.state_dict()
    assert set(want) == set(got)
    assert all(torch.equal(want[name], got[name]) for name in want)
    assert np.array_equal(back.encode_images(pictures()), encoder.encode_images(pictures()))
    assert np.array_equal(back.encode_texts(TEXTS), encoder.encode_texts(TEXTS))


def test_open_clips_own_tokenizer_and_cropping(tmp_path):
    source = write_tiny_openai_clip(tmp_path / "source")
    to_huggingface(source, tmp_path / "hf")
    encoder = load_encoder(source)
    model = assert_same_embeddings(tmp_path / "hf", encoder)
    assert model.config.text_config.eos_token_id == 49407
    assert {"vocab.json", "merges.txt", "tokenizer.json"} <= {p.name for p in (tmp_path / "hf").iterdir()}
    from_huggingface(tmp_path / "hf", tmp_path / "back")
    back = load_encoder(tmp_path / "back")
    np.testing.assert_allclose(back.encode_images(pictures()), encoder.encode_images(pictures()), rtol=0, atol=1e-5)
    np.testing.assert_allclose(back.encode_texts(TEXTS), encoder.encode_texts(TEXTS), rtol=0, atol=1e-5)


def test_the_pocket_base_and_a_merged_checkpoint(tmp_path):
    base = locate("package:cultureclip/pocket/weights/base_clip")
    to_huggingface(base, tmp_path / "hf")
    assert_same_embeddings(tmp_path / "hf", load_encoder(base))
    checkpoint, adapted = make_checkpoint(write_tiny_clip(tmp_path / "tiny"))
    save_checkpoint(checkpoint, tmp_path / "out")
    to_huggingface(tmp_path / "out" / "merged", tmp_path / "tuned")
    assert_same_embeddings(tmp_path / "tuned", adapted)


OWN = SimpleTokenizer()
CONVERTED = to_tokenizer(SimpleTokenizer(context_length=20), "OpenAI's")
LETTERS = "abcstXYZéüñøß 日本語كتابдомกขฃ012789.,!?-_'\"&#;@%()…😀🇯🇵\t\n½²"


@given(st.text(st.sampled_from(LETTERS), max_size=60))
@settings(max_examples=300, deadline=None)
def test_ids_are_those_of_open_clips_tokenizer(text):
    assume(ftfy.fix_text(html.unescape(html.unescape(text))) == unicodedata.normalize("NFC", text))
    want = OWN(text, context_length=20)[0].tolist()
    got = CONVERTED(text, padding="max_length", truncation=True)["input_ids"]
    end = want.index(OWN.eot_token_id) + 1
    assert got[:end] == want[:end]
    assert set(got[end:]) <= {OWN.eot_token_id}


@pytest.mark.parametrize("legacy", [False, True])
def test_texts_are_pooled_at_the_end_token(hf, tmp_path, legacy):
    """Which need not be the highest id; in old configs it is, and is written as 2."""
    model = CLIPModel.from_pretrained(hf)
    if not legacy:
        tokenizer = CLIPTokenizer.from_pretrained(hf)
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(7)
        tokenizer.save_pretrained(hf)
    model.config.text_config.eos_token_id = 2 if legacy else 7
    model.save_pretrained(hf)
    from_huggingface(hf, tmp_path / "back")
    back, model = load_encoder(tmp_path / "back").model, CLIPModel.from_pretrained(hf).eval()
    highest = model.config.text_config.vocab_size - 1
    tokens = torch.tensor([[1, 9, highest, 7, 7, 0], [1, highest, 5, 9, 7, 0]])
    padded = torch.nn.functional.pad(tokens, (0, back.context_length - 6))
    with torch.no_grad():
        want = model.get_text_features(input_ids=tokens).pooler_output
        torch.testing.assert_close(back.encode_text(padded), want, rtol=0, atol=1e-5)
    assert back.text_pool_type == ("argmax" if legacy else "eos")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("vision_cfg", {"timm_model_name": "vit_base_patch16_224"}, "timm_model_name 'vit_base"),
        ("vision_cfg", {"layers": [1, 1, 1, 1]}, "vision_cfg.layers"),
        ("vision_cfg", {"image_size": [16, 32]}, "vision_cfg.image_size"),
        ("vision_cfg", {"attentional_pool": True}, "attentional_pool"),
        ("vision_cfg", {"a_setting_of_tomorrow": 1}, "a_setting_of_tomorrow"),
        ("text_cfg", {"pool_type": "last"}, "pool_type 'last'"),
        ("text_cfg", {"hf_model_name": "roberta-base", "no_causal_mask": True}, "hf_model_name .*no_causal_mask"),
        ("text_cfg", {"tokenizer_kwargs": {"strip_sep_token": True}}, "tokenizer_kwargs"),
        (None, {"init_logit_bias": -10}, "init_logit_bias"),
        (None, {"custom_text": True}, "custom_text"),
    ],
)
def test_what_clip_model_does_not_have_is_named(tmp_path, part, change, message):
    source = write_tiny_clip(tmp_path / "source")
    path = source / CONFIG_NAME
    config = json.loads(path.read_text())
    (config["model_cfg"][part] if part else config["model_cfg"]).update(change)
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=f"CLIPModel has no .*{message}"):
        to_huggingface(source, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_a_resize_that_the_processor_does_not_have_is_refused(tmp_path):
    source = write_tiny_clip(tmp_path / "source")
    path = source / CONFIG_NAME
    path.write_text(path.read_text().replace("squash", "longest"))
    with pytest.raises(WeightsError, match="CLIPImageProcessor cannot do 16 x 16, longest"):
        to_huggingface(source, tmp_path / "hf")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision_config": {"hidden_act": "relu"}, "text_config": {"hidden_act": "relu"}}, "hidden_act 'relu'"),
        ({"text_config": {"hidden_act": "quick_gelu"}}, "text_config.hidden_act 'quick_gelu'"),
        ({"vision_config": {"layer_norm_eps": 1e-6}}, "vision_config.layer_norm_eps 1e-06"),
    ],
)
def test_what_open_clip_does_not_have_is_named(hf, tmp_path, changes, message):
    config = CLIPConfig.from_pretrained(hf)
    for part, change in changes.items():
        for name, value in change.items():
            setattr(getattr(config, part), name, value)
    config.save_pretrained(hf)
    with pytest.raises(WeightsError, match=f"open_clip's CLIP has no .*{message}"):
        from_huggingface(hf, tmp_path / "back")


@pytest.mark.parametrize(
    "change",
    [{"size": {"height": 32, "width": 32}}, {"do_normalize": False}, {"resample": 0}, {"do_center_crop": True}],
)
def test_other_preprocessing_is_refused(hf, tmp_path, change):
    given = CLIPImageProcessor.from_pretrained(hf).to_dict() | {"crop_size": {"height": 8, "width": 8}}
    CLIPImageProcessor(**given | change).save_pretrained(hf)
    with pytest.raises(WeightsError, match="no preprocessing to 16 px"):
        from_huggingface(hf, tmp_path / "back")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("model.safetensors", "no CLIPModel in safetensors"),
        ("config.json", "no CLIPModel in safetensors"),
        ("tokenizer.json", "end token is"),
        ("preprocessor_config.json", "no image processor"),
    ],
)
def test_missing_files_are_named(hf, tmp_path, file, message):
    for name in (file, "vocab.json", "merges.txt", "tokenizer_config.json") if "tokenizer" in file else (file,):
        (hf / name).unlink()
    with pytest.raises(WeightsError, match=message):
        from_huggingface(hf, tmp_path / "back")
    assert [p.name for p in tmp_path.iterdir() if "back" in p.name] == []


def test_damaged_weights_are_refused(hf, tmp_path):
    path = hf / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsError, match="no CLIPModel in safetensors"):
        from_huggingface(hf, tmp_path / "back")
    source = write_tiny_clip(tmp_path / "source")
    (source / WEIGHTS_NAME).unlink()
    with pytest.raises(WeightsError, match="safetensors"):
        to_huggingface(source, tmp_path / "again")
    with pytest.raises(WeightsError, match="not an open_clip config"):
        to_huggingface(tmp_path / "nowhere", tmp_path / "again")


def test_nothing_is_overwritten(hf, tmp_path):
    source = write_tiny_clip(tmp_path / "source")
    before = {p.name: p.read_bytes() for p in hf.iterdir()}
    with pytest.raises(StorageError, match="exists already"):
        to_huggingface(source, hf)
    with pytest.raises(StorageError, match="exists already"):
        from_huggingface(hf, source)
    assert {p.name: p.read_bytes() for p in hf.iterdir()} == before


def test_vit_b_32_has_a_place_for_every_tensor(tmp_path):
    """The real architecture against the real ``CLIPModel``, without weights."""
    config = open_clip.get_model_config("ViT-B-32-quickgelu")
    with torch.device("meta"):
        model = CLIP(**config)
        twin = CLIPModel(to_clip_config(config, CONVERTED, tmp_path))
    renamed = to_clip_model(model.state_dict())
    assert {n: t.shape for n, t in renamed.items()} == {n: t.shape for n, t in twin.state_dict().items()}
    back = from_clip_model(renamed, model.state_dict())
    assert {n: t.shape for n, t in back.items()} == {n: t.shape for n, t in model.state_dict().items()}
