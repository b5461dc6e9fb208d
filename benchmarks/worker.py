"""A contender in a process of its own, with its own environment, driven step by step.

Two frameworks in one process share threads and settings; in two, each runs as its user would run
it, and the one that waits takes no time from the one at work.
"""

import importlib
import os
import subprocess
import sys
import time
from multiprocessing.connection import Connection, Pipe

from benchmarks.machine import peak_memory


class Worker:
    """A running contender.

    Parameters
    ----------
    contender : str
        The name of a module in `benchmarks.contenders`.
    **environment : str or None
        Environment variables to set, or with None to unset.
    """

    def __init__(self, contender, **environment):
        kept = {name: value for name, value in os.environ.items() if name not in environment}
        given = {name: value for name, value in environment.items() if value is not None}
        self._pipe, child = Pipe()
        command = [sys.executable, "-m", "benchmarks.worker", contender, str(child.fileno())]
        self._process = subprocess.Popen(command, env=kept | given, pass_fds=[child.fileno()])
        child.close()  # so that the pipe breaks when the process dies

    def start(self, *arguments):
        """Call the contender's `start`: what `train` does from now on."""
        return self._ask("start", arguments)

    def train(self, batches):
        """Train, and return the mean loss and the seconds that it took."""
        return self._ask("train", batches)

    def peak_memory(self):
        """Return the most memory that the process has held so far, in bytes."""
        return self._ask("peak_memory", None)

    def close(self):
        """End the process."""
        self._pipe.close()
        self._process.wait()

    def _ask(self, *request):
        self._pipe.send(request)
        return self._pipe.recv()


def serve(contender, pipe):
    """Answer requests until the other end closes."""
    train = None
    while True:
        try:
            request, argument = pipe.recv()
        except EOFError:
            return
        answer = None
        if request == "start":
            train = contender.start(*argument)
        elif request == "train":
            start = time.perf_counter()
            loss = train(argument)
            answer = loss, time.perf_counter() - start
        else:
            answer = peak_memory()
        pipe.send(answer)


if __name__ == "__main__":
    serve(
        importlib.import_module(f"benchmarks.contenders.{sys.argv[1]}"),
        Connection(int(sys.argv[2])),
    )
