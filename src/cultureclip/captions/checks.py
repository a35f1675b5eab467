"""Strict, deterministic checks of a written caption against what is known of its concept."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from cultureclip.captions.cultures import contains, foreign_cultures, is_adjective_of, names_culture, without
from cultureclip.captions.facts import ConceptFacts, content_words, name_words, stem, tokens_of, words_of
from cultureclip.captions.settings import CaptionKind, CaptionRules
from cultureclip.captions.terms import find_numerals, is_number_or_colour


class Reason(StrEnum):
    """Why a caption is not accepted."""

    CUT_OFF = "cut_off"
    UNPARSABLE = "unparsable"
    OTHER_LANGUAGE = "other_language"
    NOT_TRANSLATED = "not_translated"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    REPETITIVE = "repetitive"
    CONCEPT_NOT_NAMED = "concept_not_named"
    CONCEPT_NAMED = "concept_named"
    CULTURE_NOT_NAMED = "culture_not_named"
    CULTURE_NAMED = "culture_named"
    FEATURES_MISSING = "features_missing"
    CONTEXT_MISSING = "context_missing"
    NAMES_TWIN = "names_twin"
    SHOWS_TWIN_FEATURE = "shows_twin_feature"
    NAMES_OTHER_CULTURE = "names_other_culture"
    UNSUPPORTED_FACT = "unsupported_fact"
    UNSUPPORTED_UNIT = "unsupported_unit"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"


@dataclass(frozen=True)
class CaptionReport:
    """Findings of the checks on one caption.

    Attributes:
        words: Number of words.
        features_shown: The key visual features it shows.
        twin_features_shown: Features that only its look-alikes have.
        context_shown: Words of the context, beyond names and features.
        names_concept: Whether it names the concept.
        names_its_culture: Whether it names one of the concept's cultures.
        facts: Terms that nothing known of the concept supports.
        reason: The first check that failed; None when the caption is accepted.
    """

    words: int
    features_shown: tuple[str, ...]
    twin_features_shown: tuple[str, ...]
    context_shown: tuple[str, ...]
    names_concept: bool
    names_its_culture: bool
    facts: tuple[str, ...]
    reason: Reason | None

    def as_dict(self) -> dict[str, object]:
        """Return the report without the verdict, for the table's JSON column."""
        return {key: value for key, value in asdict(self).items() if key != "reason"}


def check_caption(text: str, concept: ConceptFacts, rules: CaptionRules, kind: CaptionKind) -> CaptionReport:
    """Check one caption of a kind; the reason is that of the first check it fails, in the order of :class:`Reason`."""
    words = len(text.split())
    shown, foreign = features_shown(text, concept), twin_features_shown(text, concept)
    context = context_shown(text, concept)
    named = any(contains(name_words(text), name_words(name)) for name in concept.names)
    its_culture = any(names_culture(text, code) for code in concept.regions)
    facts = unsupported_terms(text, concept)
    failures = {
        Reason.TOO_SHORT: words < rules.min_words,
        Reason.TOO_LONG: words > rules.max_words,
        Reason.REPETITIVE: _repeats_content(text),
        Reason.CONCEPT_NOT_NAMED: kind.concept == "named" and not named,
        Reason.CONCEPT_NAMED: kind.concept == "unnamed" and named,
        Reason.CULTURE_NOT_NAMED: kind.culture == "named" and not its_culture,
        Reason.CULTURE_NAMED: kind.culture == "unnamed" and its_culture,
        Reason.FEATURES_MISSING: len(shown) < rules.min_features,
        Reason.CONTEXT_MISSING: kind.context and not context,
        Reason.NAMES_TWIN: _names_twin(text, concept),
        Reason.SHOWS_TWIN_FEATURE: bool(foreign),
        Reason.NAMES_OTHER_CULTURE: bool(_other_cultures(text, concept)),
        Reason.UNSUPPORTED_FACT: bool(facts),
    }
    reason = next((r for r, failed in failures.items() if failed), None)
    return CaptionReport(words, shown, foreign, context, named, its_culture, facts, reason)


def features_shown(text: str, concept: ConceptFacts) -> tuple[str, ...]:
    """Return features of which the caption says at least half of the telling words.

    Words of the concept's own name do not tell: naming a red lantern does not show its red paper.
    """
    return _half_said(text, concept.features, content_words(concept.name))


def twin_features_shown(text: str, concept: ConceptFacts) -> tuple[str, ...]:
    """Return features of the look-alikes.

    Of their words that the concept's own facts lack, the caption says half or more.
    """
    own = set(words_of(" ".join((*concept.names, *concept.cultures, concept.context, *concept.features))))
    return _half_said(text, concept.twin_features, own)


def _half_said(text: str, features: Sequence[str], untelling: set[str]) -> tuple[str, ...]:
    """Find features of which a text says at least half of the words, those that tell nothing left out."""
    said = content_words(text)
    telling = {feature: content_words(feature) - untelling for feature in features}
    return tuple(feature for feature in features if 0 < len(telling[feature]) <= 2 * len(telling[feature] & said))


def context_shown(text: str, concept: ConceptFacts) -> tuple[str, ...]:
    """Return stems of the context's words that the caption says, without those of names, cultures and features."""
    told = content_words(" ".join((*concept.names, *concept.cultures, *concept.features)))
    return tuple(sorted((content_words(concept.context) - told) & content_words(text)))


def unsupported_terms(text: str, concept: ConceptFacts) -> tuple[str, ...]:
    """Find the numerals, numbers, colours and proper nouns of a caption that no fact of the concept contains.

    A proper noun is a capitalised word that does not begin the sentence.
    """
    facts = " ".join((*concept.names, *concept.cultures, concept.context, *concept.features))
    known, numerals = set(words_of(facts)), set(find_numerals(facts))
    found = []
    for sentence in re.split(r"(?<=[.!?])\s+", text):
        for place, token in enumerate(tokens_of(sentence)):
            word = stem(token)
            if word in known or any(is_adjective_of(token, code) for code in concept.regions):
                continue
            if (place > 0 and token[:1].isupper()) or is_number_or_colour(word):
                found.append(token)
    found += [numeral for numeral in find_numerals(text) if numeral not in numerals]
    return tuple(dict.fromkeys(found))


def _repeats_content(text: str) -> bool:
    carrying = content_words(text)
    return any(count > 2 for word, count in Counter(words_of(text)).items() if word in carrying)


def _names_twin(text: str, concept: ConceptFacts) -> bool:
    words = name_words(text)
    for name in sorted(concept.names, key=len, reverse=True):
        words = without(words, name_words(name))
    return any(contains(words, name_words(twin)) for twin in concept.twins)


def _other_cultures(text: str, concept: ConceptFacts) -> list[str]:
    """Return cultures named outside the concept's own name: a Panama hat is Ecuadorian."""
    for name in sorted(concept.names, key=len, reverse=True):
        text = re.sub(rf"(?i)\b{re.escape(name)}\b", "it", text)
    return foreign_cultures(text, concept.regions)
