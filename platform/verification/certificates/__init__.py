"""Definitions of a certificate that server and offline verifier share: order, regions, tests and result.

Standard library only. docs/explanation/certificates.md states hypotheses, proofs and sources.
"""
