"""Parts of `benchmarks/learning.py`: what accuracy costs in labels, for each head and each way to ask."""
