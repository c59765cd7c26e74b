"""Messages about faults of a label set.

This module is a part of the verifier and uses neither Django nor the database.
"""

import errno

from mekiki.config.messages import Messages, gettext_noop, printable

# The reason why a file cannot be opened, by its error number.
OPENING = {
    errno.ENOENT: gettext_noop("it does not exist"),
    errno.EACCES: gettext_noop("this user may not read it"),
}

PROBLEMS = Messages("problems of label sets", default=printable, marked=("why",))
PROBLEMS.add("unreadable", gettext_noop("The file cannot be read: %(why)s."))
PROBLEMS.add("not_ours", gettext_noop("This is not a label set as Mekiki wrote it: %(why)s."))
PROBLEMS.add("duplicate", gettext_noop("The zip holds %(name)s more than once."))
PROBLEMS.add("missing", gettext_noop("%(name)s is missing from the zip."))
PROBLEMS.add("extra", gettext_noop("%(name)s is in the zip, but the manifest does not name it."))
PROBLEMS.add("broken", gettext_noop("%(name)s cannot be unpacked: it is damaged."))
PROBLEMS.add("too_dense", gettext_noop("%(name)s would unpack to an implausible size and was not read."))
PROBLEMS.add("size", gettext_noop("%(name)s has %(found)s bytes; the manifest says %(expected)s."))
PROBLEMS.add("hash", gettext_noop("%(name)s was changed: its SHA-256 is not the one in the manifest."))
PROBLEMS.add("manifest", gettext_noop("The manifest is not valid: %(why)s."))
PROBLEMS.add("key", gettext_noop("The public key in the zip is not an Ed25519 key."))
PROBLEMS.add(
    "signature",
    gettext_noop("The signature does not fit the manifest: it was changed, or signed by another key."),
)
PROBLEMS.add(
    "other_key",
    gettext_noop(
        "The label set was signed with a different key. The fingerprint of that key is %(fingerprint)s."
    ),
)
PROBLEMS.add("contents", gettext_noop("The content of %(name)s is not valid: %(why)s."))
PROBLEMS.add("row", gettext_noop("Row %(row)s of labels.jsonl: %(why)s."))
PROBLEMS.add("order", gettext_noop("Row %(row)s of labels.jsonl is out of order, or its image occurs twice."))
PROBLEMS.add("table", gettext_noop("Row %(row)s of labels.csv does not agree with labels.jsonl."))
PROBLEMS.add("image", gettext_noop("Row %(row)s of labels.jsonl names an image file that is not in the zip."))
PROBLEMS.add("keys", gettext_noop("The content of keys.json is not valid: %(why)s."))
PROBLEMS.add("seals", gettext_noop("The content of seals.jsonl is not valid: %(why)s."))
PROBLEMS.add("unsealed", gettext_noop("Row %(row)s of labels.jsonl: no seal covers its decision."))
PROBLEMS.add("seal_signature", gettext_noop("Seal %(seal)s is not signed by one of the keys in keys.json."))
PROBLEMS.add(
    "seal_rows",
    gettext_noop(
        "The decisions under seal %(seal)s are not what was sealed: one of them was changed, or is missing."
    ),
)
PROBLEMS.add("seal_log", gettext_noop("Seal %(seal)s does not lead to the root over all seals."))
PROBLEMS.add("count", gettext_noop("The manifest lists %(expected)s %(what)s, but there are %(found)s."))
PROBLEMS.add("more", gettext_noop("There are more problems; the first %(shown)s are shown."))
