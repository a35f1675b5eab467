"""Reference pictures: what is refused, and which are alike to the pixel."""

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.concepts.looks import (
    choose_representatives,
    embed_pictures,
    find_alike,
    read_pictures,
    stack_embeddings,
)
from cultureclip.errors import SourceDataError
from cultureclip.models.encoder import load_encoder
from cultureclip.pictures.emoji import STYLES, list_emoji, render
from tests.support.tiny_clip import write_tiny_clip


@pytest.mark.parametrize("tolerance", [0.0, 0.5, 20.0])
def test_find_alike_equals_comparing_all_pairs(tolerance: float) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (12, 6, 6, 3), dtype=np.uint8)
    near = np.clip(pictures[:5].astype(int) + rng.integers(-1, 2, pictures[:5].shape), 0, 255).astype(np.uint8)
    pictures = np.concatenate([pictures, near, pictures[:2], 255 - pictures[:2]])
    naive = [
        (i, j)
        for i, j in combinations(range(len(pictures)), 2)
        if np.abs(pictures[i].astype(float) - pictures[j]).mean() <= tolerance
    ]
    assert find_alike(pictures, tolerance) == naive
    assert naive


def test_flags_drawn_alike_are_found_and_look_alikes_are_not() -> None:
    codes = ["TD", "RO", "ID", "MC", "PL", "IE", "CI", "NO", "SJ", "ML", "GN"]
    chars = ["".join(chr(ord(c) + 0x1F1A5) for c in code) for code in codes]
    assert set(chars) <= {e.char for e in list_emoji()}
    concepts = pd.DataFrame({"concept_id": codes, "cultures": [[code] for code in codes]})
    styles = [np.stack([render(char, style, 48) for char in chars]) for style in STYLES]
    stands_for = dict(zip(codes, choose_representatives(concepts, styles, 0.5), strict=True))
    assert stands_for["TD"] == stands_for["RO"]
    assert stands_for["MC"] == stands_for["ID"] == "ID"
    assert stands_for["SJ"] == stands_for["NO"] == "NO"
    for alone in ("PL", "IE", "CI", "ML", "GN"):
        assert stands_for[alone] == alone


def test_representative_does_not_depend_on_the_style_that_shows_it() -> None:
    picture, other = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 99, np.uint8)
    concepts = pd.DataFrame({"concept_id": ["a", "b", "c"], "cultures": [["SJ"], ["NO"], ["JP"]]})
    alike_in_first = np.stack([picture, picture, other])
    different = np.stack([picture, picture + 50, other + 80])
    for styles in ([alike_in_first, different], [different, alike_in_first]):
        assert choose_representatives(concepts, styles, 0.5) == ["b", "b", "c"]


def test_mirrored_pictures_get_one_look(tmp_path: Path) -> None:
    judge = load_encoder(write_tiny_clip(tmp_path / "judge"))
    flag = np.zeros((1, 16, 16, 3), np.uint8)
    flag[:, :, :5], flag[:, :, 11:] = (0, 150, 60), (250, 130, 0)
    pair = np.concatenate([flag, flag[:, :, ::-1]])
    plain = embed_pictures(judge, pair, ())
    looks = embed_pictures(judge, pair, ("left_right", "upside_down", "half_turn"))
    assert plain[0] @ plain[1] < 0.9999
    assert looks[0] @ looks[1] == pytest.approx(1, abs=1e-5)
    assert np.allclose(np.linalg.norm(looks, axis=1), 1, atol=1e-6)


def test_own_picture_is_padded_to_a_square_on_white(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(path)
    pictures = read_pictures(str(path), 16)
    assert len(pictures) == len(STYLES)
    assert pictures[0].shape == (16, 16, 3)
    assert tuple(pictures[0][0, 8]) == (255, 255, 255)
    assert tuple(pictures[0][8, 8]) == (255, 0, 0)


def test_a_reference_of_16_bits_is_scaled_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_pictures(str(tmp_path / "deep.png"), 16)[0][..., 0], deep >> 8)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(SourceDataError, match=r"pipe\.png: picture is a named pipe, not a regular file"):
        read_pictures(str(tmp_path / "pipe.png"), 16)


def test_bad_pictures_are_refused_by_name(tmp_path: Path) -> None:
    whole, truncated, lying = (tmp_path / name for name in ("whole.png", "truncated.png", "lying.png"))
    Image.effect_noise((64, 64), 50).save(whole)
    truncated.write_bytes(whole.read_bytes()[:800])
    lying.write_text("<svg onload=alert(1)>")
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(bomb)
    for path in (truncated, lying, bomb):
        with pytest.raises(SourceDataError, match=path.name):
            read_pictures(str(path), 16)


def test_embeddings_of_two_judges_are_refused() -> None:
    vectors = [np.ones(4, np.float32), np.ones(4, np.float32), np.ones(6, np.float32)]
    looks = pd.DataFrame({"embedding": vectors, "judge": "one"})
    assert stack_embeddings(looks[:2]).shape == (2, 4)
    with pytest.raises(SourceDataError, match=r"embeddings have 4 and 6 numbers: they are of different judges"):
        stack_embeddings(looks)


def test_embeddings_of_two_judges_of_one_width_are_refused() -> None:
    looks = pd.DataFrame({"embedding": [np.ones(4, np.float32)] * 2, "judge": ["one", "other"]})
    with pytest.raises(SourceDataError, match=r"its embeddings are of 2 different judges.*run mining again"):
        stack_embeddings(looks)


def test_a_table_that_names_no_judges_is_refused() -> None:
    with pytest.raises(SourceDataError, match="does not say whose embeddings it holds"):
        stack_embeddings(pd.DataFrame({"embedding": [np.ones(4, np.float32)]}))
