"""The stages: one module per kind of job, each with `run(job, report)`.

A stage calls `workers.steps` in order.
"""
