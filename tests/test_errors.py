"""Errors carry item, cause and remedy, also across process borders."""

import pickle

import pytest

from cultureclip import errors

TYPES = [t for t in vars(errors).values() if isinstance(t, type) and issubclass(t, errors.CultureClipError)]


@pytest.mark.parametrize("kind", TYPES)
def test_an_error_survives_pickling(kind: type[errors.CultureClipError]) -> None:
    error = kind("row 7", "it has no culture", "Add one")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == "row 7: it has no culture. Add one"
    assert (again.item, again.cause, again.remedy) == ("row 7", "it has no culture", "Add one")
