import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models import shared_prefix, text
from cultureclip.models.chat.request import Answer, Request, Sampling, Turn
from cultureclip.models.diffusion.sampling import common_prefix, draw
from cultureclip.models.precision import fast_dtype, native_dtype
from cultureclip.models.settings import LanguageModelSettings
from cultureclip.models.text import LanguageModel, load_language_model
from tests.support.tiny_llama import open_language_model, write_tiny_llama

EXAMPLES = [{"role": "system", "content": "the robe of Japan"}, {"role": "user", "content": "kimono"}]
ITEMS = ["kimono", "red sari from India with a long cloth", "a robe", "w1 w2 w3 w4 w5 w6 w7", "wide sleeves"]
PROMPTS = [[*EXAMPLES, {"role": "assistant", "content": "A"}, {"role": "user", "content": item}] for item in ITEMS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def model(folder) -> LanguageModel:
    return open_language_model(folder, dtype="float32", batch=2)


def plain_answer(model: LanguageModel, prompt, new_tokens: int) -> str:
    inputs = torch.tensor([model._encode(prompt)])
    output = model.model.generate(inputs, max_new_tokens=new_tokens, do_sample=False, pad_token_id=0)
    return model.tokenizer.decode(output[0, inputs.shape[1] :], skip_special_tokens=True).strip()


def requests(prompts, seeds, tokens: int, temperature: float = 0.0, top_p: float = 1.0, stop: str | None = "\n"):
    sampling = Sampling(max_tokens=tokens, temperature=temperature, top_p=top_p, stop=stop)
    return [
        Request(turns=tuple(Turn(m["role"], (m["content"],)) for m in prompt), seed=seed, sampling=sampling)
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]


def log_odds(model, items: list[str], options: tuple[str, str] = ("A", "B")) -> np.ndarray:
    prompts = [[*EXAMPLES, {"role": "user", "content": item}] for item in items]
    scored = dict(pair for part in model.score(requests(prompts, [0] * len(items), 1), options) for pair in part)
    return np.array([first - second for first, second in (scored[place] for place in range(len(items)))])


def ask(model: LanguageModel, prompts, seeds, *settings: float) -> list[str]:
    """What the model answers, in the order of the prompts."""
    answers = dict(pair for part in model.stream(requests(prompts, seeds, *settings)) for pair in part)
    return [answers[i].text for i in range(len(prompts))]


def test_greedy_equals_plain_transformers(model):
    answers = ask(model, PROMPTS, [0] * len(PROMPTS), 12)
    assert answers == [plain_answer(model, prompt, 12) for prompt in PROMPTS]
    assert len(set(answers)) > 1


def test_one_prompt_alone_is_answered(model):
    assert ask(model, PROMPTS[:1], [0], 8) == [plain_answer(model, PROMPTS[0], 8)]


def test_no_prompts_no_answers(model):
    assert ask(model, [], [], 8) == []
    assert log_odds(model, []).shape == (0,)


def test_answer_depends_on_own_seed_only(model):
    def sample(prompts, seeds):
        return ask(model, prompts, seeds, 10, 1.0, 0.95)

    together = sample(PROMPTS, [1, 2, 3, 4, 5])
    assert sample(PROMPTS, [1, 9, 8, 7, 6])[0] == together[0]
    assert sample(PROMPTS[::-1], [5, 4, 3, 2, 1]) == together[::-1]
    assert [sample([prompt], [seed])[0] for prompt, seed in zip(PROMPTS, [1, 2, 3, 4, 5], strict=True)] == together
    assert sample(PROMPTS, [11, 12, 13, 14, 15]) != together


def test_stream_gives_every_prompt_once_in_small_batches(model):
    parts = list(model.stream(requests(PROMPTS, [0] * 5, 4)))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert sorted(i for part in parts for i, _ in part) == [0, 1, 2, 3, 4]


def test_score_equals_naive_forward(model):
    scored = log_odds(model, ITEMS)
    a, b = (model.tokenizer.convert_tokens_to_ids(option) for option in "AB")
    for item, value in zip(ITEMS, scored, strict=True):
        inputs = torch.tensor([model._encode([*EXAMPLES, {"role": "user", "content": item}])])
        with torch.no_grad():
            logits = model.model(inputs).logits[0, -1].log_softmax(0)
        assert value == pytest.approx(float(logits[a] - logits[b]), abs=1e-4)
    np.testing.assert_allclose(log_odds(model, ITEMS, ("B", "A")), -scored, atol=1e-5)


def test_option_of_two_tokens_is_refused(model):
    with pytest.raises(ConfigurationError, match="not one token"):
        log_odds(model, ["kimono"], ("A B", "B"))


def test_an_answer_says_whether_the_model_ended_it(model):
    def answer(seed: int, most: int) -> Answer:
        return next(model.stream(requests(PROMPTS[:1], [seed], most, 1.0)))[0][1]

    seed = next(seed for seed in range(200) if answer(seed, 2).finish == "length" and answer(seed, 12).finish == "stop")
    stepwise = [answer(seed, most) for most in range(1, 20)]
    ended = [step.finish == "stop" for step in stepwise]
    assert ended == sorted(ended)
    assert len({step.text for step in stepwise[ended.index(True) :]}) == 1


def test_what_is_computed_once_does_not_depend_on_which_prompts_are_left(model):
    alike = [[*PROMPTS[0][:-1], {"role": "user", "content": f"a red robe {word}"}] for word in ("w1", "w2", "w3")]
    lengths = {shared.get_seq_length() for part in (PROMPTS, alike, alike[:1]) for _, shared, _ in model._batches(part)}
    assert len(lengths) == 1
    assert lengths.pop() >= 10


def test_draw_follows_the_nucleus():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(4000, 1)
    generators = [torch.Generator().manual_seed(seed) for seed in range(4000)]
    shares = torch.bincount(draw(logits, generators, 1.0, 0.7), minlength=4) / 4000
    np.testing.assert_allclose(shares.numpy(), [0.5 / 0.8, 0.3 / 0.8, 0, 0], atol=0.03)
    generators = [torch.Generator().manual_seed(seed) for seed in range(4000)]
    shares = torch.bincount(draw(logits, generators, 1.0, 1.0), minlength=4) / 4000
    np.testing.assert_allclose(shares.numpy(), [0.5, 0.3, 0.15, 0.05], atol=0.03)


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [([[1, 2, 3], [1, 2, 4]], 2), ([[1, 2, 3], [1, 2]], 1), ([[1, 2, 3]], 2), ([[1], [1]], 0), ([[5, 1], [6, 1]], 0)],
)
def test_common_prefix_leaves_each_a_token(sequences, expected):
    assert common_prefix(sequences) == expected


