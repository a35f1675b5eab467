"""References and styles by name: what is of a scheme, and what is a path."""

import numpy as np
import pytest

from cultureclip.pictures.registry import MOST_STYLES, SCHEMES, find_scheme, find_style


@pytest.mark.parametrize(
    "reference",
    ["", "emoji", "pictures/kimono.jpg", "emoji/kimono.jpg", r"C:\kimono.jpg", "Emoji:👘", " emoji:👘", ":👘"],
)
def test_what_names_no_scheme_is_a_path(reference: str) -> None:
    assert find_scheme(reference) is None
    assert find_style(reference) is None


def test_a_reference_gives_scheme_and_drawing() -> None:
    assert find_scheme("emoji:👘") == (SCHEMES["emoji"], "👘")
    assert find_style("twemoji:👘") == (SCHEMES["emoji"], "twemoji", "👘")
    assert find_scheme("emoji:a:b") == (SCHEMES["emoji"], "a:b")


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_every_scheme_keeps_its_promises(scheme) -> None:
    what = sorted(scheme.list_all())[100]
    drawn = [scheme.draw(what, style, 24) for style in scheme.styles]
    assert all(picture.shape == (24, 24, 3) and picture.dtype == np.uint8 for picture in drawn)
    assert all(scheme.locate(what, style).is_file() for style in scheme.styles)
    assert scheme.find([f"{scheme.name}:{what}", "a/path.png", f"x{scheme.name}:{what}"]) == {what}
    general = {other for other, _ in scheme.list_general({what})}
    assert what not in general
    assert general < scheme.list_all()
    assert len(scheme.styles) <= MOST_STYLES


def test_a_style_is_of_one_scheme() -> None:
    styles = [style for scheme in SCHEMES.values() for style in scheme.styles]
    assert len(set(styles)) == len(styles)
    assert not set(styles) & set(SCHEMES)
