import json
import logging
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cultureclip.engine.settings import EngineSettings
from cultureclip.errors import ConfigurationError
from cultureclip.images import generation
from cultureclip.images.batches import Batch, find_other_batches, plan_missing
from cultureclip.images.requests import plan_requests
from cultureclip.images.store import ShardStore
from cultureclip.images.store_index import PartFacts
from cultureclip.images.worker import generate_halving
from cultureclip.models.diffusion.text_to_image import TextToImage, load_text_to_image
from cultureclip.pipelines.synthesis.nodes import plan_images
from cultureclip.pipelines.synthesis.parameters import SynthesisParameters
from tests.images.conftest import TEXTS
from tests.support.captions import caption_table
from tests.support.tiny_models import TINY_CALL, tiny_settings

ROOT = Path(__file__).parents[2]


def contents(store: ShardStore) -> dict[str, bytes]:
    """Every file of a store's shards, by name."""
    return {str(path.relative_to(store.root)): path.read_bytes() for path in store.root.glob("*/*")}


def hashes(store: ShardStore) -> dict[str, str]:
    return store.checksums(sorted(store.present()))


def child_environment() -> dict[str, str]:
    paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


def test_a_second_run_generates_nothing_and_does_not_load_the_model(requests, generate, tmp_path, monkeypatch):
    store = ShardStore(tmp_path)
    first = generate(requests, store)
    assert (first.planned, first.present, first.generated) == (len(requests), 0, len(requests))
    assert store.present() == set(requests["image_id"])
    before = contents(store)
    monkeypatch.setattr(generation, "ShardWorker", lambda *_: pytest.fail("the model was loaded"))
    second = generate(requests, ShardStore(tmp_path))
    assert (second.present, second.generated, second.made) == (len(requests), 0, 0)
    assert contents(store) == before


def test_any_order_of_requests_gives_the_same_files(requests, generate, tmp_path):
    generate(requests, ShardStore(tmp_path / "a"))
    generate(requests.sample(frac=1, random_state=3), ShardStore(tmp_path / "b"))
    assert contents(ShardStore(tmp_path / "a")) == contents(ShardStore(tmp_path / "b"))


def test_a_pool_gives_the_bytes_of_one_process(requests, generate, tiny_sd3, tmp_path):
    generate(requests, ShardStore(tmp_path / "one"), batch_size=2, part_size=4)
    pool = EngineSettings(kind="pool", workers=2, journal=tmp_path / "jobs")
    settings = tiny_settings(tiny_sd3, batch_size=2, part_size=4)
    report = generation.generate_missing(requests, ShardStore(tmp_path / "many"), settings, pool)
    assert (report.made, report.generated) == (len(requests), len(requests))
    assert contents(ShardStore(tmp_path / "many")) == contents(ShardStore(tmp_path / "one"))


def test_a_changed_caption_regenerates_only_its_images(requests, recipe, generate, tmp_path):
    store = ShardStore(tmp_path / "store")
    generate(requests, store)
    before = hashes(store)
    changed = plan_requests(caption_table([*TEXTS[:-1], "a blue hanbok"]), recipe, 4, 1)
    report = generate(changed, store)
    assert (report.generated, report.present) == (4, len(requests) - 4)
    after = hashes(store)
    assert {name: after[name] for name in before} == before
    fresh = ShardStore(tmp_path / "fresh")
    generate(changed, fresh)
    assert {name: after[name] for name in hashes(fresh)} == hashes(fresh)


@pytest.mark.parametrize("deep", [False, True], ids=["truncated", "one bit"])
def test_a_damaged_part_is_generated_again_with_the_same_bytes(requests, generate, tmp_path, deep, caplog):
    store = ShardStore(tmp_path)
    generate(requests, store)
    before = contents(store)
    part = sorted(store.root.rglob("*.parquet"))[3]
    content = bytearray(part.read_bytes())
    if deep:
        content[100] ^= 1
    part.write_bytes(content if deep else content[:-1])
    fresh = ShardStore(tmp_path)
    fresh.verify()
    assert part.name in caplog.text
    report = generate(requests, fresh)
    assert 0 < report.generated <= 2
    assert {name: data for name, data in contents(fresh).items() if "damaged" not in name} == before


