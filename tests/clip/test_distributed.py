"""Training on several processes, started as the product starts them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import torch

from cultureclip.clip.launch import launch_command
from cultureclip.clip.settings import LaunchSettings, LoraSettings, ReplaySettings, RunSettings, TrainerSettings
from cultureclip.errors import TrainingError
from tests.clip.conftest import general_pairs, make_rows
from tests.clip.test_trainer import train

ROOT = Path(__file__).parents[2]


def settings(processes=1, chunk=None, dropout=0.0, **trainer):
    return RunSettings(
        lora=LoraSettings(rank=2, alpha=4, dropout=dropout),
        trainer=TrainerSettings(
            **({"steps": 6, "batch": 4, "lr": 0.01, "warmup_steps": 2, "eval_every": 3, "chunk": chunk} | trainer)
        ),
        replay=ReplaySettings(batch=3, weight=2.0),
        launch=LaunchSettings(processes=processes),
    )


@pytest.fixture(scope="module")
def one_process(base_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return train(*make_rows(), base_folder, folder, settings=settings(anchor=1.0), general=general_pairs())


@pytest.mark.parametrize("chunk", [None, 1])
def test_two_processes_equal_one_big_batch(one_process, base_folder, tmp_path, chunk):
    """World 2 x chunk 1 of 4 twins, and world 2 without chunks, end where one process ends that sees all of them."""
    own = settings(2, chunk, anchor=1.0)
    checkpoint, log = train(*make_rows(), base_folder, tmp_path, settings=own, general=general_pairs())
    expected, expected_log = one_process
    for name, tensor in expected.adapter.items():
        torch.testing.assert_close(checkpoint.adapter[name], tensor, atol=2e-5, rtol=1e-3)
    assert [row["step"] for row in log] == [row["step"] for row in expected_log] == [0, 3, 6]
    for row, other in zip(log[1:], expected_log[1:], strict=True):
        for field in ("loss", "dev_loss"):
            assert row[field] == pytest.approx(other[field], rel=1e-4)
    assert not list(tmp_path.glob("*/job"))


def test_killed_group_goes_on_to_the_same_bits(base_folder, tmp_path):
    """All processes are killed between two saved states; the rerun ends bit for bit as an undisturbed one."""
    own = settings(2, dropout=0.2, steps=40, eval_every=2)
    whole, _ = train(*make_rows(), base_folder, tmp_path / "whole", settings=own, general=general_pairs())
    script = f"""
        from pathlib import Path
        from tests.clip import test_distributed as t
        own = t.settings(2, dropout=0.2, steps=40, eval_every=2)
        base, work = Path({str(base_folder)!r}), {str(tmp_path / "cut")!r}
        t.train(*t.make_rows(), base, work, settings=own, general=t.general_pairs())
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "cut").glob("*/state.safetensors")):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    for process in [*psutil.Process(running.pid).children(recursive=True), psutil.Process(running.pid)]:
        process.send_signal(signal.SIGKILL)
    running.wait()
    assert not list((tmp_path / "cut").glob("*/adapter.safetensors"))
    resumed, _ = train(*make_rows(), base_folder, tmp_path / "cut", settings=own, general=general_pairs())
    for name, tensor in whole.adapter.items():
        assert torch.equal(resumed.adapter[name], tensor), name


def test_an_error_in_the_processes_reaches_the_caller_typed(base_folder, tmp_path):
    own = settings(2, lr=1.0, max_grad_norm=1e30, steps=50, warmup_steps=0, weight_decay=10)
    own = own.model_copy(update={"lora": own.lora.model_copy(update={"alpha": 1e3})})
    rows, images = make_rows()
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf)") as caught:
        train(rows, images, base_folder, tmp_path, settings=own, general=general_pairs())
    assert "s3, step" in str(caught.value)
    fault = json.loads(next(tmp_path.glob("*/not_finite.json")).read_text())
    assert set(fault["row_ids"]) <= set(rows["row_id"])


def test_a_process_that_dies_is_reported(base_folder, tmp_path, monkeypatch):
    own, dying = settings(2), [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr("cultureclip.clip.launch.launch_command", lambda *_: dying)
    with pytest.raises(TrainingError, match=r"a process of 2 died \(exit code 3\)"):
        train(*make_rows(), base_folder, tmp_path, settings=own, general=general_pairs())


def test_machines_meet_where_the_settings_say():
    command = launch_command(LaunchSettings(processes=4, nodes=2, rendezvous="head:29400"), Path("/shared/key/job"))
    assert "--nnodes=2" in command and "--nproc-per-node=4" in command and "--rdzv-endpoint=head:29400" in command
    assert command[-3:] == ["-m", "cultureclip.clip.worker", "/shared/key/job"]
