"""Text, JSON and names from outside: bounded, one kind of line, one Unicode form, and no way out of the folder."""

import json
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.reading.json_text import parse_json, read_object
from cultureclip.reading.names import find_inside, stored_form
from cultureclip.reading.text import RefusedError, decode, first_line, normalise, read_bytes, read_lines, split_lines

NFC, NFD = "café ガ", unicodedata.normalize("NFD", "café ガ")
SEPARATORS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"
LINES = st.lists(
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=("Cs",)) | st.sampled_from(SEPARATORS))
)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_lines_come_back_whatever_is_inside_them(lines: list[str], end: str, ended: bool) -> None:
    if not ended:
        lines = [*lines, "the last, which nothing ends"]
    assert split_lines(end.join([*lines, ""] if ended else lines)) == lines


def test_a_file_of_lines_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    assert read_lines(tmp_path / "a.txt") == ["one", "two"]
    with pytest.raises(RefusedError, match=r"not UTF-8 \(byte 3"):
        decode("caf\xe9".encode("latin-1"))


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_normalising_twice_changes_nothing_more_and_both_forms_become_one(text: str) -> None:
    once = normalise(text)
    assert once == normalise(once) == normalise(unicodedata.normalize("NFD", text))


def test_values_of_every_shape_are_normalised() -> None:
    @dataclass(frozen=True)
    class Named:
        name: str
        more: tuple[str, ...]

    given = {NFD: [NFD, (NFD, 1, None)], "named": Named(NFD, (NFD,)), "bytes": b"\xff", "kind": Named}
    assert normalise(given) == {
        NFC: [NFC, (NFC, 1, None)],
        "named": Named(NFC, (NFC,)),
        "bytes": b"\xff",
        "kind": Named,
    }


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as handle:
        handle.truncate(30 * 2**30)
    with pytest.raises(RefusedError, match=r"32,212,254,720 bytes, more than the 134,217,728 that are read"):
        read_bytes(tmp_path / "sparse")


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(RefusedError, match="not a regular file"):
            read_bytes(path)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON .Exceeds the limit"),
        (b'{"a": "\xff"}', "not UTF-8 .byte 7"),
        (b"null", "not a JSON object, but null"),
        (b"[]", "not a JSON object, but a list"),
        (b"false", "not a JSON object, but true or false"),
        (b"1.5", "not a JSON object, but a number"),
    ],
)
def test_what_is_not_a_json_object_is_refused_with_its_cause(tmp_path: Path, content: bytes, cause: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RefusedError, match=cause):
        read_object(tmp_path / "a.json")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_is_read_as_the_standard_library_reads_it(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("stored", [NFC, NFD])
@pytest.mark.parametrize("named", [NFC, NFD])
def test_a_file_is_found_in_either_form_of_its_name_and_of_its_folder(tmp_path: Path, stored: str, named: str) -> None:
    (tmp_path / stored).mkdir()
    (tmp_path / stored / f"{NFD}.png").write_bytes(b"x")
    assert find_inside(tmp_path, f"{named}/{NFC}.png").read_bytes() == b"x"
    assert stored_form(tmp_path / named / f"{NFC}.png") == tmp_path / stored / f"{NFD}.png"
    assert stored_form(tmp_path / f"{named}.gone") == tmp_path / f"{named}.gone"


@pytest.mark.parametrize("name", ["../a.png", "b/../a.png", "..", "/etc/passwd", "é/../../a.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RefusedError, match="outside the folder"):
        find_inside(tmp_path / "folder", name)


def test_a_link_is_followed_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.png").symlink_to("../blob")
    assert find_inside(tmp_path / "folder", "a.png").read_bytes() == b"x"


def test_a_link_to_nothing_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to("gone.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    for name in ("a.txt", "loop.txt"):
        with pytest.raises(RefusedError, match="a symbolic link whose target is missing"):
            read_bytes(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "gone.txt")


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert first_line(ValueError("one\u2028still one\ntwo")) == "one\u2028still one"
    assert first_line(ValueError()) == first_line(ValueError("\n")) == "ValueError"
