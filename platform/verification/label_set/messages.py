"""Messages about faults of a label set: a code and its English text."""

import errno

from verification.certificates.messages import PROBLEMS as CERTIFICATE_PROBLEMS
from verification.sentences import gettext_noop

# The reason why a file cannot be opened, by its error number.
OPENING = {
    errno.ENOENT: gettext_noop("it does not exist"),
    errno.EACCES: gettext_noop("this user may not read it"),
}

PROBLEMS = {
    "unreadable": gettext_noop("The file cannot be read: %(why)s."),
    "not_ours": gettext_noop("This is not a label set as Mekiki wrote it: %(why)s."),
    "duplicate": gettext_noop("The zip holds %(name)s more than once."),
    "missing": gettext_noop("%(name)s is missing from the zip."),
    "extra": gettext_noop("%(name)s is in the zip, but the manifest does not name it."),
    "broken": gettext_noop("%(name)s cannot be unpacked: it is damaged."),
    "too_dense": gettext_noop("%(name)s would unpack to an implausible size and was not read."),
    "size": gettext_noop("%(name)s has %(found)s bytes; the manifest says %(expected)s."),
    "hash": gettext_noop("%(name)s was changed: its SHA-256 is not the one in the manifest."),
    "manifest": gettext_noop("The manifest is not valid: %(why)s."),
    "key": gettext_noop("The public key in the zip is not an Ed25519 key."),
    "signature": gettext_noop(
        "The signature does not fit the manifest: it was changed, or signed by another key."
    ),
    "other_key": gettext_noop(
        "The label set was signed with a different key. The fingerprint of that key is %(fingerprint)s."
    ),
    "contents": gettext_noop("The content of %(name)s is not valid: %(why)s."),
    "row": gettext_noop("Row %(row)s of labels.jsonl: %(why)s."),
    "order": gettext_noop("Row %(row)s of labels.jsonl is out of order, or its image occurs twice."),
    "table": gettext_noop("Row %(row)s of labels.csv does not agree with labels.jsonl."),
    "image": gettext_noop("Row %(row)s of labels.jsonl names an image file that is not in the zip."),
    "keys": gettext_noop("The content of keys.json is not valid: %(why)s."),
    "seals": gettext_noop("The content of seals.jsonl is not valid: %(why)s."),
    "unsealed": gettext_noop("Row %(row)s of labels.jsonl: no seal covers its decision."),
    "seal_signature": gettext_noop("Seal %(seal)s is not signed by one of the keys in keys.json."),
    "seal_rows": gettext_noop(
        "The decisions under seal %(seal)s are not what was sealed: one of them was changed, or is missing."
    ),
    "seal_log": gettext_noop("Seal %(seal)s does not lead to the root over all seals."),
    "count": gettext_noop("The manifest lists %(expected)s %(what)s, but there are %(found)s."),
    "certificate_events": gettext_noop(
        "certificate.json does not hold the five sealed events of one certificate in their order: started,"
        " frozen, ended, accepted, labels set."
    ),
    "certificate_event": gettext_noop(
        "The event “%(kind)s”, recorded in the audit log, holds another value of %(what)s than"
        " certificate.json."
    ),
    "certificate_unsealed": gettext_noop(
        "Row %(id)s of the table “%(table)s”, which the certificate names, is not what was sealed."
    ),
    "certificate_answer": gettext_noop(
        "Decision %(id)s does not count for audited image %(image)s: it is about another image or item, was"
        " not blind, or was not given between the freeze and the acceptance."
    ),
    "certificate_uncounted": gettext_noop(
        "Decision %(id)s about audited image %(image)s is not counted although nobody took it back, or is"
        " counted although it names no label."
    ),
    "certificate_label": gettext_noop(
        "Row %(row)s of labels.jsonl: the label set by machine for image %(image)s is not the prediction"
        " that was frozen for the certificate."
    ),
    "certificate_uncounted_label": gettext_noop(
        "Row %(row)s of labels.jsonl: a person labelled image %(image)s during the audit of the"
        " certificate, but the certificate does not count this label."
    ),
    "certificate_listed": gettext_noop(
        "certificate.json lists image %(image)s as not included, but labels.jsonl has a label of it."
    ),
    "more": gettext_noop("There are more problems; the first %(shown)s are shown."),
}
PROBLEMS |= CERTIFICATE_PROBLEMS
