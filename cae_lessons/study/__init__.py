"""Many runs, variants × seeds, on Dask: `python -m cae_lessons.study --help`."""

try:
    import locket  # noqa: F401
    import pandas  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"cae.study needs {error.name}, one of the packages that the extra [study] installs"
    ) from None

from cae_lessons.study.command import check, main, run_study
from cae_lessons.study.measures import (
    denoised,
    detected,
    labelled,
    measured,
    noisy_images,
    quantized,
    strange_images,
)
from cae_lessons.study.records import RECORDS, curve, load, read_records, write_records
from cae_lessons.study.run import as_logits, build_model, run_task, thin, versions
from cae_lessons.study.summary import counts, cross_table, interval, losses, select, summary
from cae_lessons.study.variants import (
    ARTICLE,
    LATER_NETS,
    MEAN_PIXEL_LOGIT,
    NETS,
    SEEDS,
    SHORT_STEPS,
    grid,
    seeds_of,
    tasks,
    variant,
)

__all__ = [
    "ARTICLE",
    "LATER_NETS",
    "MEAN_PIXEL_LOGIT",
    "NETS",
    "RECORDS",
    "SEEDS",
    "SHORT_STEPS",
    "as_logits",
    "build_model",
    "check",
    "counts",
    "cross_table",
    "curve",
    "denoised",
    "detected",
    "grid",
    "interval",
    "labelled",
    "load",
    "losses",
    "main",
    "measured",
    "noisy_images",
    "quantized",
    "read_records",
    "run_study",
    "run_task",
    "seeds_of",
    "select",
    "strange_images",
    "summary",
    "tasks",
    "thin",
    "variant",
    "versions",
    "write_records",
]
