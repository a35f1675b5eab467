"""The command that checks and tidies the image store of the catalog."""

import logging
from pathlib import Path
from typing import Any

from kedro.framework.project import settings as project_settings
from kedro.io import CatalogProtocol, DatasetError

from cultureclip.datasets.shard_store_dataset import ShardStoreDataset
from cultureclip.errors import ConfigurationError, MissingInputError
from cultureclip.images.store import ShardStore
from cultureclip.images.upkeep import collect, compact, repair
from cultureclip.run_manifest import runs_in_progress

logger = logging.getLogger(__name__)

_DAY_S = 86_400


def keep_up(project: Path, env: str | None, action: str, part_bytes: int, min_age_days: float, *, delete: bool) -> str:
    """Do one kind of upkeep on the image store and tell what was done.

    Args:
        project: The project's folder.
        env: Environment of the configuration.
        action: ``verify``, ``repair``, ``compact`` or ``collect``.
        part_bytes: Bytes per part, for ``compact``.
        min_age_days: Younger parts stay, for ``collect``.
        delete: Remove what nobody lists, for ``collect``; otherwise it is counted.

    Raises:
        ConfigurationError: if images are to be removed while a run of the project is in progress.
        MissingInputError: if ``collect`` finds no manifest, or one that cannot be read.
        StorageError: if the disk fails or is full.
    """
    with project_settings.SESSION_CLASS.create(project_path=project, env=env) as session:
        catalog = session.load_context().catalog
        store: ShardStore = catalog["image_store"].load()
        if action == "verify":
            damaged = store.verify()
            left = len(store.index.parts)
            return f"{store.root}: {left} whole parts; {len(damaged)} damaged parts were set aside (kedro store repair)"
        if action == "repair":
            done = repair(store)
            return (
                f"{store.root}: {done.confirmed} parts confirmed, {done.saved} pictures of {done.removed} parts saved"
            )
        if action == "compact":
            merged = compact(store, part_bytes)
            return f"{store.root}: {merged.before} parts before, {merged.after} now; {merged.moved} pictures moved"
        if delete and (others := runs_in_progress(catalog)):
            cause = f"runs are in progress ({', '.join(others)}), and a run lists its images at its end"
            raise ConfigurationError("kedro store collect --delete", cause, "Wait until they have ended")
        found = collect(store, find_listed(catalog, store), min_age_days * _DAY_S, delete=delete)
        what = "removed" if delete else "would be removed with --delete"
        return f"{store.root}: {found.images} images of {found.parts} parts, {found.size / 1e6:.1f} MB, {what}"


def find_listed(catalog: CatalogProtocol[Any, Any], store: ShardStore) -> set[str]:
    """Return the ids that any version of any manifest over the store names.

    Raises:
        MissingInputError: if there is no manifest, or one of them cannot be read: what it lists must not be removed.
    """
    listed: set[str] = set()
    manifests = 0
    for name in catalog:
        dataset = catalog.get(name)
        if isinstance(dataset, ShardStoreDataset) and dataset.is_over(store.root):
            try:
                for ids in dataset.read_all_versions():
                    listed.update(ids)
                    manifests += 1
            except DatasetError as error:
                raise MissingInputError(name, str(error), "Delete that version, or put a copy in its place") from error
    if not manifests:
        cause = "no manifest lists images of the store, so that all would be removed"
        raise MissingInputError(store.root, cause, "Delete the folder instead, or name the right --env")
    return listed
