"""One style in all YAML files: the rule stands at the top of conf/base/catalog.yml."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

CONF = Path(__file__).parents[1] / "conf"


def find_faults(text: str) -> list[str]:
    """Anchors, aliases, and braces that touch what they hold, each with its line."""
    faults = []
    for token, after in pairwise(yaml.scan(text)):
        place = f"line {token.start_mark.line + 1}"
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            faults.append(f"{place}: anchor or alias {token.value}")
        opens, closes = isinstance(token, yaml.FlowMappingStartToken), isinstance(after, yaml.FlowMappingEndToken)
        if opens != closes and token.end_mark.index == after.start_mark.index:
            faults.append(f"{place}: no space {'behind {' if opens else 'before }'}")
    return faults


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yml")), ids=lambda file: str(file.relative_to(CONF)))
def test_config_is_written_in_one_style(file):
    assert find_faults(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a: { b: [1, 2] }\nc: {}\n'{run}': ${globals:data}\n", []),
        ("a: {b: 1 }", ["line 1: no space behind {"]),
        ("x:\n  a: { b: 1}", ["line 2: no space before }"]),
        ("a: &one { b: 1 }\nc: *one", ["line 1: anchor or alias one", "line 2: anchor or alias one"]),
    ],
)
def test_other_styles_are_told(text, faults):
    assert find_faults(text) == faults
