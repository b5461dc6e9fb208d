"""Say what a loss is stuck on: `python -m cae_lessons.diagnose --help`."""

import argparse
import sys

from cae_lessons.diagnosis import diagnose
from cae_lessons.mnist import load_mnist
from cae_lessons.training import LOSSES

# This file is a command.  Imported, it is the function: so that `cae_lessons.diagnose` means one
# thing, whatever was imported first.
if __name__ != "__main__":
    sys.modules[__name__] = diagnose  # type: ignore[assignment]


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : list of str, optional
        By default the command line's.

    Returns
    -------
    int
        The exit status, 0.
    """
    options = _parser().parse_args(arguments)
    try:
        images = load_mnist(options.data).test.images
    except (OSError, ValueError) as error:
        sys.exit(f"diagnose: {error}")
    print(diagnose(options.value, images, loss=options.loss))
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m cae_lessons.diagnose",
        description="Say which degenerate picture a loss belongs to, one that stands still and is "
        "averaged over many images.",
    )
    parser.add_argument("value", metavar="LOSS", type=float, help="the loss: 0.1139, say")
    text = "a directory of IDX files, Fashion-MNIST's for example (default: the packaged MNIST)"
    parser.add_argument("--data", metavar="DIRECTORY", help=text)
    text = "mean squared error or binary cross-entropy (default: %(default)s)"
    parser.add_argument("--loss", choices=LOSSES, default="mse", help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
