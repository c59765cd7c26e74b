"""Creates a proof from the database: rows, or older heads, are under the newest seal."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.translation import gettext as _

from mekiki.audit.models import Seal, SealLeaves, SigningKey
from mekiki.audit.sealed_tables import sealed_table
from mekiki.audit.sealing import signed_facts_of
from verification import merkle, proof_file
from verification.canonical import canonical


class CannotProveError(Exception):
    """An error for a row or a head that cannot be proven.

    The text gives the reason and the next step, in the reader's language.
    """


def make_proof(*, rows: Sequence[tuple[str, int]] = (), heads: Iterable[int] = ()) -> bytes:
    """Return the contents of a file that proves rows, and older heads, under the newest seal.

    `rows` are pairs (table, id), and `heads` are numbers of seals. Raises CannotProveError.
    """
    newest = Seal.objects.select_related("key").order_by("-number").first()
    if newest is None:
        raise CannotProveError(
            _("Nothing is sealed yet. The worker seals events and answers every ten minutes.")
        )
    hashes = [bytes(value) for value in Seal.objects.order_by("number").values_list("hash", flat=True)]
    return canonical(
        {
            "format": proof_file.FORMAT,
            "version": proof_file.VERSION,
            "head": signed_facts_of(newest).as_json(),
            "keys": key_list(),
            "rows": [_row(table, pk, hashes) for table, pk in rows],
            "heads": [_head(number, hashes) for number in heads],
        }
    )


def key_list() -> list[dict[str, str]]:
    """Return the platform's public keys, the oldest first, in the form that key_list.read_keys reads."""
    return [
        {
            "fingerprint": key.fingerprint,
            "public_pem": key.public_pem,
            "act": key.act,
            "endorsement": bytes(key.endorsement).hex(),
        }
        for key in SigningKey.objects.order_by("pk")
    ]


def _row(name: str, pk: int, hashes: list[bytes]) -> dict[str, Any]:
    names = {"table": _(name), "id": pk}
    table = sealed_table(name)
    content = next((text for _pk, text in table.rows(after=pk - 1, upto=pk)), None) if table else None
    if content is None:
        raise CannotProveError(_("%(table)s: there is no row %(id)s.") % names)
    seal = Seal.objects.filter(table=name, first_id__lte=pk, last_id__gte=pk).first()
    if seal is None:
        raise CannotProveError(
            _("%(table)s: row %(id)s is not sealed yet. Try again in ten minutes.") % names
        )
    kept = SealLeaves.objects.get(seal=seal)
    ids = struct.unpack(f">{seal.rows}q", bytes(kept.ids))
    leaves = [bytes(kept.hashes)[at : at + 32] for at in range(0, 32 * seal.rows, 32)]
    index = ids.index(pk) if pk in ids else -1
    if index < 0 or leaves[index] != merkle.leaf_hash(content):
        raise CannotProveError(
            _(
                "%(table)s: row %(id)s differs from its sealed content. “mekiki audit verify” names "
                "every such row."
            )
            % names
        )
    return {
        "row": content.decode(),
        "index": index,
        "path": [step.hex() for step in merkle.inclusion_proof(leaves, index)],
        "seal": signed_facts_of(seal).body(),
        "seal_path": [step.hex() for step in merkle.inclusion_proof(hashes, seal.number - 1)],
    }


def _head(number: int, hashes: list[bytes]) -> dict[str, Any]:
    if not 0 < number <= len(hashes):
        raise CannotProveError(
            _("There is no seal %(number)s; the newest is %(newest)s.")
            % {"number": number, "newest": len(hashes)}
        )
    return {
        "seal": number,
        "log_root": merkle.root_of(hashes[:number]).hex(),
        "path": [step.hex() for step in merkle.consistency_proof(hashes, number)],
    }
