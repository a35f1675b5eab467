"""``python -m cultureclip.exchange.push``: a finished export to a repository of the Hugging Face hub.

All files go in one commit, so that the hub never shows a part of them. A new repository is private unless asked
otherwise. The token is read and sent by the hub's client; no message of this module holds it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from cultureclip.errors import ConfigurationError, CultureClipError, ServerError
from cultureclip.exchange.checksums import check_finished
from cultureclip.reading.text import first_line

Kind = Literal["model", "dataset"]
_KEPT_BY_THE_HUB = ".gitattributes"


def push(folder: Path, repository: str, kind: Kind, *, public: bool = False) -> str:
    """Make a repository hold exactly the files of a finished export.

    Args:
        folder: An exported model or dataset, unchanged since.
        repository: ``<owner>/<name>``; it is made if it is not there.
        kind: Kind of the repository.
        public: Whether everybody may see it.

    Returns:
        Address of the commit.

    Raises:
        SourceDataError: if the folder is not as an export left it.
        ConfigurationError: if there is no token, the client is offline, the address is malformed, or the repository is
            public and ``public`` is false.
        ServerError: if the hub does not answer or refuses.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
    from huggingface_hub.errors import HFValidationError, HTTPError

    files = check_finished(folder)
    token = get_token()
    _check_client(constants.HF_HUB_OFFLINE, token)
    api = HfApi(token=token, library_name="cultureclip")
    try:
        address = api.create_repo(repository, repo_type=kind, private=not public, exist_ok=True)
        if not public and not api.repo_info(repository, repo_type=kind).private:
            cause = "it exists and is public, so that everybody would see these files"
            raise ConfigurationError(repository, cause, "Add --public, or name another repository")
        old = set(api.list_repo_files(repository, repo_type=kind)) - {*files, _KEPT_BY_THE_HUB}
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(path, folder / path) for path in files),
            *(CommitOperationDelete(path) for path in sorted(old)),
        ]
        message = f"Export of CultureCLIP: {len(files)} files"
        commit = api.create_commit(repository, operations, commit_message=message, repo_type=kind)
    except HFValidationError as error:
        raise ConfigurationError(repository, first_line(error), "Write it as <owner>/<name>") from None
    except (HTTPError, OSError, ValueError) as error:
        cause = f"the hub did not take it ({_without(token, str(error))})"
        raise ServerError(repository, cause, "Look at network, token and rights, then push again") from None
    return commit.commit_url or str(address)


def _check_client(offline: bool, token: str | None) -> None:
    if offline:
        raise ConfigurationError("HF_HUB_OFFLINE", "it is set: the hub's client stays offline", "Set it to 0 to push")
    if not token:
        raise ConfigurationError("token of the hub", "there is none", "Log in with hf auth login, or set HF_TOKEN")


def _without(token: str | None, text: str) -> str:
    """Return a server's words in one line, without the token, which a careless one may repeat."""
    line = " ".join(text.split())
    return line.replace(token, "<token>") if token else line


def main(arguments: Sequence[str] | None = None) -> int:
    """Push a folder.

    Returns:
        0, or 1 after an error, which is printed as one line.
    """
    parser = argparse.ArgumentParser(prog="python -m cultureclip.exchange.push", description=push.__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a finished export")
    parser.add_argument("repository", metavar="OWNER/NAME", help="made if it is not there")
    parser.add_argument("--kind", choices=get_args(Kind), required=True, help="kind of the repository")
    parser.add_argument("--public", action="store_true", help="let everybody see it")
    options = parser.parse_args(arguments)
    try:
        print(push(options.folder, options.repository, options.kind, public=options.public))
    except CultureClipError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
