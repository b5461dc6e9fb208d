"""Command line of the benchmarks."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks import growth, guard, layers, limits, machine, steps, tried, waits, workers

PARTS = {
    "steps": steps,
    "limits": limits,
    "layers": layers,
    "tried": tried,
    "growth": growth,
    "workers": workers,
    "waits": waits,
}
RESULTS = Path(__file__).with_name("results.json")


def main():
    """Measure what is asked for, print it, and keep it part by part."""
    arguments = parse()
    if arguments.guard:
        sys.exit(guard.guard(json.loads(RESULTS.read_text())["steps"], arguments.repeats))
    for name in arguments.only or PARTS:
        print(f"{PARTS[name].__doc__}\n", flush=True)
        measured = PARTS[name].measure(arguments.repeats)
        print(f"{PARTS[name].report(measured)}\n", flush=True)
        keep(arguments.out, name, measured)
    print(f"Written to {arguments.out}")


def keep(path, name, measured):
    """Put a part's results into the file, beside those of other parts from the same machine."""
    found = {"machine": machine.describe()}
    kept = json.loads(path.read_text()) if path.exists() else {}
    if kept.get("machine") == found["machine"]:
        found = kept
    found[name] = measured
    path.write_text(json.dumps(found, indent=1) + "\n")


def parse():
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure, all by default")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contender")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file of the results")
    parser.add_argument(
        "--guard", action="store_true", help="compare a quick run's ratios with the stored ones"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
