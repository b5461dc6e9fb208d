"""How fast the package is, against what a reader would use instead: `python -m benchmarks`."""
