"""Whatever bit of a kept file changes: it is read as it was written, or it is refused or made again by name."""

from pathlib import Path

import pytest

from tests.support.fuzz import EQUAL, KINDS, MISSING, TYPED


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_is_taken_for_content_or_raises_a_bare_error(kind: str, tmp_path: Path) -> None:
    found = KINDS[kind](tmp_path, 300)
    assert found.keys() <= {EQUAL, TYPED, MISSING}, found
    assert found[TYPED] > 30
