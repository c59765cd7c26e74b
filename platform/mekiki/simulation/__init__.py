"""A simulated reviewer, and the two commands built on it: `mekiki demo` and `mekiki replay`.

It answers from a hidden truth through the same doors people use, so that anyone can ask what labelling
their own data would have cost. It is no part of the product's loop: nothing imports it.
"""
