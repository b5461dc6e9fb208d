"""Command line of the benchmarks."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import growth, guard, layers, limits, machine, steps, waits, workers

PARTS = {
    "steps": steps,
    "limits": limits,
    "layers": layers,
    "growth": growth,
    "workers": workers,
    "waits": waits,
}
RESULTS = Path(__file__).with_name("results.json")


def main():
    """Run what is asked for, print it, and keep the results of a whole run."""
    arguments = parse()
    if arguments.guard:
        sys.exit(guard.guard(json.loads(RESULTS.read_text())["steps"], arguments.repeats))
    out = arguments.out or (None if arguments.only else RESULTS)
    results = {"machine": machine.describe(), "repeats": arguments.repeats}
    for name in [arguments.only] if arguments.only else PARTS:
        print(f"{PARTS[name].__doc__}\n", flush=True)
        results[name] = PARTS[name].measure(arguments.repeats)
        print(f"{PARTS[name].report(results[name])}\n", flush=True)
    if out:
        out.write_text(json.dumps(results, indent=1) + "\n")
        print(f"Written to {out}")


def parse():
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="run this part alone and print it")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contender")
    parser.add_argument("--out", type=Path, help=f"JSON file; {RESULTS.name} for a whole run")
    parser.add_argument(
        "--guard", action="store_true", help="compare a quick run's ratios with the stored ones"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
