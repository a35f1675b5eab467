"""Damage files one bit at a time and sort what their readers do about it.

``python -m tests.support.fuzz [FLIPS]`` prints a table for every kind of file that the project keeps.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import CultureClipError
from cultureclip.ids import digest
from cultureclip.images.records import encode_image
from cultureclip.images.store import ShardStore
from cultureclip.models.weights.checkpoint import (
    load_tensors,
    load_training_state,
    save_atomically,
    save_training_state,
)

EQUAL, TYPED, MISSING, WRONG = "as written", "typed error", "counts as missing", "WRONG"


def flips(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies of a file, each with one bit changed: the first and last 4 KiB often, since headers lie there."""
    rng = random.Random(seed)
    edge = min(4096, len(content))
    for number in range(count):
        places = (rng.randrange(edge), len(content) - 1 - rng.randrange(edge), rng.randrange(len(content)))
        changed = bytearray(content)
        changed[places[number % 3]] ^= 1 << rng.randrange(8)
        yield bytes(changed)


def outcomes(file: Path, count: int, read: Callable[[], str]) -> Counter[str]:
    """What reading does for each damage; ``read`` gives one of the outcomes above or raises."""
    content, found = file.read_bytes(), Counter[str]()
    for damaged in flips(content, count):
        file.write_bytes(damaged)
        try:
            found[read()] += 1
        except CultureClipError:
            found[TYPED] += 1
        except Exception as error:
            found[f"BARE {type(error).__name__}: {error}"[:100]] += 1
    file.write_bytes(content)
    return found


def fuzz_keyed_store(folder: Path, count: int) -> Counter[str]:
    """An answer store of 300 rows."""
    answers = {digest("key", n): {"text": f"a red kimono, number {n}", "whole": n % 2 == 0} for n in range(300)}
    path = folder / "answers.sqlite"
    KeyedStore(path).put(answers)

    def read() -> str:
        for log in folder.glob("answers.sqlite-*"):  # what SQLite could not write back into a damaged file
            log.unlink()
        found = KeyedStore(path).get(answers)
        if any(answers.get(key) != value for key, value in found.items()):
            return WRONG
        return EQUAL if len(found) == len(answers) else MISSING

    return outcomes(path, count, read)


def fuzz_image_part(folder: Path, count: int) -> Counter[str]:
    """A part of 12 pictures, listed, its checksums read, its pictures decoded."""
    rng = np.random.default_rng(0)
    pictures = {
        digest("image", n): Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)) for n in range(12)
    }
    records = [encode_image("a" + name[1:], picture, 4, {"torch": "x"}) for name, picture in pictures.items()]
    expected = {record.image_id: record for record in records}
    part = ShardStore(folder / "store").write_part("a", records)
    checksum = part.with_name(part.name + ".sha256")
    confirmed = checksum.read_bytes()

    def read() -> str:
        for leftover in part.parent.glob("*.damaged"):
            leftover.unlink()
        checksum.write_bytes(confirmed)
        store = ShardStore(folder / "store")
        present = store.present()
        if set(expected) - present:
            return MISSING
        if store.checksums(list(expected)) != {name: record.sha256 for name, record in expected.items()}:
            return WRONG
        read = store.read(list(expected))
        same = all(encode_image(i, read[i], 4, {}).sha256 == expected[i].sha256 for i in expected)
        return EQUAL if same else WRONG

    return outcomes(part, count, read)


def _trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.Linear(16, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        model(torch.ones(2, 12)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def _everything(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    state = [tensor.tolist() for tensor in model.state_dict().values()]
    return state + [{k: t.tolist() for k, t in optimizer.state[p].items()} for p in model.parameters()]


def fuzz_training_state(folder: Path, count: int) -> Counter[str]:
    """A training state, loaded into a fresh model and optimiser that then do a step."""
    path = folder / "state.safetensors"
    model, optimizer = _trained()
    save_training_state(path, model, optimizer, 3)
    expected = _everything(model, optimizer)

    def read() -> str:
        torch.manual_seed(1)
        fresh = torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.Linear(16, 4))
        again = torch.optim.AdamW(fresh.parameters(), lr=0.1)
        step = load_training_state(path, fresh, again)
        same = step == 3 and _everything(fresh, again) == expected
        fresh(torch.ones(2, 12)).square().sum().backward()
        again.step()
        return EQUAL if same else WRONG

    return outcomes(path, count, read)


def fuzz_adapter(folder: Path, count: int) -> Counter[str]:
    """A file of tensors."""
    path = folder / "adapter.safetensors"
    tensors = {"a": torch.arange(600.0).reshape(20, 30), "b": torch.ones(5, dtype=torch.bfloat16), "c": torch.tensor(3)}
    save_atomically(tensors, path, {"note": "x"})

    def read() -> str:
        found, metadata = load_tensors(path)
        same = found.keys() == tensors.keys() and all(
            torch.equal(found[name], tensors[name]) and found[name].dtype == tensors[name].dtype for name in tensors
        )
        return EQUAL if same and metadata.get("note") == "x" else WRONG

    return outcomes(path, count, read)


KINDS = {
    "keyed store": fuzz_keyed_store,
    "image part": fuzz_image_part,
    "training state": fuzz_training_state,
    "adapter": fuzz_adapter,
}


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for kind, fuzz in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            for outcome, number in fuzz(Path(folder), count).most_common():
                print(f"{kind:15} {outcome:20} {number}")


if __name__ == "__main__":
    main()
