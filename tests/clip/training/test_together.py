"""Several trainings at a time: each as if it had been alone, and none done twice."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from cultureclip.clip.training import together
from cultureclip.clip.training.together import Training, train_together
from cultureclip.engine.settings import EngineSettings
from cultureclip.errors import ConfigurationError, TrainingError
from cultureclip.pipelines.train.parameters import TrainParameters
from tests.clip.conftest import make_rows
from tests.clip.trainings import CARD, SETTINGS, same, train, with_trainer
from tests.support.parameters import load_parameters


def list_trainings(base: Path, work: Path, seeds=(1, 2), settings=SETTINGS) -> list[Training]:
    rows, images = make_rows()
    return [
        Training(
            cultwin=rows,
            images=images,
            general=None,
            base=base,
            card=CARD,
            name=f"cultureclip_s{seed}",
            objective="cultureclip",
            seed=seed,
            settings=settings,
            work_dir=work,
            mirrorable=(),
        )
        for seed in seeds
    ]


@pytest.fixture
def threads_of_a_share():
    """Compute with the threads that each of two workers has, which decide a result's last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(EngineSettings(kind="pool", workers=2).threads_each)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_of_a_share")
def test_two_at_a_time_end_with_the_bits_of_one_alone(base_folder, tmp_path):
    trainings = list_trainings(base_folder, tmp_path / "together")
    train_together(trainings, at_once=2)
    assert all((one.find_folder() / "adapter.safetensors").exists() for one in trainings)
    for one in trainings:
        alone, log = train(*make_rows(), base_folder, tmp_path / "alone", seed=one.seed)
        checkpoint, own_log = one.run()
        assert same(checkpoint.adapter, alone.adapter)
        assert [row.get("loss") for row in own_log] == [row.get("loss") for row in log]


def test_what_is_finished_starts_no_process(base_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "SharedWork", lambda *_: pytest.fail("a process was started"))
    trainings = list_trainings(base_folder, tmp_path)
    train_together(trainings, at_once=1)
    trainings[0].run()
    train_together(trainings, at_once=2)  # one is left, and is done in the run's own process
    trainings[1].run()
    train_together(trainings, at_once=2)
    with pytest.raises(pytest.fail.Exception, match="a process was started"):
        train_together(list_trainings(base_folder, tmp_path, settings=with_trainer(lr=0.02)), at_once=2)


def test_an_error_in_a_process_is_the_error_of_the_run(base_folder, tmp_path):
    wrong = list_trainings(base_folder, tmp_path, settings=with_trainer(patience=2, select_by="dev_loss"))
    for training in wrong:
        training.cultwin["split"] = "train"
    with pytest.raises(ConfigurationError, match="no dev twins to wait for"):
        train_together(wrong, at_once=2)
    few = list_trainings(base_folder, tmp_path)
    for training in few:
        training.cultwin["split"] = "dev"
    with pytest.raises(TrainingError, match="0 twins"):
        train_together(few, at_once=2)


def test_one_training_on_several_processes_is_done_alone(tmp_path):
    values = load_parameters()["train"] | {"work_dir": str(tmp_path), "launch": {"processes": 2}, "at_once": 2}
    with pytest.raises(ValidationError, match="set at_once to 1"):
        TrainParameters.model_validate(values)
    assert TrainParameters.model_validate(values | {"at_once": 1}).launch.processes == 2
