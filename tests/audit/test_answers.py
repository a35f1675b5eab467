"""Which option an answer is: in any script, and never by a number that may be of something else."""

import pytest

from cultureclip.audit.questionnaires.answers import CUT_OFF, OUT_OF_RANGE, REFUSED, UNPARSABLE, read_option, shorten
from cultureclip.models.chat.request import Answer

OPTIONS = ["never", "sometimes", "always"]
REFUSALS = ["I cannot", "as an AI", "申し訳"]


@pytest.mark.parametrize(
    ("text", "option"),
    [
        *(("2", 2), (" 2.\n", 2), ("(2)", 2), ("[3]", 3), ("1)", 1), ("sometimes", 2), ("Sometimes.", 2)),
        *(("2. sometimes", 2), ("2: Sometimes", 2), ("3 - always", 3), ("２", 2), ("٢", 2), ("२", 2), ("๒", 2)),
        *(("“always”", 3), ("1 。", 1)),
    ],
)
def test_a_number_in_any_script_or_the_options_text_is_the_option(text, option):
    assert read_option(Answer(text=text, finish="stop"), OPTIONS, REFUSALS) == (option, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *(("4", OUT_OF_RANGE), ("0", OUT_OF_RANGE), ("٩", OUT_OF_RANGE), ("99.", OUT_OF_RANGE)),
        *(("", UNPARSABLE), ("2 or 3", UNPARSABLE), ("2. always", UNPARSABLE), ("I drink 2 cups", UNPARSABLE)),
        *(
            ("二", UNPARSABLE),
            ("よくある", UNPARSABLE),
            ("-1", UNPARSABLE),
            (".2", UNPARSABLE),
            ("2.5", UNPARSABLE),
            ("12345678901", UNPARSABLE),
        ),
        *(("I cannot say", REFUSED), ("Well, As An AI I have no views", REFUSED), ("申し訳ありません", REFUSED)),
    ],
)
def test_what_is_no_option_has_a_reason(text, why):
    assert read_option(Answer(text=text, finish="stop"), OPTIONS, REFUSALS) == (None, why)


def test_a_cut_off_answer_is_none_though_it_begins_with_a_number():
    assert read_option(Answer(text="2", finish="length"), OPTIONS, ()) == (None, CUT_OFF)
    assert read_option(Answer(text="As an AI", finish="length"), OPTIONS, REFUSALS) == (None, REFUSED)
    assert read_option(Answer(text="2", finish="refused"), OPTIONS, ()) == (None, REFUSED)


def test_an_option_that_sounds_like_a_refusal_is_an_option():
    assert read_option(Answer(text="I cannot", finish="stop"), ["I can", "I cannot"], REFUSALS) == (2, None)


def test_options_of_other_scripts_are_read_in_any_unicode_form():
    assert read_option(Answer(text="ﾊｲ", finish="stop"), ["イイエ", "ハイ"], ()) == (2, None)


def test_an_answer_is_kept_without_what_no_file_holds():
    assert shorten("a\x00b\ud800c" + "d" * 300) == "a b c" + "d" * 195
