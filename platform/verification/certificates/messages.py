"""Messages about discrepancies of a certificate: a code and its English text."""

from verification.sentences import gettext_noop

PROBLEMS = {
    "certificate_seed": gettext_noop("The seed of the certificate is not a number of 32 bytes."),
    "certificate_commitment": gettext_noop(
        "The seed does not fit the commitment that was recorded before the audit."
    ),
    "certificate_digest": gettext_noop(
        "The pool of the certificate holds a digest that is not valid: %(image)s."
    ),
    "certificate_twice": gettext_noop("The pool of the certificate holds image %(image)s twice."),
    "certificate_scope": gettext_noop(
        "Image %(image)s of the pool is predicted as %(label)s, which is outside the certificate's scope."
    ),
    "certificate_unknown": gettext_noop(
        "Image %(image)s is not in the pool that was frozen for the certificate."
    ),
    "certificate_pool": gettext_noop(
        "The pool or the protocol of the certificate differs from the frozen pool or protocol."
    ),
    "certificate_candidate": gettext_noop(
        "The frozen pool is not valid: image %(image)s has a rank although the protocol excludes it, or has"
        " none although it is a candidate."
    ),
    "certificate_rank": gettext_noop(
        "The frozen pool is not valid: rank %(rank)s is missing, or does not follow from the confidence."
    ),
    "certificate_audits": gettext_noop(
        "The audit of the certificate is not valid: an image is both audited and labelled by people"
        " outside the audit."
    ),
    "certificate_no_candidate": gettext_noop(
        "Audited image %(image)s is not a candidate of the certificate."
    ),
    "certificate_order": gettext_noop(
        "Audited image %(number)s (%(image)s) is not at its place in the audit order of the seed."
    ),
    "certificate_decision": gettext_noop(
        "The label %(label)s of audited image %(image)s does not follow from its decisions."
    ),
    "certificate_left_out": gettext_noop(
        "Image %(image)s was left out of the audit, although images after it in the audit order were audited."
    ),
    "certificate_region": gettext_noop(
        "The certificate states a region of %(stated)s images. The audit supports %(computed)s."
    ),
    "certificate_bound": gettext_noop(
        "The certificate states a bound of %(stated)s labels. The audit gives %(computed)s."
    ),
    "certificate_critical_bound": gettext_noop(
        "The certificate states at most %(stated)s critical images with another label. The audit gives"
        " %(computed)s."
    ),
    "certificate_labels_twice": gettext_noop("A label set by machine is listed twice."),
    "certificate_outside": gettext_noop(
        "Image %(image)s has a label set by machine but is outside the certified region."
    ),
    "certificate_missing_label": gettext_noop(
        "Image %(image)s of the certified region has no label set by machine."
    ),
}
