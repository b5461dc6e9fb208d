"""Where the runs take place: the workers of a Dask cluster, here or elsewhere."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cae_lessons.study.run import run_task

if TYPE_CHECKING:
    from dask.distributed import Client


@contextlib.contextmanager
def connect(scheduler: str | None = None, workers: int | None = None) -> "Iterator[Client]":
    """Connect to a Dask scheduler, or start a cluster on this machine.

    Parameters
    ----------
    scheduler : str, optional
        The scheduler's address.
    workers : int, optional
        The number of workers of a cluster on this machine; by default one per core.

    Yields
    ------
    dask.distributed.Client

    Raises
    ------
    OSError
        The scheduler can't be reached.
    """
    import dask
    from dask.distributed import Client, LocalCluster

    if scheduler:
        with Client(scheduler, timeout=10) as client:
            yield client
        return
    # One thread per worker: two single-threaded runs get more done than one with two threads.
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    threads = dict.fromkeys(names, 1)
    with (
        _own_environment(),
        dask.config.set({"distributed.nanny.pre-spawn-environ": threads}),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Restore the environment at the end: Dask sets its workers' in this process, too."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def as_they_end(
    client: "Client", missing: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None, str | None]]:
    """Run tasks on the workers; if a worker dies, Dask starts its run anew.

    Parameters
    ----------
    client : dask.distributed.Client
    missing : list of dict
        As `tasks` returns them.

    Yields
    ------
    task : dict
    record : dict or None
    error : str or None
        Either the record or the error is None.
    """
    from dask.distributed import as_completed

    keys = [f"{task['variant']} seed {task['seed']}" for task in missing]
    by_key = dict(zip(keys, missing, strict=True))
    futures = client.map(run_task, missing, key=keys, pure=False)
    for future in as_completed(futures):
        failed = future.status != "finished"
        yield (
            by_key[future.key],
            None if failed else future.result(),
            repr(future.exception()) if failed else None,
        )
        future.release()
