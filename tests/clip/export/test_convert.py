import pytest

from cultureclip.clip.convert import main
from cultureclip.clip.export.checkpoint import open_checkpoint, save_checkpoint
from cultureclip.models.encoder import fingerprint
from tests.clip.export.test_checkpoint import make_checkpoint


def test_every_conversion_runs_from_the_command_line(base_folder, tmp_path):
    checkpoint, _ = make_checkpoint(base_folder)
    save_checkpoint(checkpoint, tmp_path / "out")
    merged = open_checkpoint(tmp_path / "out").merged_path
    for arguments in (
        ["to-huggingface", merged, tmp_path / "hf"],
        ["from-huggingface", tmp_path / "hf", tmp_path / "open_clip"],
        ["to-peft", tmp_path / "out", tmp_path / "peft"],
        ["from-peft", tmp_path / "peft", tmp_path / "back", "--base", base_folder],
    ):
        assert main([str(argument) for argument in arguments]) == 0
    assert open_checkpoint(tmp_path / "back").card.base_fingerprint == fingerprint(base_folder)
    assert (tmp_path / "open_clip" / "open_clip_config.json").is_file()


def test_an_error_is_one_line(base_folder, tmp_path, capsys):
    assert main(["to-huggingface", str(base_folder), str(base_folder)]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"{base_folder}: exists already. Name a new folder, or remove this one\n"
    assert main(["to-peft", str(tmp_path), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["to-huggingface", str(base_folder), str(base_folder / "open_clip_config.json" / "x")]) == 1
    assert "cannot be made (Not a directory: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["from-peft", str(tmp_path), str(tmp_path / "out")])
    assert "--base" in capsys.readouterr().err
