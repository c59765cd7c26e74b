"""Messages about discrepancies of a certificate: a code and its English text."""

from verification.sentences import gettext_noop

PROBLEMS = {
    "seed": gettext_noop("The seed of the certificate is not a number of 32 bytes."),
    "commitment": gettext_noop("The seed does not fit the commitment that was recorded before the audit."),
    "digest": gettext_noop("The pool of the certificate holds a digest that is not valid: %(image)s."),
    "twice": gettext_noop("The pool of the certificate holds image %(image)s twice."),
    "scope": gettext_noop(
        "Image %(image)s of the pool is predicted as %(label)s, which is outside the certificate's scope."
    ),
    "unknown": gettext_noop("Image %(image)s is not in the pool that was frozen for the certificate."),
    "pool": gettext_noop(
        "The pool or the protocol of the certificate differs from the frozen pool or protocol."
    ),
    "no_candidate": gettext_noop("Audited image %(image)s is not a candidate of the certificate."),
    "order": gettext_noop(
        "Audited image %(number)s (%(image)s) is not at its place in the audit order of the seed."
    ),
    "decision": gettext_noop(
        "The label %(label)s of audited image %(image)s does not follow from its decisions."
    ),
    "left_out": gettext_noop(
        "Image %(image)s was left out of the audit, although images after it in the audit order were audited."
    ),
    "region": gettext_noop(
        "The certificate states a region of %(stated)s images. The audit supports %(computed)s."
    ),
    "bound": gettext_noop(
        "The certificate states a bound of %(stated)s labels. The audit gives %(computed)s."
    ),
    "labels_twice": gettext_noop("A label set by machine is listed twice."),
    "outside": gettext_noop(
        "Image %(image)s has a label set by machine but is outside the certified region."
    ),
    "missing_label": gettext_noop("Image %(image)s of the certified region has no label set by machine."),
}
