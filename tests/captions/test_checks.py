import csv
import dataclasses
from pathlib import Path

import pytest
from babel import Locale

from cultureclip.captions.checks import Reason, check_caption, features_shown, unsupported_terms
from cultureclip.captions.cultures import foreign_cultures, names_culture
from cultureclip.captions.facts import ConceptFacts, fold, stem, words_of
from cultureclip.captions.settings import CaptionKind, CaptionRules
from cultureclip.concepts import regions as concept_regions
from cultureclip.concepts.regions import is_region, region_name
from tests.support.captions import CAPTION_PROMPT, PLAIN

ATLAS = Path(__file__).parents[2] / "data/01_raw/atlas.csv"

KIMONO = ConceptFacts(
    concept_id="0" * 20,
    name="kimono",
    aliases=("wafuku (Japanese robe)",),
    regions=("JP",),
    context="The kimono is a wrapped robe of Japan with roots in Chinese dress, worn in Kyoto at weddings since 1868.",
    features=("T-shaped straight-seamed robe", "long wide sleeves", "broad red sash"),
    twins=("hanbok",),
)
GOOD = "A kimono from Japan with long wide sleeves."


def reason(text: str, concept: ConceptFacts = KIMONO) -> Reason | None:
    return check_caption(text, concept, CaptionRules(), PLAIN).reason


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "Japanese kimonos with wide sleeves.",
        "A wafuku from Japan with a broad red sash.",
        "A kimono from Kyoto, Japan, in 1868, with wide sleeves.",
        "Japan's kimono, a straight-seamed T-shaped robe",
    ],
)
def test_true_captions_pass(text):
    assert reason(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kimono, Japan, sleeves", Reason.TOO_SHORT),
        ("A kimono from Japan with long wide sleeves and a broad red sash and a robe", Reason.TOO_LONG),
        ("A kimono from Japan, kimono wide sleeves, kimono", Reason.REPETITIVE),
        ("A garment from Japan with long wide sleeves.", Reason.CONCEPT_NOT_NAMED),
        ("A kimonoid from Japan with long wide sleeves.", Reason.CONCEPT_NOT_NAMED),
        ("A kimono with long wide sleeves.", Reason.CULTURE_NOT_NAMED),
        ("A kimono from Japan worn at weddings.", Reason.FEATURES_MISSING),
        ("A kimono from Japan, like a hanbok with wide sleeves.", Reason.NAMES_TWIN),
        ("A kimono from Japan and South Korea with wide sleeves.", Reason.NAMES_OTHER_CULTURE),
        ("A kimono from Japan with wide Chinese sleeves.", Reason.NAMES_OTHER_CULTURE),
        ("A kimono from Osaka in Japan with wide sleeves.", Reason.UNSUPPORTED_FACT),
        ("A kimono from Japan with wide sleeves, 1920.", Reason.UNSUPPORTED_FACT),
        ("A green kimono from Japan with wide sleeves.", Reason.UNSUPPORTED_FACT),
        ("A kimono from Japan with two wide sleeves.", Reason.UNSUPPORTED_FACT),
    ],
)
def test_each_fault_has_its_reason(text, expected):
    assert reason(text) is expected


@pytest.mark.parametrize(
    "term",
    [
        *("1/2", "½", "1920", "1,868", "18:68", "3D", "٣", "३", "３", "五", "Ⅳ", "²", "١٨٦٨"),
        *("fifty", "Fifty", "thirteen", "twenty-one", "million", "zero", "third", "twentieth", "dozens"),
        *("magenta", "teal", "scarlet", "beige", "reddish", "Navy", "gray", "grey"),
    ],
)
def test_numbers_and_colours_that_no_fact_has_are_refused_however_they_are_written(term):
    report = check_caption(f"A kimono from Japan with {term} wide sleeves.", KIMONO, CaptionRules(), PLAIN)
    assert report.reason is Reason.UNSUPPORTED_FACT
    assert set(report.facts) <= {term, *term.split("-")}


@pytest.mark.parametrize(
    "words",
    [
        *("one of the", "second-hand", "often", "tense", "stone", "weighty", "Japan's", "chocolate-coloured", "linen"),
        *("red", "of 1868 with", "(1868)", "broad"),
    ],
)
def test_words_that_only_look_like_numbers_or_colours_and_those_of_the_facts_are_accepted(words):
    assert check_caption(f"A kimono from Japan with {words} wide sleeves.", KIMONO, CaptionRules(), PLAIN).facts == ()


def test_an_article_inside_a_name_does_not_hide_it():
    flag = ConceptFacts("0" * 20, "flag of Philippines", (), ("PH",), "", ("golden sun",), ("flag of Gambia",))
    assert reason("The flag of the Philippines with a golden sun.", flag) is None
    assert reason("The flag of the Philippines, golden sun, like the flag of the Gambia.", flag) is Reason.NAMES_TWIN


