"""Parts of `benchmarks/certify.py` and `benchmarks/coverage.py`: certified labels and audit intervals."""
