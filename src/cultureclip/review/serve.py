"""The command that serves the page: reads the catalog, opens the desk, and waits for the reviewer to stop it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from kedro.framework.project import settings as project_settings
from kedro.io import CatalogProtocol

from cultureclip.concepts.texts import NAME_LIMIT, find_invisible, has_word
from cultureclip.errors import ConfigurationError, MissingInputError
from cultureclip.review.desk import Desk
from cultureclip.review.pairs import Material, Pairs
from cultureclip.review.sample import draw_pairs
from cultureclip.review.server import ReviewServer
from cultureclip.review.settings import ReviewSettings

REVIEWS = "twin_reviews"
_LATER = {"captions": "captions", "requests": "image_requests", "judgements": "judgements", "images": "images"}


def serve(project: Path, env: str | None, reviewer: str, params: dict[str, Any]) -> None:
    """Serve the page until the user stops it.

    Args:
        project: The project's folder.
        env: Environment of the configuration.
        reviewer: Name under which decisions are kept.
        params: Parameters that take the place of configured ones.

    Raises:
        ConfigurationError: if the name of the reviewer cannot be used, or the port is taken.
        MissingInputError: if mining has not run.
    """
    check_reviewer(reviewer)
    with project_settings.SESSION_CLASS.create(project_path=project, env=env, runtime_params=params) as session:
        context = session.load_context()
        settings = ReviewSettings.model_validate(context.params["review"])
        with open_server(context.catalog, settings, reviewer) as server, suppress(KeyboardInterrupt):
            click.echo(f"Review as {reviewer}: {server.address}")
            click.echo("Whoever knows this address can review. Stop with Ctrl+C: every decision is kept at once.")
            server.serve_forever()


def open_server(catalog: CatalogProtocol[Any, Any], settings: ReviewSettings, reviewer: str) -> ReviewServer:
    """Read what there is to review and listen.

    Raises:
        MissingInputError: if mining has not run.
    """
    for name in ("twins", "concepts"):
        if not catalog.exists(name):
            raise MissingInputError(name, "it has not been made yet", "Make it first: kedro run --pipelines=mining")
    later = {field: catalog[name].load() for field, name in _LATER.items() if catalog.exists(name)}
    twins = draw_pairs(catalog["twins"].load(), settings)
    pairs = Pairs(Material(twins, catalog["concepts"].load(), **later), settings)
    reviews = catalog[REVIEWS]
    return ReviewServer(Desk(pairs, reviewer, reviews.load(), reviews.save), settings.port)


def check_reviewer(name: str) -> None:
    """Refuse a name by which decisions could not be told apart.

    Raises:
        ConfigurationError: if it is empty, too long or has invisible characters.
    """
    if len(name) > NAME_LIMIT or find_invisible(name) or not has_word(name):
        cause = f"a name has a letter or digit, at most {NAME_LIMIT} characters, and none that cannot be seen"
        raise ConfigurationError(f"reviewer {name[:NAME_LIMIT]!a}", cause, "Give --reviewer=<name>")