def test_a_fraction_is_not_supported_by_its_parts():
    concept = dataclasses.replace(KIMONO, context="A robe of Japan with 1 sash and 2 sleeves.")
    assert reason("A kimono from Japan with 1/2 wide sleeves.", concept) is Reason.UNSUPPORTED_FACT
    assert reason("A kimono from Japan with 2 wide sleeves.", concept) is None


def test_the_report_says_what_was_seen():
    report = check_caption(
        "A kimono from Japan with wide sleeves and the Osaka sash of 1920", KIMONO, CaptionRules(), PLAIN
    )
    assert report.as_dict() == {
        "words": 13,
        "features_shown": ("long wide sleeves",),
        "twin_features_shown": (),
        "context_shown": (),
        "names_concept": True,
        "names_its_culture": True,
        "facts": ("Osaka", "1920"),
    }


@pytest.mark.parametrize("words", [3, 4, 14, 15])
def test_word_bounds_are_inclusive(words):
    text = " ".join(["kimono", "Japan", "wide", "sleeves", *"abcdefghijklmnop"][:words])
    assert (reason(text) in (Reason.TOO_SHORT, Reason.TOO_LONG)) == (words in (3, 15))


def test_the_name_itself_shows_no_feature():
    lantern = dataclasses.replace(KIMONO, name="red lantern", features=("red lantern", "red paper lantern with tassel"))
    assert features_shown("A red lantern from Japan", lantern) == ()
    assert features_shown("A red lantern with a tassel", lantern) == ("red paper lantern with tassel",)


def test_a_name_may_hold_another_culture():
    hat = dataclasses.replace(KIMONO, name="Panama hat", regions=("EC",), features=("woven white straw",), twins=())
    assert reason("A Panama hat from Ecuador of woven white straw.", hat) is None
    assert reason("A Panama hat from Ecuador and Peru of woven white straw.", hat) is Reason.NAMES_OTHER_CULTURE


def test_a_name_may_hold_its_twin():
    hanbok = dataclasses.replace(KIMONO, name="short hanbok", regions=("KR",), twins=("hanbok", "kimono"))
    assert reason("A short hanbok from South Korea with wide sleeves.", hanbok) is None


def test_hostile_names_neither_match_everything_nor_break_the_check():
    for name in ("../../x", "<script>alert(1)</script>", "a\x00b", "(.*)", "ki" * 50_000, "[", "\\"):
        concept = dataclasses.replace(KIMONO, name=name, aliases=())
        assert check_caption(GOOD, concept, CaptionRules(), PLAIN).reason is Reason.CONCEPT_NOT_NAMED


def test_a_name_of_filler_words_alone_is_named_by_no_sentence():
    concept = dataclasses.replace(KIMONO, name="👘 a", aliases=("of the", "(in)"))
    assert concept.names == ()
    assert reason("A robe from Japan with long wide sleeves.", concept) is Reason.CONCEPT_NOT_NAMED


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("a Japanese robe", "JP", True),
        ("made in JAPAN", "JP", True),
        ("a japanned box", "JP", False),
        ("a French hen", "FR", True),
        ("Cote d'Ivoire", "CI", True),
        ("a Thai dish", "TH", True),
        ("the flag of Niger", "NG", False),
        ("Korean dress", "KR", True),
        ("a South wind", "KR", False),
        ("made in China", "CH", False),
        ("an Austrian koala", "AU", False),
        ("an Australian koala", "AU", True),
        ("a Slovenian dish", "SK", False),
        ("a Nigerian dish", "NE", False),
        ("a Nigerien dish", "NE", True),
        ("a Mauritian stamp", "MR", False),
        ("a Mauritian stamp", "MU", True),
        ("a Malawian drum", "MY", False),
        ("a Malaysian drum", "MW", False),
        ("a Roman vase", "RO", False),
        ("an Italian vase", "IT", True),
        ("the Italians", "IT", True),
        ("a Côte d'Ivoire mask, Ivorian", "CI", True),
        ("a South African braai", "ZA", True),
    ],
)
def test_cultures_are_recognised(text, code, expected):
    assert names_culture(text, code) is expected


@pytest.mark.parametrize(
    ("text", "own", "expected"),
    [
        ("the flag of Equatorial Guinea", ["GQ"], []),
        ("the flag of Equatorial Guinea", ["GN"], ["Equatorial Guinea"]),
        ("the flag of Guinea", ["GN"], []),
        ("a turkey on a table", ["US"], []),
        ("Korean dress", ["KR"], []),
        ("a Polish flag", ["ID"], ["Poland"]),
        ("the flag of American Samoa", ["AS"], []),
        ("The flag of Australia with five white Southern Cross stars", ["AU"], []),
        ("a Christian church in a Western style, of a Roman or Caribbean kind", ["GB"], []),
        ("the Northern lights", ["NO"], []),
        ("Green tea under the Chin, Polished granite, Tunic", ["JP"], []),
        ("the Pan-African colours", ["GH"], []),
        ("a Norwegian stave church", ["SE"], ["Norway"]),
        ("a Slovak, a Slovene", ["SI"], ["Slovakia"]),
    ],
)
def test_foreign_cultures(text, own, expected):
    assert foreign_cultures(text, own) == expected


