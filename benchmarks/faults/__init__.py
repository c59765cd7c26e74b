"""Parts of `benchmarks/chaos.py`: faults of a running platform, and the figures about its work."""