def test_kill_9_at_random_moments_then_a_rerun_equals_an_undisturbed_run(tiny_sd3, recipe, generate, tmp_path):
    plan = plan_requests(caption_table([f"kimono number {n}" for n in range(30)]), recipe, 6, 1)
    whole = ShardStore(tmp_path / "whole")
    generate(plan, whole, batch_size=4, part_size=8)
    plan.to_parquet(tmp_path / "requests.parquet")
    arguments = [tiny_sd3, tmp_path / "killed", tmp_path / "requests.parquet", 4, 8, 8, 20]
    command = [sys.executable, "-m", "tests.support.killed_synthesis", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = [(word, int(count)) for word, count in map(str.split, done.stdout.splitlines())]
    assert steps[-1] == ("ended", len(plan))
    counts = [count for _, count in steps]
    assert counts == sorted(counts), "a rerun lost images"
    assert sum(word == "killed" and 0 < count < len(plan) for word, count in steps) >= 5, "kills missed the work"
    killed = ShardStore(tmp_path / "killed")
    finished = {name: data for name, data in contents(killed).items() if not name.endswith(".tmp")}
    assert hashes(killed) == hashes(whole)
    for name, data in contents(whole).items():
        assert finished[name] == data


def test_batches_are_slices_of_the_plan_whatever_is_present(requests):
    every = {b.ids for task in plan_missing(requests, set(), 3, 3) for b in task.batches}
    assert sorted(i for ids in every for i in ids) == requests["image_id"].tolist()
    rng = random.Random(0)
    for _ in range(20):
        present = set(rng.sample(requests["image_id"].tolist(), rng.randrange(len(requests))))
        tasks = plan_missing(requests, present, 3, 3)
        batches = [batch for task in tasks for batch in task.batches]
        assert {batch.ids for batch in batches} <= every
        assert set().union(*(batch.missing for batch in batches)) == set(requests["image_id"]) - present
        assert all(batch.missing for batch in batches)


class ShortOfMemory(torch.nn.Module):
    """Wraps a transformer so that a batch above a limit asks torch for more memory than there is."""

    def __init__(self, inner: torch.nn.Module, limit: int) -> None:
        super().__init__()
        self.inner, self.limit, self.seen = inner, limit, []

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, hidden_states: torch.Tensor, **inputs):
        self.seen.append(len(hidden_states))
        if len(hidden_states) > self.limit:
            torch.empty(2**55)
        return self.inner(hidden_states=hidden_states, **inputs)


def short_of_memory(path: Path, limit: int) -> TextToImage:
    model = load_text_to_image(path, "cpu", "float32")
    model.pipeline.transformer = ShortOfMemory(model.pipeline.transformer, limit)
    return model


def batch_of(count: int) -> Batch:
    ids = tuple(f"a{place}" for place in range(count))
    return Batch(ids, tuple(f"kimono {place}" for place in range(count)), tuple(range(count)), frozenset(ids))


