"""Locations of models: every one that cannot be resolved is one kind of error, which names it and the forms."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cultureclip.errors import WeightsError
from cultureclip.models.weights.locate import locate


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\0b", "control characters"),
        ("a\nb", "control characters"),
        ("~nosuch-user/x", "not a path that can be read"),
        ("x" * 5000, "not a path that can be read"),
        ("nosuch/folder", "no such file"),
        ("package:", "not the name of a module"),
        ("package:..", "not the name of a module"),
        ("package:.x/y", "not the name of a module"),
        ("package:a b/y", "not the name of a module"),
        ("package:nosuch_package/y", "is not installed"),
        ("package:nosuch_package.inner/y", "is not installed"),
        ("package:sys/y", "is not installed"),
        ("package:os.path/y", "is not installed"),
        ("package:cultureclip/../../etc", "leads out of the package"),
        ("package:cultureclip//etc/passwd", "leads out of the package"),
        ("package:cultureclip/pocket\\..\\..\\x", "leads out of the package"),
        ("package:cultureclip/a\0b", "leads out of the package"),
        ("package:cultureclip/nosuch", "does not exist"),
        ("hf:", "not the name of a repository"),
        ("hf:@main", "not the name of a repository"),
        ("hf:../../etc@main", "not the name of a repository"),
        ("hf:a/b/c@main", "not the name of a repository"),
        ("hf:a--b/c..d@main", "not the name of a repository"),
        ("hf:a/b", "no revision"),
        ("hf:a/b@", "no revision"),
        ("hf:a/b@../../../etc", "is not a revision"),
        ("hf:a/b@/etc", "is not a revision"),
        ("hf:a/b@ma\0in", "is not a revision"),
        ("hf:a/b@" + "0" * 40, "not in the local cache"),
    ],
)
def test_a_location_that_cannot_be_resolved_is_named_with_cause_and_remedy(spec: str, cause: str) -> None:
    with pytest.raises(WeightsError, match=cause) as refused:
        locate(spec)
    assert refused.value.item
    assert refused.value.remedy
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 6000


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_entered_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(WeightsError, match="Permission denied"):
        locate(str(tmp_path / "closed" / "model"))


def test_locations_of_each_form_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model é").mkdir()
    assert locate(str(tmp_path / "model é")) == locate("~/model é")
    weights = locate("package:cultureclip/pocket/weights")
    assert weights.is_dir()
    snapshot = tmp_path / "hub" / "models--o--n" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    code = f"from cultureclip.models.weights.locate import locate; print(locate('hf:o/n@{'0' * 40}'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == snapshot
