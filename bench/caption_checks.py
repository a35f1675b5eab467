"""What the checks of captions find: planted errors in the accepted captions of a finished run.

Half of the drawn captions get one error each, of five kinds in turn: another concept's feature, a colour, a number, an
occasion, another culture. Prints for each kind how many the checker of units and the older check of terms find, then
what the accepted captions show. The captions without an error were accepted by the same checks, so false alarms are
not measured here (docs/captions.md has them, from captions that were read). The last line is one JSON object.

    python bench/caption_checks.py [--project .] [--captions 200] [--seed 0]
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cultureclip.captions.checks import context_shown, features_shown, unsupported_terms
from cultureclip.captions.cultures import names_culture
from cultureclip.captions.facts import ConceptFacts, content_words
from cultureclip.captions.units import WordChecker, report_units
from cultureclip.captions.write import concepts_to_caption

COLOURS = ("purple", "turquoise", "crimson", "beige", "violet", "magenta")
NUMBERS = ("seventeen", "nineteen", "forty")
OCCASIONS = ("a harvest festival", "a royal coronation", "a birthday party", "a football match")


def read_run(project: Path) -> tuple[pd.DataFrame, dict[str, ConceptFacts]]:
    """Distinct accepted captions of the newest run, and the facts of their concepts."""
    tables = {}
    for name in ("captions", "concepts", "twins"):
        file = max((project / f"data/03_primary/{name}.parquet").glob(f"*/{name}.parquet"))
        tables[name] = pd.read_parquet(file)
    captions = tables["captions"].query("verdict == 'accepted'").drop_duplicates(["concept_id", "text"])
    facts = {one.concept_id: one for one in concepts_to_caption(tables["twins"], tables["concepts"])}
    return captions[["concept_id", "text"]].reset_index(drop=True), facts


def planters(facts: dict[str, ConceptFacts], rng: random.Random) -> dict[str, Callable[[ConceptFacts], str]]:
    """Ways to say something that the facts of a concept do not support."""
    features = sorted({feature for one in facts.values() for feature in one.features})
    cultures = sorted({name for one in facts.values() for name in one.cultures})

    def foreign(feature: str, one: ConceptFacts) -> bool:
        return not content_words(feature) & content_words(" ".join((*one.features, one.context)))

    return {
        "feature": lambda one: "with " + rng.choice([f for f in features if foreign(f, one)]),
        "colour": lambda one: f"with a {rng.choice([c for c in COLOURS if foreign(c, one)])} border",
        "number": lambda one: f"with {rng.choice([n for n in NUMBERS if foreign(n, one)])} stripes",
        "occasion": lambda one: "at " + rng.choice([o for o in OCCASIONS if foreign(o, one)]),
        "culture": lambda one: "from " + rng.choice([c for c in cultures if c not in one.cultures]),
    }


def find_planted(captions: pd.DataFrame, facts: dict[str, ConceptFacts], rng: random.Random) -> dict[str, Counter[str]]:
    """Per kind of error, how many were planted, and how many each check found."""
    plant = planters(facts, rng)
    found = {name: Counter[str]() for name in ("planted", "units", "terms")}
    for number, (concept, text) in enumerate(captions.itertuples(index=False)):
        kind, one = list(plant)[number % len(plant)], facts[concept]
        wrong = f"{text.rstrip('.')} {plant[kind](one)}."
        before, after = report_units([(text, one), (wrong, one)], WordChecker())
        found["planted"][kind] += 1
        found["units"][kind] += len(after.problems) > len(before.problems)
        found["terms"][kind] += len(unsupported_terms(wrong, one)) > len(unsupported_terms(text, one))
    return found


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path.cwd())
    parser.add_argument("--captions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    captions, facts = read_run(args.project)
    drawn = captions.sample(min(args.captions // 2, len(captions)), random_state=args.seed)
    found = find_planted(drawn, facts, random.Random(args.seed))
    print(pd.DataFrame(found).to_string())
    shown = {
        "context": sum(bool(context_shown(text, facts[c])) for c, text in captions.itertuples(index=False)),
        "feature": sum(bool(features_shown(text, facts[c])) for c, text in captions.itertuples(index=False)),
        "culture": sum(
            any(names_culture(text, code) for code in facts[c].regions) for c, text in captions.itertuples(index=False)
        ),
    }
    totals = {name: sum(counts.values()) for name, counts in found.items()}
    print(json.dumps(totals | {"accepted": len(captions)} | {f"with_{name}": n for name, n in shown.items()}))


if __name__ == "__main__":
    main()
