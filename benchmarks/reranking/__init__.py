"""Parts of `benchmarks/rerank.py`."""
