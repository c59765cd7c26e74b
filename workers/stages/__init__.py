"""The stages: one module a kind of job, each with `run(job, report)`. They put `workers.steps` in order."""