def test_fingerprint_changes_with_bytes_and_dtype(folder, tmp_path):
    first = open_language_model(folder, dtype="float32").fingerprint
    assert open_language_model(write_tiny_llama(tmp_path / "same"), dtype="float32").fingerprint == first
    assert open_language_model(write_tiny_llama(tmp_path / "other", seed=1), dtype="float32").fingerprint != first
    assert open_language_model(folder, dtype="bfloat16").fingerprint != first


@pytest.mark.parametrize("name", ["merges.txt", "tokenizer.model", "chat_template.jinja"])
def test_another_tokenizer_is_another_model(tmp_path, name):
    folder = write_tiny_llama(tmp_path)
    first = open_language_model(folder, dtype="float32").fingerprint
    (folder / name).write_text("a b")
    second = open_language_model(folder, dtype="float32").fingerprint
    (folder / name).write_text("b a c")
    assert len({first, second, open_language_model(folder, dtype="float32").fingerprint}) == 3


def test_an_unchanged_file_is_hashed_once_in_a_process(folder, monkeypatch):
    first = open_language_model(folder, dtype="float32").fingerprint
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("a file was read again"))
    assert open_language_model(folder, dtype="float32").fingerprint == first


def test_pickled_weights_are_refused_with_the_conversion(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(WeightsError, match="save_pretrained"):
        open_language_model(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        open_language_model(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="no safetensors"):
        open_language_model(tmp_path)
    with pytest.raises(WeightsError, match="no such weights file"):
        open_language_model(tmp_path, gguf_file="model.gguf")
    with pytest.raises(WeightsError, match="not a GGUF"):
        open_language_model(tmp_path, gguf_file="model.bin")


def break_by_truncation(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def break_by_missing_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path, {"format": "pt"})


def break_by_other_shapes(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 64'))


@pytest.mark.parametrize("break_it", [break_by_truncation, break_by_missing_tensor, break_by_other_shapes])
def test_broken_weights_are_a_typed_error(tmp_path, break_it):
    break_it(write_tiny_llama(tmp_path))
    with pytest.raises(WeightsError, match=str(tmp_path)):
        _ = open_language_model(tmp_path, dtype="float32").model


def test_a_model_that_does_not_fit_on_its_device(folder, monkeypatch):
    def full(_self, _device):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 16.00 GiB.")

    monkeypatch.setattr(LlamaForCausalLM, "to", full)
    with pytest.raises(ConfigurationError, match=r"does not fit into the memory of cpu.*language_model\.dtype"):
        _ = open_language_model(folder, dtype="float32").model


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a gguf file at all" * 100])
def test_broken_gguf_is_a_typed_error(tmp_path, content):
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(WeightsError, match="does not load"):
        _ = open_language_model(tmp_path, gguf_file="model.gguf").model


def test_fast_dtype_is_that_of_the_device_and_not_of_another_one_in_the_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", {"cuda:0": (7, 5), "cuda:1": (8, 0)}.get)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert fast_dtype("cuda:0") == torch.float32
    assert fast_dtype("cuda:1") == torch.bfloat16
    assert fast_dtype("cpu") == torch.float32


@pytest.mark.parametrize(
    ("processor", "has", "fast"),
    [
        ("Intel Xeon", {"avx512_bf16", "amx_bf16"}, torch.bfloat16),
        ("Intel Xeon", {"avx512_bf16"}, torch.float32),  # AMX hidden by the cloud: half of float32's speed
        ("AMD EPYC 9R14", {"avx512_bf16"}, torch.bfloat16),
        ("AMD EPYC 7R13", set(), torch.float32),
    ],
)
def test_fast_dtype_of_a_processor(monkeypatch, processor, has, fast):
    found = {"cpu_name": processor, **{name: name in has for name in ("avx512_bf16", "amx_bf16")}}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert fast_dtype("cpu") == fast
    assert native_dtype("cpu") == (torch.bfloat16 if has else torch.float32)


def test_a_device_map_changes_no_answer(tmp_path):
    folder = write_tiny_llama(tmp_path)
    asked = [Request(turns=(Turn("user", ("kimono",)),), sampling=Sampling(max_tokens=8), seed=1)]
    models = [
        load_language_model(LanguageModelSettings(path=str(folder), dtype="float32", device_map=device_map))
        for device_map in (None, "auto")
    ]
    first, second = ([answer.text for batch in model.stream(asked) for _, answer in batch] for model in models)
    assert first == second
    assert models[0].fingerprint == models[1].fingerprint


@pytest.mark.parametrize(
    ("quantization", "error", "message"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, ConfigurationError, "requires bitsandbytes"),
        ({"quant_method": "nosuch"}, WeightsError, "nosuch"),
    ],
)
def test_a_quantisation_reaches_the_library_and_its_refusal_is_named(tmp_path, quantization, error, message):
    settings = LanguageModelSettings(path=str(write_tiny_llama(tmp_path)), quantization=quantization)
    model = load_language_model(settings)
    with pytest.raises(error, match=message):
        model.load()
    plain = load_language_model(settings.model_copy(update={"quantization": None}))
    assert model.fingerprint != plain.fingerprint  # kept answers are not those of other weights


def test_a_gguf_file_is_not_quantised_again():
    with pytest.raises(ValueError, match="leave out one of the two"):
        LanguageModelSettings(path="x", gguf_file="y.gguf", quantization={"quant_method": "hqq"})


def test_tokens_that_all_rows_share_are_read_where_they_are_with_the_numbers_of_copies(folder, monkeypatch):
    """Several key heads, rows of several lengths, later tokens, and attention weights in parts."""
    shared = open_language_model(folder, dtype="float32", batch=5)
    monkeypatch.setattr(text, "can_share", lambda _: False)
    copied = open_language_model(folder, dtype="float32", batch=5)
    expected = log_odds(copied, ITEMS), ask(copied, PROMPTS, [1, 2, 3, 4, 5], 12, 1.0, 0.95)
    monkeypatch.undo()
    for most in (shared_prefix.MOST_WEIGHTS, 200):
        monkeypatch.setattr(shared_prefix, "MOST_WEIGHTS", most)
        np.testing.assert_allclose(log_odds(shared, ITEMS), expected[0], atol=1e-5)
        assert ask(shared, PROMPTS, [1, 2, 3, 4, 5], 12, 1.0, 0.95) == expected[1]


def test_only_models_whose_layers_see_all_tokens_share_them(folder):
    model = open_language_model(folder, dtype="float32").model
    assert shared_prefix.can_share(model)
    model.config.layer_types = ["full_attention", "sliding_attention"]
    assert not shared_prefix.can_share(model)
    model.config.layer_types, model.config.model_type = None, "gemma3_text"
    assert not shared_prefix.can_share(model)
