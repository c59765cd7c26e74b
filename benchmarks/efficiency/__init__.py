"""Parts of `benchmarks/learning.py`: label efficiency of each head and acquisition function."""
