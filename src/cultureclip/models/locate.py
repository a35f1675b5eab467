"""Where a model lies: a path, a folder inside an installed package, or a repository in the Hugging Face cache."""

from importlib.util import find_spec
from pathlib import Path

from cultureclip.errors import WeightsError

PACKAGE_SCHEME, HUB_SCHEME = "package:", "hf:"
OPEN_CLIP_SCHEME = "open_clip:"
"""Bare weights, ``open_clip:<architecture>/<release>@<location>``: what they are is read in ``models/families.py``."""


def locate(spec: str) -> Path:
    """Resolve a model location to an existing path.

    Args:
        spec: A local path; ``package:<module>/<relative path>``; or ``hf:<owner>/<name>@<revision>``, which is read
            from the local Hugging Face cache (and fetched into it only where ``HF_HUB_OFFLINE`` is not set).

    Raises:
        WeightsError: nothing lies there.
    """
    if spec.startswith(PACKAGE_SCHEME):
        return _in_package(spec)
    if spec.startswith(HUB_SCHEME):
        return _in_hub_cache(spec)
    path = Path(spec).expanduser()
    if not path.exists():
        raise WeightsError(spec, "no such file or directory", "Give a local path, package:<module>/<path> or hf:<id>")
    return path


def _in_package(spec: str) -> Path:
    """The package is found without being imported: some ship weights beside code whose dependencies are not wanted."""
    module, _, relative = spec.removeprefix(PACKAGE_SCHEME).partition("/")
    found = find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise WeightsError(spec, f"package {module} is not installed", "Run `make install`")
    path = Path(found.submodule_search_locations[0]) / relative
    if not path.exists():
        raise WeightsError(spec, f"{path} does not exist", "Reinstall the package, or run the pipeline that makes it")
    return path


def _in_hub_cache(spec: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = spec.removeprefix(HUB_SCHEME).partition("@")
    if not revision:
        raise WeightsError(spec, "no revision is named", "Write hf:<owner>/<name>@<commit>")
    try:
        return Path(snapshot_download(repository, revision=revision, local_files_only=constants.HF_HUB_OFFLINE))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise WeightsError(
            spec, f"not in the local cache ({type(error).__name__})", "Download it where a network is, or give a path"
        ) from error