def test_no_feature_of_the_atlas_names_a_foreign_culture():
    rows = csv.DictReader(ATLAS.open(encoding="utf-8", newline=""))
    named = {
        feature: found
        for row in rows
        for feature in row["key_visual_features"].split("|")
        if (found := foreign_cultures(feature.title().replace(row["name"].title(), ""), row["cultures"].split(" | ")))
    }
    assert named == {}


ADJECTIVES = "Japanese Spanish Danish Norwegian Turkish French Dutch Korean Chinese Portuguese Lebanese Peruvian"
CODES = "JP ES DK NO TR FR NL KR CN PT LB PE"


@pytest.mark.parametrize(("adjective", "code"), zip(ADJECTIVES.split(), CODES.split(), strict=True))
def test_adjectives_name_their_region_and_are_foreign_elsewhere(adjective, code):
    assert names_culture(f"a {adjective} robe", code)
    assert foreign_cultures(f"a {adjective} robe", [code]) == []
    assert region_name(code) in foreign_cultures(f"a {adjective} robe", ["IS"])


def test_the_table_of_adjectives_knows_every_region_and_holds_words_as_they_are_compared():
    text = Path(concept_regions.__file__).with_name("adjectives.csv").read_text(encoding="utf-8")
    table = {row["region"]: row["adjectives"].split() for row in csv.DictReader(text.splitlines())}
    assert len(table) == len(text.splitlines()) - 1
    regions = {code for code in Locale("en").territories if is_region(code)}
    assert table.keys() == {*regions, "GB-ENG", "GB-SCT", "GB-WLS"}
    for words in table.values():
        assert [fold(word) for word in words] == words == list(dict.fromkeys(words))
        assert all(words_of(word) for word in words)


def test_south_georgia_is_not_georgian():
    assert foreign_cultures("a Georgian robe", ["IS"]) == ["Georgia"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("stripes", "striped"),
        ("colour", "color"),
        ("grey", "Gray"),
        ("sleeves", "sleeve"),
        ("curries", "curry"),
        ("tō", "to"),
    ],
)
def test_stems_agree(one, other):
    assert stem(one) == stem(other)


@pytest.mark.parametrize(("one", "other"), [("red", "reed"), ("glass", "gla"), ("bowl", "bow")])
def test_other_words_keep_other_stems(one, other):
    assert stem(one) != stem(other)


def test_the_examples_of_the_prompt_pass_the_checks():
    codes = {"Russia": "RU", "Germany": "DE", "Morocco": "MA"}
    for worked in CAPTION_PROMPT.examples:
        fields, caption = worked.fields, worked.answer.removeprefix("Caption: ")
        features = tuple(fields["features"].split(", "))
        example = ConceptFacts("", fields["name"], (), (codes[fields["culture"]],), fields["context"], features)
        assert reason(caption, example) is None
        assert unsupported_terms(caption, example) == ()


CONTEXTUAL = CaptionKind(wanted=1, templates=("contextual",), context=True)
UNNAMED = CaptionKind(wanted=1, templates=("unnamed",), concept="unnamed", culture="free")
SCENE = CaptionKind(wanted=1, templates=("scene",), culture="unnamed", context=True)


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("A kimono from Japan with long wide sleeves worn at weddings.", CONTEXTUAL, None),
        ("A kimono from Japan with long wide sleeves.", CONTEXTUAL, Reason.CONTEXT_MISSING),
        ("A wrapped robe with long wide sleeves.", UNNAMED, None),
        ("A wrapped robe from Japan with long wide sleeves.", UNNAMED, None),
        ("A kimono with long wide sleeves.", UNNAMED, Reason.CONCEPT_NAMED),
        ("A wafuku with long wide sleeves.", UNNAMED, Reason.CONCEPT_NAMED),
        ("A kimono with long wide sleeves at a wedding.", SCENE, None),
        ("A Japanese kimono with long wide sleeves at a wedding.", SCENE, Reason.CULTURE_NAMED),
    ],
)
def test_each_kind_says_what_it_must_and_must_not(text, kind, expected):
    assert check_caption(text, KIMONO, CaptionRules(), kind).reason is expected


def test_a_feature_that_only_the_look_alike_has_is_refused_and_named():
    kimono = dataclasses.replace(KIMONO, twin_features=("short jacket with ribbon", "long wide sleeves"))
    report = check_caption("A kimono from Japan with a short jacket and long sleeves", kimono, CaptionRules(), PLAIN)
    assert report.twin_features_shown == ("short jacket with ribbon",)
    assert report.reason is Reason.SHOWS_TWIN_FEATURE
    shared = check_caption("A kimono from Japan with long wide sleeves", kimono, CaptionRules(), PLAIN)
    assert shared.reason is None, "what both have may be said"


def test_the_words_of_the_context_that_a_caption_shows_are_recorded():
    report = check_caption("A kimono from Japan with wide sleeves at weddings in Kyoto", KIMONO, CaptionRules(), PLAIN)
    assert set(report.context_shown) == {stem("weddings"), stem("Kyoto")}
