"""``python -m cultureclip.clip.convert``: models and adapters to and from other formats."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cultureclip.errors import CultureClipError


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert one folder into another, new one.

    Returns:
        0, or 1 after an error, which is printed as one line.
    """
    options = _parser().parse_args(arguments)
    from cultureclip.clip.export.huggingface import from_huggingface, to_huggingface
    from cultureclip.clip.export.onnx_format import to_onnx
    from cultureclip.clip.export.peft_format import from_peft, to_peft

    try:
        match options.conversion:
            case "to-huggingface":
                to_huggingface(options.source, options.destination)
            case "from-huggingface":
                from_huggingface(options.source, options.destination)
            case "to-peft":
                to_peft(options.source, options.destination)
            case "from-peft":
                from_peft(options.source, options.base, options.destination)
            case "to-onnx":
                to_onnx(options.source, options.destination)
    except (CultureClipError, OSError) as error:  # of the latter, a disk that is full
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cultureclip.clip.convert", description=__doc__)
    conversions = parser.add_subparsers(dest="conversion", required=True, metavar="CONVERSION")
    for name, does, source in (
        ("to-huggingface", "open_clip directory -> CLIPModel and CLIPProcessor", "such as a checkpoint's merged/"),
        ("from-huggingface", "CLIPModel and CLIPProcessor -> open_clip directory", "with safetensors weights"),
        ("to-peft", "checkpoint -> PEFT adapter of a CLIPModel", "directory with card.json"),
        ("from-peft", "PEFT adapter of a CLIPModel -> checkpoint", "directory with adapter_config.json"),
        ("to-onnx", "open_clip directory -> image.onnx and text.onnx", "such as a checkpoint's merged/"),
    ):
        conversion = conversions.add_parser(name, help=does, description=does)
        conversion.add_argument("source", type=Path, metavar="SOURCE", help=source)
        conversion.add_argument("destination", type=Path, metavar="DESTINATION", help="new directory")
        if name == "from-peft":
            conversion.add_argument("--base", type=Path, required=True, help="open_clip directory of the base model")
    return parser


if __name__ == "__main__":
    sys.exit(main())
