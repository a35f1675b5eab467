"""Countries as owners write them: known names, adjectives and codes become region codes; nothing is guessed."""

import pycountry
import pytest
from babel import Locale

from cultureclip.concepts.countries import countries_in, find_country
from cultureclip.concepts.regions import is_region


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Turkey", "TR"),
        ("Türkiye", "TR"),
        ("TURKIYE", "TR"),
        ("Japanese", "JP"),
        ("JP", "JP"),
        ("JPN", "JP"),
        ("the Netherlands", "NL"),
        ("USA", "US"),
        ("America", "US"),
        ("England", "GB-ENG"),
        ("Scottish", "GB-SCT"),
        ("Côte d'Ivoire", "CI"),
        ("Ivory Coast", "CI"),
        ("Democratic Republic of the Congo", "CD"),
        ("South Korea", "KR"),
        ("Chinese", "CN"),
        (" Burma ", "MM"),
        ("Hong Kong", "HK"),
        ("NA", "NA"),
    ],
)
def test_names_adjectives_and_codes_are_known(text: str, code: str) -> None:
    assert find_country(text).codes == (code,)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Soviet Union", "historical"),
        ("USSR", "historical"),
        ("Czechoslovakia", "historical"),
        ("Ottoman Empire", "historical"),
        ("Ryukyu", "historical"),
        ("Korea", "ambiguous"),
        ("Congo", "ambiguous"),
        ("Dominican", "ambiguous"),
        ("Global", "unknown"),
        ("Atlantis", "unknown"),
        ("jp", "unknown"),
        ("in", "unknown"),
        ("", "unknown"),
        ("\u202eJapan", "unknown"),
    ],
)
def test_what_is_no_country_of_today_has_no_code(text: str, status: str) -> None:
    found = find_country(text)
    assert (found.status, found.codes) == (status, ())


def test_a_meaning_of_the_owners_comes_first() -> None:
    own = {"Korea": ["KP", "KR"], "america": ["US"], "Congo": ["CG"]}
    assert find_country("KOREA", own).codes == ("KP", "KR")
    assert find_country("Congo", own).codes == ("CG",)
    assert find_country("Japan", own).codes == ("JP",)


def test_every_country_is_found_by_its_names_in_iso_3166_and_cldr() -> None:
    names = [(country.name, country.alpha_2) for country in pycountry.countries]
    names += [(name, code) for code, name in Locale("en").territories.items() if code.isalpha() and is_region(code)]
    unlike = {name: find_country(name) for name, code in names if find_country(name).codes != (code,)}
    assert {name: found.status for name, found in unlike.items()} == {
        "Congo": "ambiguous",  # ISO's name of Congo (Brazzaville)
        **dict.fromkeys(("European Union", "Eurozone", "Outlying Oceania", "United Nations"), "unknown"),
    }


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("The kimono is a traditional Japanese garment.", ("JP",)),
        ("a South Korean dish, also eaten in North Korea and China", ("KR", "KP", "CN")),
        ("a Korean dish", ()),
        ("a roasted turkey with japanese sauce", ()),
        ("the flag of Côte d'Ivoire", ("CI",)),
        ("from the Democratic Republic of the Congo", ("CD",)),
        ("Us and them", ()),
        ("a dish of the US and the UK", ("US", "GB")),
        ("", ()),
    ],
)
def test_countries_are_found_in_sentences_by_the_longest_name_with_a_capital(text: str, codes: tuple[str, ...]) -> None:
    assert countries_in(text) == codes


def test_every_code_found_is_a_region_code() -> None:
    for country in pycountry.countries:
        assert all(map(is_region, find_country(country.name).codes))
