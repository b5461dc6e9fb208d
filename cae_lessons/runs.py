"""What a training run leaves behind: its losses, and what it needs to go on."""

import base64
import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ARTICLE_STEPS = 5_000


@dataclass(repr=False)
class TrainingRun:
    """What a training run leaves behind, besides the trained model.

    Attributes
    ----------
    step : list of int
        The steps at which a loss was recorded; step 0 is the loss of the untrained net.
    loss : list of float
        The loss of the batch at each of these steps, before its update and without penalties.
    seconds : float
        How long the training took.
    settings : dict
        The arguments of `train`, and the model's name.
    interrupted : bool
        Whether the run ended before its last step.
    optimizer : list of numpy.ndarray or None
        Adam's state after the last step, and at the end a digest of the model's weights then:
        what `train(..., resume=run)` needs to go on.  None for the article's logs.

    Examples
    --------
    >>> TrainingRun([0, 1], [0.2, 0.1], 0.5, {"model": "net", "steps": 2})
    <TrainingRun of net: 2 steps in 0.5 s, loss 0.2 to 0.1>
    """

    step: list[int]
    loss: list[float]
    seconds: float
    settings: dict[str, Any]
    interrupted: bool = False
    optimizer: list[np.ndarray] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Return a summary: all losses would fill screens."""
        steps = f"{len(self.step):,} steps in {self.seconds:.3g} s"
        losses = f", loss {self.loss[0]:.6g} to {self.loss[-1]:.6g}" if self.loss else ""
        ended = ", interrupted" if self.interrupted else ""
        return f"<TrainingRun of {self.settings.get('model')}: {steps}{losses}{ended}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run to a JSON file; an existing file is replaced whole or not at all.

        The model itself is saved by its own `save`.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        OSError
            The file can't be written.
        """
        content = {**vars(self), "optimizer": _encode(self.optimizer)}
        write_whole(path, json.dumps(content))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TrainingRun":
        """Read a run that `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        TrainingRun

        Raises
        ------
        OSError
            The file can't be read.
        ValueError
            The file doesn't hold a training run.
        """
        try:
            run = cls(**json.loads(Path(path).read_text()))
            run.optimizer = _decode(run.optimizer)
            whole = isinstance(run.settings, dict) and len(run.step) == len(run.loss)
        except (TypeError, ValueError, RecursionError):
            whole = False
        if not whole:
            raise ValueError(f"{path} doesn't hold a training run")
        return run


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file that is replaced whole or not at all, even if the process is killed.

    Parameters
    ----------
    path : str or path-like
    text : str

    Raises
    ------
    OSError
        The file can't be written.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:  # it names the partial file, which nobody asked for
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def article_run(name: str) -> TrainingRun:
    """Return the losses that the article or one of its readers logged.

    Parameters
    ----------
    name : {"strided", "zero-fill", "nearest", "nearest-reader"}
        The net; `"nearest-reader"` is the run that reader A reports.

    Returns
    -------
    TrainingRun
        The batch losses; `settings["final"]` is the mean squared error on the 10,000 test
        images, where the article gives it.

    Raises
    ------
    ValueError
        No log has this name; the error lists the names.

    Examples
    --------
    >>> article_run("strided").settings["final"]
    0.000948159
    """
    table = Path(__file__).with_name("article_losses.csv").read_text().split()
    rows = [line.split(",") for line in table[1:]]
    if name not in {run for run, _, _ in rows}:
        names = ", ".join(sorted({run for run, _, _ in rows}))
        raise ValueError(f"no log named {name!r}, expected one of {names}")
    logged = {step: float(loss) for run, step, loss in rows if run == name}
    settings = {"model": name, "steps": ARTICLE_STEPS, "final": logged.pop("final", None)}
    return TrainingRun([int(step) for step in logged], list(logged.values()), 0.0, settings)


def _encode(arrays):
    """Return arrays as text for JSON: their bytes."""
    if arrays is None:
        return None
    return [
        [array.dtype.str, array.shape, base64.b64encode(array.tobytes()).decode()]
        for array in arrays
    ]


def _decode(encoded):
    if encoded is None:
        return None
    return [
        np.frombuffer(base64.b64decode(text), dtype).reshape(shape)
        for dtype, shape, text in encoded
    ]
