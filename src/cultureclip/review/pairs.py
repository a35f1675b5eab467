"""What the page shows of a pair: pictures, facts, captions and evidence of both sides."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.concepts.looks import read_pictures
from cultureclip.concepts.regions import region_name
from cultureclip.errors import CultureClipError
from cultureclip.images.source import ImageSource
from cultureclip.judging.verdicts import decisions
from cultureclip.report.thumbnails import thumbnail
from cultureclip.review.settings import ReviewSettings

SIDES = ("a", "b")
_MEASURES = ("visual_similarity", "cultural_overlap", "score")


@dataclass(frozen=True)
class Material:
    """Tables that the page shows from; those of stages that have not run are None.

    Attributes:
        twins: Pairs for review.
        concepts: All concepts.
        captions: Captions.
        requests: Image requests.
        judgements: Judgements; without them every generated picture is shown.
        images: Generated pictures.
    """

    twins: pd.DataFrame
    concepts: pd.DataFrame
    captions: pd.DataFrame | None = None
    requests: pd.DataFrame | None = None
    judgements: pd.DataFrame | None = None
    images: ImageSource | None = None


class Pairs:
    """Descriptions of pairs as JSON values, by number. A picture is read when its pair is asked for.

    Args:
        material: What there is to show.
        settings: How much of it.
    """

    def __init__(self, material: Material, settings: ReviewSettings) -> None:
        self._images, self._settings = material.images, settings
        self.rows = material.twins.astype(object).where(material.twins.notna(), None).to_dict("records")
        ends = {row[f"{side}_concept_id"] for row in self.rows for side in SIDES}
        concepts = material.concepts[material.concepts["concept_id"].isin(ends)]
        self._concepts = {row["concept_id"]: row for row in concepts.to_dict("records")}
        self._captions = _list_captions(material)
        self._drawn = _list_drawn(material)

    def describe(self, number: int) -> dict[str, Any]:
        """Return what a reviewer sees before the decision: neither scores nor what mining has decided."""
        row, evidence = self.rows[number], self._evidence(number)
        return {
            "category": row["category"],
            "shared": evidence.get("shared_look", {}).get("features", []),
            "sides": [self._describe_side(row, side, evidence) for side in SIDES],
        }

    def reveal(self, number: int) -> dict[str, Any]:
        """Return what is shown after the decision: the scores, and what mining has decided."""
        row, evidence = self.rows[number], self._evidence(number)
        rejected = evidence.get("rejected_candidates", {})
        above = evidence.get("shared_look", {}).get("above_random_pairs")
        return {
            "mining": row["reason"] or "a twin",
            "measures": {name: row[name] for name in _MEASURES} | {"above_random_pairs": above},
            "rejected": [
                [[other["name"], other["visual_similarity"], other["reason"]] for other in rejected.get(side, [])]
                for side in SIDES
            ],
        }

    def _evidence(self, number: int) -> dict[str, Any]:
        evidence: dict[str, Any] = json.loads(self.rows[number]["evidence"])
        return evidence

    def _describe_side(self, row: Mapping[Any, Any], side: str, evidence: Mapping[str, Any]) -> dict[str, Any]:
        identifier = row[f"{side}_concept_id"]
        concept = self._concepts[identifier]
        pictures, missing = self._read_pictures(row["twin_id"], concept)
        return {
            "name": concept["name"],
            "cultures": [region_name(code) for code in concept["cultures"]],
            "universal": concept["universal"],
            "context": concept["context"],
            "features": evidence.get("differing_features", {}).get(side, list(concept["key_visual_features"])),
            "captions": self._captions.get((row["twin_id"], identifier), [])[: self._settings.captions],
            "pictures": pictures,
            "missing": missing,
        }

    def _read_pictures(self, twin: str, concept: Mapping[Any, Any]) -> tuple[list[dict[str, str]], list[str]]:
        """Return the pictures of a side, its reference first, and why any of them cannot be shown."""
        size, found, missing = self._settings.picture_size, [], []
        try:
            if concept["reference_image"]:
                reference = read_pictures(concept["reference_image"], size)[0]
                found.append({"kind": "reference", "data": thumbnail(reference, size)})
            drawn = self._drawn.get((twin, concept["concept_id"]), [])[: self._settings.pictures]
            if drawn and self._images is not None:
                here = [image for image in drawn if image in set(self._images.ids)]
                missing += [f"{len(drawn) - len(here)} generated pictures are gone"] if len(here) < len(drawn) else []
                found += [{"kind": "generated", "data": thumbnail(p, size)} for p in self._images.read(here)]
        except CultureClipError as error:
            missing.append(f"{error.item}: {error.cause}")
        return found, missing


def _list_captions(material: Material) -> dict[tuple[str, str], list[str]]:
    if material.captions is None:
        return {}
    accepted = material.captions[material.captions["verdict"] == "accepted"]
    return {
        (str(twin), str(concept)): texts.tolist()
        for (twin, concept), texts in accepted.groupby(["twin_id", "concept_id"])["text"]
    }


def _list_drawn(material: Material) -> dict[tuple[str, str], list[str]]:
    """(twin, concept) -> ids of its pictures, in their order: of those that were judged the accepted ones."""
    if material.captions is None or material.requests is None:
        return {}
    drawn = material.requests.merge(material.captions[["caption_id", "twin_id", "concept_id"]], on="caption_id")
    if material.judgements is not None:
        kept = decisions(material.judgements).query("verdict == 'accepted'")["image_id"]
        drawn = drawn[drawn["image_id"].isin(kept)]
    groups = drawn.sort_values(["caption_id", "k"]).groupby(["twin_id", "concept_id"])["image_id"]
    return {(str(twin), str(concept)): images.tolist() for (twin, concept), images in groups}
