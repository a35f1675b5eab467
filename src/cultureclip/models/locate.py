"""Where a model lies: a path, or a folder inside an installed package."""

from importlib.util import find_spec
from pathlib import Path

from cultureclip.errors import WeightsError

PACKAGE_SCHEME = "package:"


def locate(spec: str) -> Path:
    """Resolve ``package:<module>/<relative path>`` or a plain path to an existing path.

    The package is found without being imported: some ship weights beside code whose own dependencies are not wanted.

    Raises:
        WeightsError: the package is not installed, or nothing lies there.
    """
    if not spec.startswith(PACKAGE_SCHEME):
        path = Path(spec).expanduser()
        if not path.exists():
            raise WeightsError(spec, "no such file or directory", "Give a local path or package:<module>/<path>")
        return path
    module, _, relative = spec.removeprefix(PACKAGE_SCHEME).partition("/")
    found = find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise WeightsError(spec, f"package {module} is not installed", "Install the extra that has it, e.g. `make install`")
    path = Path(found.submodule_search_locations[0]) / relative
    if not path.exists():
        raise WeightsError(spec, f"{path} does not exist", "Reinstall the package, or run the pipeline that makes it")
    return path
