"""A simulated reviewer, and the commands `mekiki demo` and `mekiki replay` that use it.

The simulated reviewer answers from a hidden truth through the same services and APIs as human reviewers.
Users can thus measure what labelling their own data would have cost. No other part of Mekiki imports this
package.
"""
