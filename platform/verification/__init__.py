"""The offline verifiers: they check label sets, audit files and proofs without the platform.

The package uses the standard library, `cryptography` and `rfc8785`. It imports neither Django nor `mekiki`,
needs no database and no network, and never reads a private key. `python -m verification.label_set FILE [KEY]`
checks a label set. `python -m verification.audit_file FILE [KEY…]` checks an audit file or a proof. The
platform imports this package too, so it writes and checks by the same code (docs/decisions/0030).
"""