def test_out_of_memory_halves_the_batch_and_draws_the_same_pictures(tiny_sd3):
    model = short_of_memory(tiny_sd3, limit=2)
    images, size = generate_halving(model, batch_of(7), TINY_CALL)
    assert size == 1  # 7 -> 3 -> 1
    assert model.pipeline.transformer.seen[:2] == [7, 3]
    expected, size = generate_halving(load_text_to_image(tiny_sd3, "cpu", "float32"), batch_of(7), TINY_CALL)
    assert size == 7
    for one, other in zip(images, expected, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1


def test_each_batch_begins_whole_whatever_fitted_before(tiny_sd3):
    model = short_of_memory(tiny_sd3, limit=2)
    generate_halving(model, batch_of(7), TINY_CALL)
    model.pipeline.transformer.limit = 7
    assert generate_halving(model, batch_of(7), TINY_CALL)[1] == 7


def test_the_batch_size_used_is_recorded_for_every_image(requests, generate, tmp_path, tiny_sd3, monkeypatch):
    from cultureclip.models.diffusion import text_to_image

    model = short_of_memory(tiny_sd3, limit=2)
    monkeypatch.setattr(text_to_image, "load_text_to_image", lambda *_: model)
    store = ShardStore(tmp_path)
    one_shard = requests.assign(shard=requests["image_id"].str[:1]).groupby("shard").filter(lambda rows: len(rows) >= 3)
    report = generate(one_shard, store, batch_size=4)
    sizes = pd.concat(pd.read_parquet(part, columns=["batch_size"]) for part in store.root.rglob("*.parquet"))
    sizes = sizes["batch_size"]
    assert set(sizes) <= {1, 2}
    assert report.batch_sizes == sizes.value_counts().to_dict()
    assert report.to_metrics()["images_by_batch_size"] == {str(s): n for s, n in sorted(report.batch_sizes.items())}


def test_a_rerun_with_another_batch_size_says_so_and_keeps_what_is_there(requests, generate, tmp_path, caplog):
    store = ShardStore(tmp_path)
    assert not generate(requests, store, batch_size=4).other
    kept = hashes(store)
    caplog.clear()
    same, other = generate(requests, store, batch_size=4), generate(requests, store, batch_size=1)
    assert (same.generated, other.generated, same.other) == (0, 0, {})
    size_by_id = {
        image_id: min(4, len(rows) - place // 4 * 4)  # a naive count of the slices of each shard's sorted ids
        for _, rows in requests.sort_values("image_id").groupby("shard")
        for place, image_id in enumerate(rows["image_id"])
    }
    assert other.other == Counter(size for size in size_by_id.values() if size != 1)
    (line,) = [r.getMessage() for r in caplog.records if "batches of another size" in r.getMessage()]
    assert line.startswith(f"Synthesis: {other.other.total()} of the images present")
    assert hashes(store) == kept


def test_prompts_embedded_first_give_the_same_pictures_and_are_recorded(requests, generate, tiny_sd3, tmp_path):
    generate(requests, ShardStore(tmp_path / "plain"))
    settings = tiny_settings(tiny_sd3, part_size=4, memory={"text_encoders": "freed", "vae_slicing": False})
    store = ShardStore(tmp_path / "freed")
    report = generation.generate_missing(requests, store, settings)
    assert report.generated == len(requests)
    assert hashes(store) == hashes(ShardStore(tmp_path / "plain"))
    versions = json.loads(store.record(requests["image_id"][0]).versions)
    assert versions["text_encoders"] == "freed"
    assert "vae_slicing" not in versions


def test_padded_batches_have_one_shape(requests, generate, tiny_sd3, tmp_path):
    generate(requests, ShardStore(tmp_path / "plain"), batch_size=4)
    settings = tiny_settings(tiny_sd3, batch_size=4, memory={"pad_batches": True})
    store = ShardStore(tmp_path / "padded")
    report = generation.generate_missing(requests, store, settings)
    assert (report.made, report.batch_sizes) == (len(requests), {4: len(requests)})
    plain, padded = (one.read(sorted(requests["image_id"])) for one in (ShardStore(tmp_path / "plain"), store))
    assert list(plain) == list(padded)
    for image_id, picture in plain.items():
        assert np.abs(np.asarray(picture, int) - np.asarray(padded[image_id], int)).max() <= 1
    assert not generation.generate_missing(requests, store, settings).other


def test_pictures_of_another_batch_size_stay_within_the_stated_tolerance():
    from cultureclip.models.weights.locate import locate

    model = load_text_to_image(locate("package:cultureclip/pocket/weights/generator"), "cpu", "float32")
    call = {"num_inference_steps": 12, "guidance_scale": 1.0, "height": 48, "width": 48, "max_sequence_length": 0}
    prompts, seeds = tuple(f"a red fan, number {n}, in Kyoto" for n in range(8)), tuple(range(8))

    def draw(size: int) -> np.ndarray:
        cuts = [slice(start, start + size) for start in range(0, 8, size)]
        made = [image for cut in cuts for image in model.generate(prompts[cut], seeds[cut], call)]
        return np.stack([np.asarray(image, dtype=np.int16) for image in made])

    alone, together, again = draw(1), draw(8), draw(8)
    assert np.array_equal(together, again)
    assert np.abs(alone - together).max() <= 2


def test_one_image_that_does_not_fit_is_an_error_that_names_it(tiny_sd3):
    with pytest.raises(ConfigurationError, match="image a0: does not fit into memory"):
        generate_halving(short_of_memory(tiny_sd3, limit=0), batch_of(3), TINY_CALL)


def test_other_errors_are_not_taken_for_lack_of_memory(tiny_sd3):
    model = load_text_to_image(tiny_sd3, "cpu", "float32")
    model.pipeline.vae.decoder = torch.nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied|size"):
        generate_halving(model, batch_of(2), TINY_CALL)


def test_a_wrong_call_argument_stops_before_any_work(requests, tiny_sd3, tmp_path):
    settings = tiny_settings(tiny_sd3, call={**TINY_CALL, "stepz": 3})
    with pytest.raises(ConfigurationError, match=r"synthesis\.call\.stepz.*num_inference_steps"):
        generation.generate_missing(requests, ShardStore(tmp_path), settings)
    assert contents(ShardStore(tmp_path)) == {}


def test_a_part_whose_checksum_file_was_deleted_is_named_and_made_again(requests, generate, tmp_path, caplog):
    store = ShardStore(tmp_path)
    generate(requests, store)
    before = contents(store)
    part = sorted(store.root.rglob("*.parquet"))[0]
    part.with_name(part.name + ".sha256").unlink()
    report = generate(requests, ShardStore(tmp_path))
    assert report.generated > 0
    assert sum(part.name in entry.getMessage() for entry in caplog.records) == 1
    assert contents(store) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"call": TINY_CALL | {"stepz": 3}}, r"synthesis\.call\.stepz"),
        ({"scheduler": {"_class_name": "AutoencoderKL"}}, r"synthesis\.scheduler\._class_name"),
        (
            {
                "scheduler": {
                    "_class_name": "FlowMatchEulerDiscreteScheduler",
                    "use_karras_sigmas": True,
                    "use_beta_sigmas": True,
                }
            },
            r"synthesis\.scheduler: ",
        ),
    ],
)
def test_what_the_model_does_not_take_is_refused_before_images_are_planned(tiny_sd3, change, named):
    amounts = {"images_per_caption": 1, "batch_size": 2, "part_size": 2, "shard_digits": 1, "contact_sheet_images": 2}
    values = {"model": str(tiny_sd3), "device": "cpu", "dtype": "float32", "scheduler": None, "verify": True}
    call = {"call": {**TINY_CALL}}
    assert len(
        plan_images(caption_table(TEXTS), pd.DataFrame(), SynthesisParameters(**values | amounts | call))
    ) == len(TEXTS)
    with pytest.raises(ConfigurationError, match=named):
        plan_images(caption_table(TEXTS), pd.DataFrame(), SynthesisParameters(**values | amounts | call | change))


