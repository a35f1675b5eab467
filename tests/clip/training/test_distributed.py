"""Training on several processes, started as the product starts them.

``torchrun``, Ray and two processes take seconds to start: what does not need them is run in a group of forked ones.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from pydantic import ValidationError

from cultureclip.clip.launch_settings import LaunchSettings
from cultureclip.clip.settings import LoraSettings, ReplaySettings, RunSettings, TrainerSettings
from cultureclip.clip.training import launch, ray_train, worker
from cultureclip.clip.training.distributed import Group
from cultureclip.clip.training.training_log import read_log
from cultureclip.errors import StorageError, TrainingError
from tests.clip.conftest import general_pairs, make_rows
from tests.clip.trainings import train
from tests.support.processes import run_group


def settings(processes=1, chunk=None, **trainer):
    return RunSettings(
        lora=LoraSettings(rank=2, alpha=4, dropout=0.0),
        trainer=TrainerSettings(
            **({"steps": 6, "batch": 4, "lr": 0.01, "warmup_steps": 2, "eval_every": 3, "chunk": chunk} | trainer)
        ),
        replay=ReplaySettings(batch=3, weight=2.0),
        launch=LaunchSettings(processes=processes),
    )


def run(base_folder, folder, own):
    return train(*make_rows(), base_folder, folder, settings=own, general=general_pairs())


@pytest.fixture(scope="module")
def one_process(base_folder, tmp_path_factory):
    return run(base_folder, tmp_path_factory.mktemp("one"), settings(anchor=1.0))


@pytest.fixture(scope="module")
def two_processes(base_folder, tmp_path_factory):
    """Each embeds its half of the batch at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch.subprocess, "run", run_group)
        return run(base_folder, tmp_path_factory.mktemp("two"), settings(2, anchor=1.0))


@pytest.fixture(scope="module")
def in_ray():
    """Settings of the same on two workers of a Ray that is started here."""
    ray = pytest.importorskip("ray")
    yield settings(2, anchor=1.0).model_copy(update={"launch": LaunchSettings(kind="ray", processes=2)})
    ray.shutdown()


def assert_equal_trainings(found, expected):
    (checkpoint, log), (other, other_log) = found, expected
    for name, tensor in other.adapter.items():
        torch.testing.assert_close(checkpoint.adapter[name], tensor, atol=2e-5, rtol=1e-3)
    assert [row["step"] for row in log] == [row["step"] for row in other_log] == [0, 3, 6]
    for row, same in zip(log[1:], other_log[1:], strict=True):
        for field in ("loss", "dev_loss"):
            assert row[field] == pytest.approx(same[field], rel=1e-4)


def test_two_processes_equal_one_big_batch(one_process, two_processes):
    assert_equal_trainings(two_processes, one_process)


def test_two_processes_with_chunks_equal_one_big_batch(one_process, base_folder, tmp_path, monkeypatch):
    """World 2 x chunk 1 of 4 twins."""
    monkeypatch.setattr(launch.subprocess, "run", run_group)
    assert_equal_trainings(run(base_folder, tmp_path, settings(2, 1, anchor=1.0)), one_process)
    assert not list(tmp_path.glob("*/job"))


