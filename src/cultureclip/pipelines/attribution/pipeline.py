"""Wiring of attribution."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.attribution.nodes import (
    grade_images,
    index_pictures,
    link_images,
    list_generated,
    list_own,
    read_entities,
    summarise_attribution,
    take_concepts,
)
from cultureclip.pipelines.attribution.sources import Sources, read_sources

_GENERATED = ["images", "image_requests", "captions", "concepts"]


def create_pipeline(sources: Sources | None = None) -> Pipeline:
    """Build the pipeline knowledge base, images, attribution_store, attribution_prompt -> attributions, metrics.

    Args:
        sources: Where entities and images come from; by default what the config says.
    """
    sources = sources or read_sources()
    parameters, listed = "params:attribution", ["queries", "pictures", "ratings"]
    entities = (
        Node(read_entities, parameters, "entities", name="read_entities")
        if sources.own_entities
        else Node(take_concepts, "concepts", "entities", name="take_concepts")
    )
    images = (
        Node(list_own, parameters, listed, name="list_own")
        if sources.own_images
        else Node(list_generated, [*_GENERATED, parameters], listed, name="list_generated")
    )
    return Pipeline(
        [
            entities,
            images,
            Node(index_pictures, ["entities", "attribution_store", parameters], "index", name="index_pictures"),
            Node(
                link_images,
                ["queries", "pictures", "entities", "index", "attribution_store", parameters],
                "links",
                name="link_images",
            ),
            Node(
                grade_images,
                ["links", "entities", "pictures", "attribution_store", "attribution_prompt", parameters],
                ["attributions", "usage"],
                name="grade_images",
            ),
            Node(
                summarise_attribution,
                ["attributions", "links", "entities", "index", "queries", "ratings", "usage", parameters],
                "attribution_metrics",
                name="summarise_attribution",
            ),
        ],
        namespace="attribution",
        tags="attribution",
        inputs={
            "attribution_store",
            "attribution_prompt",
            *(() if sources.own_entities else ("concepts",)),
            *(() if sources.own_images else _GENERATED),
        },
        outputs={"attributions", "attribution_metrics"},
        parameters={parameters},
    )