def test_prompts_that_the_model_does_not_read_to_the_end_are_counted_and_nothing_else_is_said(
    recipe, generate, tmp_path, caplog, capfd
):
    long = "a red kimono with white cranes " * 3
    logging.getLogger("diffusers").addHandler(caplog.handler)
    try:
        report = generate(plan_requests(caption_table([*TEXTS, long]), recipe, 2, 1), ShardStore(tmp_path))
    finally:
        logging.getLogger("diffusers").removeHandler(caplog.handler)
    assert report.cut == {long}
    assert report.to_metrics()["prompts_cut"] == 1
    (message,) = [entry.getMessage() for entry in caplog.records]
    assert f"do not read 1 prompts to the end, e.g. {long!r}" in message
    output = "".join(capfd.readouterr())
    assert "<|pad|>" not in output
    assert "indexing errors" not in output


def test_the_plan_of_many_images():
    ids = [f"{n:020x}"[::-1] for n in range(100_000)]
    table = pd.DataFrame({"image_id": ids, "prompt": "p", "seed": 1, "shard": [i[:1] for i in ids]})
    missing = {i for task in plan_missing(table, set(ids[:90_000]), 64, 64) for b in task.batches for i in b.missing}
    assert missing == set(ids[90_000:])


def test_images_of_other_batches_equal_a_count_image_by_image(tmp_path):
    rng = np.random.default_rng(4)
    ids = sorted({f"{value:020x}" for value in rng.integers(0, 2**62, 300).tolist()})
    shards = {image_id: "ab"[int(image_id[-1], 16) % 2] for image_id in ids}
    store = ShardStore(tmp_path)
    stored = [image_id for image_id in ids if rng.random() < 0.7]
    sizes = {image_id: int(rng.choice([4, 2, 1])) for image_id in stored}
    for start in range(0, len(stored), 9):
        part = stored[start : start + 9]
        store.index.add(tmp_path / f"part-{start}", PartFacts(1, tuple(part), tuple(sizes[i] for i in part)))
    plan = {name: [i for i in ids if shards[i] == name] for name in "ab"}
    wanted: Counter[int] = Counter()
    for image_id in stored[:-5]:  # the last ones are not among those present
        members = plan[shards[image_id]]
        first = members.index(image_id) // 4 * 4
        if sizes[image_id] != len(members[first : first + 4]):
            wanted[sizes[image_id]] += 1
    table = pd.DataFrame({"image_id": ids, "shard": [shards[i] for i in ids]}).sample(frac=1, random_state=0)
    assert find_other_batches(table, set(stored[:-5]), store, 4) == wanted
    assert len(wanted) >= 2
