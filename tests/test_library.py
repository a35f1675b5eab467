"""The public interface: light to import, complete, and as its page says."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cultureclip
from tests.support.tiny_clip import write_tiny_clip

PAGE = Path(__file__).parents[1] / "docs/library.md"


def test_the_examples_of_the_page_run(tmp_path):
    base = write_tiny_clip(tmp_path / "base")
    size = cultureclip.load_encoder(base).model.visual.image_size
    draw = np.random.default_rng(0)
    names = {
        "BASE": base,
        "FOLDER": tmp_path,
        "SIZE": size if isinstance(size, int) else size[0],
        "PICTURES": [Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(5)],
    }
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 9
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["picture"].tobytes() == names["PICTURES"][0].tobytes()
    assert 0 <= names["estimate"].low <= names["estimate"].value <= names["estimate"].high <= 1


def test_every_public_name_is_on_the_page_and_every_provisional_one_is_marked():
    page = PAGE.read_text(encoding="utf-8")
    for name in cultureclip.__all__:
        if name != "PROVISIONAL":
            assert name in page, name
            assert getattr(cultureclip, name) is not None
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    for title, text in sections.items():
        used = {name for name in cultureclip.PROVISIONAL if f"cultureclip.{name}" in text}
        assert bool(used) == ("provisional" in title), title


def test_public_names_have_docstrings():
    for name in set(cultureclip.__all__) - {"OBJECTIVES", "PROVISIONAL"}:
        assert getattr(cultureclip, name).__doc__, name


def test_importing_the_library_loads_neither_torch_nor_kedro():
    code = "import sys, cultureclip; print({'torch', 'kedro', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'twin_serch'"):
        _ = cultureclip.twin_serch
