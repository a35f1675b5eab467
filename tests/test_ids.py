import json

import pytest

from cultureclip.ids import Digester, digest


@pytest.mark.parametrize(
    "field", ["", "plain", 'quo"te, comma', "tō 着物", "\ud800", "new\nline", 3, None, ["a", {"b": 1}]]
)
@pytest.mark.parametrize("after", [[], [["user", "words"], [1, 0.0, None], {"z": 1, "a": {"y": 2, "b": 3}}]])
def test_a_digester_gives_the_ids_of_digest(field, after):
    before = ["rating", "model", 7]
    assert Digester(before, after)(field) == digest(*before, field, *after)


def test_an_id_is_that_of_the_fields_as_one_json_list():
    """The serialisation of ids is fixed: stored answers are found by it."""
    import hashlib

    fields = ["rating", {"b": 1, "a": "ō"}, [1.5, None, True]]
    payload = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert payload == '["rating",{"a":"ō","b":1},[1.5,null,true]]'
    assert digest(*fields) == hashlib.sha256(payload.encode()).hexdigest()[:20]
