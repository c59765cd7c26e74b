"""What `benchmarks/chaos.py` does to a running platform, and how it counts what became of the work."""
