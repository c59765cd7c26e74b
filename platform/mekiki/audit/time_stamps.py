"""Time stamps (RFC 3161): an authority outside the platform states when a seal existed.

They work by exchange of files, so a platform without a network can use them: write the request, have the
authority answer it (for example
`curl --data-binary @seal.tsq -H 'Content-Type: application/timestamp-query' URL`), and import the reply.
This module uses neither Django nor the database.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.tsp import PKIStatus, TimeStampResponse

from mekiki.config.messages import gettext_noop
from verification.checking import Stamp

MAX_REPLY = 1 << 20
_CERTIFICATES = 0xA0  # [0] of SignedData
_HASHES = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
# The exceptions that reading a damaged certificate can raise.
_UNREADABLE = (
    ValueError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
REFUSED = gettext_noop("the authority did not grant it")
NOT_A_REPLY = gettext_noop("it is no reply of a time-stamping authority")
OTHER_SEAL = gettext_noop("it is not for the statement of this seal")
NOT_CERTIFIED = gettext_noop("it is not signed by an authority of the given certificates")
NO_CERTIFICATE = gettext_noop("the given certificates cannot be read")


@dataclass(frozen=True)
class StampFacts:
    """The contents of a reply: the authority's name and the time."""

    authority: str
    at: datetime


def build_stamp_request(statement: bytes) -> bytes:
    """Return a request (TimeStampReq, DER) for the statement of a seal.

    The request demands the certificate of the authority.
    """
    return TimestampRequestBuilder().data(statement).hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()


@dataclass(frozen=True)
class Reply:
    """A reply of an authority, as it was parsed. Nothing in it is checked yet."""

    response: TimeStampResponse
    certificates: list[x509.Certificate]

    def is_for(self, statement: bytes) -> bool:
        """Return whether the reply names the hash of the statement."""
        imprint = self.response.tst_info.message_imprint
        name = _HASHES.get(imprint.hash_algorithm.dotted_string)
        return name is not None and hashlib.new(name, statement).digest() == imprint.message


def parse_reply(reply: bytes) -> Reply:
    """Parse a reply (TimeStampResp, DER).

    Raises ValueError with the reason if it cannot be parsed, or if the authority refused the request.
    """
    try:
        response = decode_timestamp_response(_with_sorted_certificates(reply))
        granted = PKIStatus(response.status) in (PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS)
        if granted:
            return Reply(
                response, [x509.load_der_x509_certificate(c) for c in response.signed_data.certificates]
            )
    except _UNREADABLE:
        raise ValueError(NOT_A_REPLY) from None
    raise ValueError(REFUSED)


def read_reply(reply: bytes, statement: bytes, roots_pem: bytes) -> StampFacts:
    """Return the contents of a reply after a check that it is for this statement.

    `roots_pem` holds certificates of the authority or of its certifiers. If it is empty, the signer is not
    checked. Raises ValueError with the reason if the reply is not valid.
    """
    parsed = parse_reply(reply)
    try:
        roots = x509.load_pem_x509_certificates(roots_pem) if roots_pem.strip() else []
    except _UNREADABLE:
        raise ValueError(NO_CERTIFICATE) from None
    if not parsed.is_for(statement):
        raise ValueError(OTHER_SEAL)
    try:
        if roots:
            others = [c for c in parsed.certificates if c not in roots and c.issuer != c.subject]
            verifier = VerifierBuilder(intermediates=others, roots=roots).build()
            verifier.verify_message(parsed.response, statement)
        signer = next((c for c in parsed.certificates if _may_stamp(c)), None)
        return StampFacts(
            signer.subject.rfc4514_string() if signer else "", parsed.response.tst_info.gen_time
        )
    except (VerificationError, *_UNREADABLE):
        raise ValueError(NOT_CERTIFIED) from None


def check_stamp(stamp: Stamp, statement: bytes) -> str:
    """Return "" if a stored time stamp is for the statement, else the reason."""
    try:
        read_reply(stamp.reply, statement, stamp.roots_pem)
    except ValueError as error:
        return str(error)
    return ""


def _with_sorted_certificates(reply: bytes) -> bytes:
    """Return the reply with its certificates in DER order.

    Some authorities (for example OpenSSL) do not keep this order. The signature does not cover the order, and
    rfc3161-client refuses any other order.
    """
    try:
        _status, token = _parts(reply, *_inside(reply, 0))
        _kind, content = _parts(reply, *_inside(reply, token[0]))
        (signed,) = _parts(reply, *_inside(reply, content[0]))
        for start, stop in _parts(reply, *_inside(reply, signed[0])):
            if reply[start] == _CERTIFICATES:
                begin, end = _inside(reply, start)
                ordered = sorted(reply[a:b] for a, b in _parts(reply, begin, end))
                return reply[:begin] + b"".join(ordered) + reply[stop:]
    except (ValueError, IndexError):
        pass
    return reply


def _inside(data: bytes, start: int) -> tuple[int, int]:
    """Return the begin and the end of the contents of the DER value at `start`.

    Raises ValueError or IndexError if the value is cut off.
    """
    length, at = data[start + 1], start + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(data[at : at + count]), at + count
    if at + length > len(data):
        raise ValueError("It is cut off.")
    return at, at + length


def _parts(data: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """Return (start, stop) of each DER value between two offsets.

    Raises ValueError or IndexError if a value is cut off.
    """
    ranges = []
    while begin < end:
        stop = _inside(data, begin)[1]
        ranges.append((begin, stop))
        begin = stop
    return ranges


def _may_stamp(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, *_UNREADABLE):
        return False
    return x509.ExtendedKeyUsageOID.TIME_STAMPING in usage