def test_two_machines_that_meet_equal_one_process(one_process, base_folder, tmp_path, monkeypatch, caplog):
    """Two agents of torchrun meet at a port of this machine; the second runs the command that the log names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = f"127.0.0.1:{free.getsockname()[1]}"
    real, others = subprocess.run, []

    def run_on_both(command, env, check):
        named = shlex.split(caplog.messages[-1].partition("in this folder: ")[2])
        assert named[0] == "python"
        others.append(subprocess.Popen([sys.executable, *named[1:]], env=env))
        return real(command, env=env, check=check)

    monkeypatch.setattr(launch.subprocess, "run", run_on_both)
    own = settings(anchor=1.0).model_copy(update={"launch": LaunchSettings(nodes=2, rendezvous=meeting)})
    with caplog.at_level("INFO", launch.__name__):
        found = run(base_folder, tmp_path, own)
    assert [other.wait(60) for other in others] == [0]
    assert_equal_trainings(found, one_process)


def test_killed_group_goes_on_to_the_same_bits(two_processes, base_folder, tmp_path, monkeypatch):
    """A process kills itself between two saved states; the rerun, by torchrun, ends bit for bit as undisturbed."""
    dying = """
        import os, signal, sys
        from pathlib import Path
        from cultureclip.clip.training import worker
        from cultureclip.clip.training.trainer import Trainer
        real = Trainer._step
        def step(self, optimizer, number):
            if number == 4 and self.group.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, optimizer, number)
        Trainer._step = step
        sys.exit(worker.main(Path(sys.argv[1])))
    """
    script = tmp_path / "dying.py"
    script.write_text(textwrap.dedent(dying))

    def dying_command(*arguments):
        *torchrun, _, _, folder = real(*arguments)
        return [*torchrun, str(script), folder]

    real = launch.launch_command
    monkeypatch.setattr(launch, "launch_command", dying_command)
    own = settings(2, anchor=1.0)
    with pytest.raises(TrainingError, match=r"a process of 2 died"):
        run(base_folder, tmp_path / "cut", own)
    monkeypatch.setattr(launch, "launch_command", real)
    folder = next((tmp_path / "cut").glob("*/state.safetensors")).parent
    assert [row["step"] for row in read_log(folder / "log.jsonl")] == [0, 3] and (folder / "job").exists()
    resumed, log = run(base_folder, tmp_path / "cut", own)
    assert [row["step"] for row in log] == [0, 3, 6]
    for name, tensor in two_processes[0].adapter.items():
        assert torch.equal(resumed.adapter[name], tensor), name


def test_two_workers_of_ray_equal_one_process(one_process, in_ray, base_folder, tmp_path):
    handler, here = signal.getsignal(signal.SIGINT), Path.cwd()
    assert_equal_trainings(run(base_folder, tmp_path, in_ray), one_process)
    assert not list(tmp_path.glob("*/job"))
    assert (signal.getsignal(signal.SIGINT), Path.cwd()) == (handler, here)


def test_a_killed_worker_of_ray_ends_the_training_which_then_goes_on(
    two_processes, in_ray, base_folder, tmp_path, monkeypatch
):
    real = ray_train._train_here

    def dying(where):
        from cultureclip.clip.training.trainer import Trainer

        step = Trainer._step

        def die(self, optimizer, number):
            if number == 4 and self.group.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, optimizer, number)

        Trainer._step = die
        real(where)

    monkeypatch.setattr(ray_train, "_train_here", dying)
    with pytest.raises(TrainingError, match=r"a process of 2 died"):
        run(base_folder, tmp_path, in_ray)
    monkeypatch.setattr(ray_train, "_train_here", real)
    assert [row["step"] for row in read_log(next(tmp_path.glob("*/log.jsonl")))] == [0, 3]
    resumed, log = run(base_folder, tmp_path, in_ray)
    assert [row["step"] for row in log] == [0, 3, 6]
    for name, tensor in two_processes[0].adapter.items():
        assert torch.equal(resumed.adapter[name], tensor), name


def test_an_error_in_a_worker_of_ray_reaches_the_caller_typed(in_ray, base_folder, tmp_path):
    own = settings(2, lr=1.0, max_grad_norm=1e30, steps=50, warmup_steps=0, weight_decay=10)
    own = own.model_copy(update={"lora": own.lora.model_copy(update={"alpha": 1e3}), "launch": in_ray.launch})
    with pytest.raises(TrainingError, match=r"s3, step \d+: the (loss|gradient's norm) is (nan|inf)"):
        run(base_folder, tmp_path, own)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"kind": "ray"}, "set processes to 2 or more, and no nodes"),
        ({"kind": "ray", "processes": 2, "nodes": 2, "rendezvous": "head:1"}, "set processes to 2 or more"),
        ({"processes": 2, "cluster": "auto"}, "set kind: ray"),
    ],
)
def test_a_launch_that_contradicts_itself_is_refused(fields, match):
    with pytest.raises(ValidationError, match=match):
        LaunchSettings(**fields)


def test_an_error_in_the_processes_reaches_the_caller_typed(base_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(launch.subprocess, "run", run_group)
    own = settings(2, lr=1.0, max_grad_norm=1e30, steps=50, warmup_steps=0, weight_decay=10)
    own = own.model_copy(update={"lora": own.lora.model_copy(update={"alpha": 1e3})})
    with pytest.raises(TrainingError, match=r"s3, step \d+: the (loss|gradient's norm) is (nan|inf)"):
        run(base_folder, tmp_path, own)
    fault = json.loads(next(tmp_path.glob("*/not_finite.json")).read_text())
    assert set(fault["row_ids"]) <= set(make_rows()[0]["row_id"])


def test_the_error_of_a_process_that_does_not_lead_is_kept(base_folder, tmp_path, monkeypatch):
    """It ends the others, which then have nothing to say."""

    @contextmanager
    def second(backend):
        yield Group(1, 2)

    def failing(*_):
        raise StorageError("pixels.npy", "is gone", "Start again")

    def run_here(command, **_):
        return subprocess.CompletedProcess(command, worker.main(Path(command[-1])))

    monkeypatch.setattr(launch.subprocess, "run", run_here)
    monkeypatch.setattr(worker, "joined_group", second)
    monkeypatch.setattr(worker, "build_trainer", failing)
    with pytest.raises(StorageError, match=r"pixels.npy: is gone"):
        run(base_folder, tmp_path, settings(2))


def test_more_processes_than_twins_are_refused(base_folder, tmp_path):
    with pytest.raises(TrainingError, match=r"3 rows of twins for 4 processes"):
        train(*make_rows(3, 2), base_folder, tmp_path, settings=settings(4), general=general_pairs())


def test_a_process_that_dies_is_reported(base_folder, tmp_path, monkeypatch):
    own, dying = settings(2), [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr(launch, "launch_command", lambda *_: dying)
    with pytest.raises(TrainingError, match=r"a process of 2 died: exit code 3"):
        run(base_folder, tmp_path, own)


def test_a_job_names_no_place_relative_to_this_process(base_folder, tmp_path, monkeypatch):
    """On another machine the worker is started from another folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "launch_command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(TrainingError, match="died"):
        run(Path(os.path.relpath(base_folder)), Path("work"), settings(2))
    job = worker.Job.model_validate_json(next(tmp_path.glob("work/*/job/job.json")).read_text())
    assert (job.base, job.folder.parent) == (base_folder.resolve(), (tmp_path / "work").resolve())


def test_a_group_that_outlived_its_run_is_not_joined_by_a_second(base_folder, tmp_path, monkeypatch):
    own, dying = settings(2), [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr(launch, "launch_command", lambda *_: dying)
    with pytest.raises(TrainingError, match="died"):
        run(base_folder, tmp_path, own)
    key = next(tmp_path.glob("*/job")).parent
    with FileLock(key / worker.GROUP_LOCK), pytest.raises(TrainingError, match="outlived their run still train in"):
        run(base_folder, tmp_path, own)


def test_machines_meet_where_the_settings_say():
    command = launch.launch_command(
        LaunchSettings(processes=4, nodes=2, rendezvous="head:29400"), Path("/shared/key/job")
    )
    assert "--nnodes=2" in command and "--nproc-per-node=4" in command and "--rdzv-endpoint=head:29400" in command
    assert command[-3:] == ["-m", "cultureclip.clip.training.worker", "/shared/key/job"]
