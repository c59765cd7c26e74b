"""What benchmarks/rerank.py is made of."""
