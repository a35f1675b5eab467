"""Locations of models: a path, a folder inside an installed package, or a repository in the Hugging Face cache."""

import re
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from cultureclip.errors import WeightsError

PACKAGE_SCHEME, HUB_SCHEME = "package:", "hf:"
OPEN_CLIP_SCHEME = "open_clip:"
"""Bare weights, ``open_clip:<architecture>/<release>@<location>``; ``models/families.py`` reads them."""

_FORMS = "Give a path, package:<module>/<path> or hf:<owner>/<name>@<revision>"
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")


def locate(spec: str) -> Path:
    """Resolve a model location to an existing path.

    Args:
        spec: A local path; ``package:<module>/<relative path>``; or ``hf:<owner>/<name>@<revision>``, which is read
            from the local Hugging Face cache (and downloaded only if ``HF_HUB_OFFLINE`` is not set).

    Raises:
        WeightsError: if there is nothing.
    """
    if spec.startswith(PACKAGE_SCHEME):
        return _in_package(spec)
    if spec.startswith(HUB_SCHEME):
        return _in_hub_cache(spec)
    if not spec.strip() or not spec.isprintable():
        raise _malformed(spec, "the path is empty or has control characters")
    try:
        path = Path(spec).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError) as error:  # a name that is too long, a folder that may not be read; no such user
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _malformed(spec, f"not a path that can be read ({reason})") from error
    if not exists:
        raise WeightsError(spec, "no such file or directory", _FORMS)
    return path


def _malformed(spec: str, cause: str) -> WeightsError:
    return WeightsError(ascii(spec[:200])[1:-1] or "''", cause, _FORMS)


def _leaves(relative: str) -> bool:
    """Tell whether a path is not relative, or leads out of the folder in which it starts."""
    path = PurePosixPath(relative.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or not relative.isprintable()


def _in_package(spec: str) -> Path:
    """Find a path in a package without importing it: the code may have dependencies that are not wanted."""
    module, _, relative = spec.removeprefix(PACKAGE_SCHEME).partition("/")
    if not all(part.isidentifier() for part in module.split(".")):
        raise _malformed(spec, f"{module!a} is not the name of a module")
    if _leaves(relative):
        raise _malformed(spec, "the path leads out of the package")
    try:
        found = find_spec(module)
    except (ImportError, ValueError, AttributeError):  # the parent is absent, or is not a package
        found = None
    if found is None or not found.submodule_search_locations:
        raise WeightsError(spec, f"package {module} is not installed", "Run `make install`")
    path = Path(found.submodule_search_locations[0]) / relative
    if not path.exists():
        raise WeightsError(spec, f"{path} does not exist", "Reinstall the package, or run the pipeline that makes it")
    return path


def _in_hub_cache(spec: str) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import validate_repo_id

    repository, _, revision = spec.removeprefix(HUB_SCHEME).partition("@")
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise _malformed(spec, f"{ascii(repository)[:100]} is not the name of a repository") from error
    if not revision:
        raise WeightsError(spec, "no revision is named", "Write hf:<owner>/<name>@<commit>")
    if _leaves(revision) or not _REVISION.fullmatch(revision):
        raise _malformed(spec, f"{ascii(revision)[:100]} is not a revision")
    try:
        return Path(snapshot_download(repository, revision=revision, local_files_only=constants.HF_HUB_OFFLINE))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise WeightsError(
            spec, f"not in the local cache ({type(error).__name__})", "Download it with a network, or give a path"
        ) from error
