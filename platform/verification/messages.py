"""Messages about differences from the sealed state: a code and its English text."""

from verification.sentences import gettext_noop

# The names of the sealed tables, for the translation catalogues.
TABLES = (
    gettext_noop("events"),
    gettext_noop("decisions"),
    gettext_noop("audit_share_changes"),
    gettext_noop("audit_retirements"),
)

FINDINGS = {
    "row_changed": gettext_noop("%(table)s: row %(id)s was changed after seal %(seal)s was made."),
    "row_removed": gettext_noop("%(table)s: row %(id)s of seal %(seal)s was removed."),
    "row_inserted": gettext_noop(
        "%(table)s: row %(id)s was inserted among the rows of seal %(seal)s after the seal was made."
    ),
    "row_moved": gettext_noop(
        "%(table)s: row %(id)s has the content that was sealed as row %(other)s (seal %(seal)s): the rows"
        " were re-ordered."
    ),
    "row_order": gettext_noop("%(table)s: row %(id)s is not in the order of the ids."),
    "row_extra": gettext_noop("%(table)s: row %(id)s is in the file, but no seal covers it."),
    "rows_differ": gettext_noop(
        "%(table)s: the rows %(first)s to %(last)s differ from the rows that seal %(seal)s covers. The row"
        " that differs cannot be identified, because the hashes stored for the seal were changed too."
    ),
    "leaves": gettext_noop("The hashes kept for the rows of seal %(seal)s are missing or were changed."),
    "seal_missing": gettext_noop("Seal %(seal)s is missing."),
    "seal_changed": gettext_noop("Seal %(seal)s was changed: its signature is not valid."),
    "seal_chain": gettext_noop("Seal %(seal)s does not follow from the seal before it."),
    "seal_range": gettext_noop("Seal %(seal)s covers rows that another seal covers."),
    "seal_table": gettext_noop(
        "Seal %(seal)s covers the table “%(table)s”, which is unknown here: its rows were not checked."
    ),
    "log_root": gettext_noop("The root over all seals up to seal %(seal)s differs."),
    "head": gettext_noop(
        "Seal %(seal)s does not match the given head: seals were created again, or are missing."
    ),
    "row_unproven": gettext_noop("%(table)s: the proof does not lead from row %(id)s to seal %(seal)s."),
    "seal_unproven": gettext_noop("The proof does not lead from seal %(seal)s to the head of seal %(head)s."),
    "head_unproven": gettext_noop(
        "The proof does not show that the head of seal %(seal)s is a beginning of the head of seal %(head)s."
    ),
    "head_absent": gettext_noop("The proof does not cover the given head of seal %(seal)s."),
    "key_unknown": gettext_noop("Seal %(seal)s names a key that is not among the keys of the platform."),
    "key_link": gettext_noop("The key %(fingerprint)s replaced another, which did not sign for it."),
    "key_other": gettext_noop(
        "The seals after seal %(seal)s are signed with a different key than you gave. Its fingerprint is"
        " %(fingerprint)s."
    ),
    "time_stamp": gettext_noop("The time stamp of seal %(seal)s by %(authority)s does not fit: %(why)s."),
    "unreadable": gettext_noop("The file cannot be read: %(why)s."),
    "not_ours": gettext_noop("This is not an audit file as Mekiki wrote it: %(why)s."),
    "more": gettext_noop("There are more differences; the first %(shown)s are shown."),
}
