"""Out of memory is recognised by all its names, halves every batch, and says what does not fit at one."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from cultureclip.errors import ConfigurationError
from cultureclip.models.memory import fitting_into_memory, halve_until_it_fits, is_out_of_memory
from cultureclip.models.sentence import SentenceEncoder
from tests.models.test_text import ITEMS, PROMPTS, log_odds, requests
from tests.support.tiny_llama import open_language_model, write_tiny_llama

OUT = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"),
    torch.OutOfMemoryError("Allocation on device 0 would exceed allowed memory."),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other call"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("HIP out of memory. Tried to allocate 512.00 MiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.99 GB, max allowed: 18 GB)"),
    RuntimeError("XPU out of memory. Tried to allocate 1.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 144115188075855872 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("std::bad_alloc"),
    MemoryError(),
    OSError(12, "Cannot allocate memory"),
]
OTHER = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasGemmEx`"),
    OSError(28, "No space left on device"),
    ValueError("a picture of a sign that says out of memory"),
]


@pytest.mark.parametrize("error", OUT, ids=lambda error: str(error)[:40])
def test_every_name_of_it_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)
    tried = []

    def work(batch: int) -> str:
        tried.append(batch)
        if batch > 2:
            raise error
        return "done"

    assert halve_until_it_fits(work, 9) == ("done", 2)
    assert tried == [9, 4, 2]
    with (
        pytest.raises(ConfigurationError, match=r"the thing: does not fit into memory \(.+\)\. Take less"),
        fitting_into_memory("the thing", "Take less"),
    ):
        raise error


@pytest.mark.parametrize("error", OTHER, ids=lambda error: str(error)[:40])
def test_nothing_else_is(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)), fitting_into_memory("the thing", "Take less"):
        raise error


def test_what_torch_itself_raises_here() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert is_out_of_memory(caught.value)


class Narrow(torch.nn.Module):
    """Wraps a language model so that a batch above a limit asks torch for more memory than there is."""

    def __init__(self, inner: torch.nn.Module, limit: int) -> None:
        super().__init__()
        self.inner, self.limit, self.seen = inner, limit, []
        self.device, self.config, self.generation_config = inner.device, inner.config, inner.generation_config

    def forward(self, inputs: torch.Tensor, **settings: object) -> object:
        self.seen.append(len(inputs))
        if len(inputs) > self.limit:
            torch.empty(2**55)
        return self.inner(inputs, **settings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "llama")


def narrow(folder: Path, limit: int, batch: int = 4):
    model = open_language_model(folder, dtype="float32", batch=batch)
    model.__dict__["_loaded"] = (Narrow(model.model, limit), model.tokenizer)
    return model


def test_a_language_model_halves_and_answers_the_same(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = open_language_model(folder, dtype="float32", batch=4)
    short = narrow(folder, limit=1)
    settings = ([1, 2, 3, 4, 5], 8, 1.0, 0.95)
    with caplog.at_level(logging.WARNING):
        found = dict(pair for part in short.stream(requests(PROMPTS, *settings)) for pair in part)
    assert found == dict(pair for part in plain.stream(requests(PROMPTS, *settings)) for pair in part)
    assert caplog.text.count("going on with batches of") == 2, "the size that fitted is kept: 4 -> 2 -> 1, once"
    np.testing.assert_allclose(log_odds(narrow(folder, 2), ITEMS), log_odds(plain, ITEMS), atol=1e-5)


def test_one_prompt_that_does_not_fit_is_a_typed_error(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"llama: does not fit into memory .*language_model\.dtype"):
        list(narrow(folder, limit=0).stream(requests(PROMPTS, [0] * 5, 4)))
    with pytest.raises(ConfigurationError, match="does not fit into memory"):
        log_odds(narrow(folder, limit=0), ITEMS)


def test_a_sentence_encoder_halves(tmp_path: Path) -> None:
    seen = []

    class Narrowed:
        def encode(self, texts: list[str], batch_size: int, **_: object) -> np.ndarray:
            seen.append(batch_size)
            if batch_size > 3:
                torch.empty(2**55)
            return np.eye(len(texts), dtype=np.float32)

    assert SentenceEncoder(Narrowed(), tmp_path).encode([*"abcdefgh"], batch=8).shape == (8, 8)
    assert seen == [8, 4, 2]
