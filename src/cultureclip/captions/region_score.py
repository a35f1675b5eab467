"""RegionScore (RAVENEA, Li et al., 2025, arXiv 2505.14462): how often does a caption name the right region?

A caption names a region when the region's English name, or its adjective, stands in it as whole words
(:func:`~cultureclip.captions.cultures.names_culture`): "Japanese" and "Japan" name Japan. RAVENEA looks for its list of
names anywhere in the text, so "Indiana" names India; here it does not.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from cultureclip.captions.cultures import names_culture
from cultureclip.concepts.regions import region_name


@dataclass(frozen=True)
class RegionScore:
    """Counts of the regions that captions name.

    Attributes:
        captions: How many were read.
        value: Share that names a region of its own; None without captions.
        by_region: Display name of an own region -> (captions, share that names a region of its own).
    """

    captions: int
    value: float | None
    by_region: dict[str, tuple[int, float]]


def score_regions(captions: Iterable[tuple[str, Collection[str]]]) -> RegionScore:
    """Score captions.

    Args:
        captions: (text, codes of the regions that the picture's concept is at home in).

    Raises:
        SourceDataError: if a code is not that of a region.
    """
    named: list[bool] = []
    by_region: dict[str, list[bool]] = {}
    for text, codes in captions:
        named.append(any(names_culture(text, code) for code in codes))
        for code in codes:
            by_region.setdefault(region_name(code), []).append(named[-1])
    shares = {region: (len(found), sum(found) / len(found)) for region, found in sorted(by_region.items())}
    return RegionScore(len(named), sum(named) / len(named) if named else None, shares)
