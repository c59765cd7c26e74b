"""Why the figures of a certificate can be believed, for readers who never took statistics."""

from dataclasses import dataclass

from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Explanation:
    """The explanation of one figure. anchor: its id on the page, to which the pages link."""

    anchor: str
    title: str
    text: str


def explanations() -> list[Explanation]:
    """Return the explanations in the order of the page."""
    return [
        Explanation(
            "statement",
            _("The statement"),
            _(
                "A certificate is about the labels that the machine sets, and about nothing else. A label "
                "counts as wrong if your reviewers decide otherwise. So the certificate does not say that "
                "your reviewers are right, and it says nothing about images that are imported later."
            ),
        ),
        Explanation(
            "risk",
            _("The risk"),
            _(
                "The test looks at a random sample, and a sample can be lucky. With a risk of 5 %, at most "
                "5 of 100 certificates are granted although more labels are wrong than the certificate "
                "states. This is proven for every pool and every head; it does not assume that the "
                "confidences are right."
            ),
        ),
        Explanation(
            "sample",
            _("The random sample"),
            _(
                "At the start, the computer draws a secret number and publishes its fingerprint in the "
                "activity log. The number decides the order in which images are judged. When the audit "
                "ends, the number is shown, and anybody can compute the order again. So nobody can choose "
                "easy images."
            ),
        ),
        Explanation(
            "forecast",
            _("The forecast"),
            _(
                "Before the start, the computer plays the audit 200 times on your images. It takes the "
                "confidences of the head, and corrects them by how often the head was right on the audit "
                "sample. The ranges show where 8 of 10 of these runs end. A wrong forecast costs answers or "
                "labels; the statement of the certificate stays as true as before."
            ),
        ),
        Explanation(
            "evidence",
            _("The evidence"),
            _(
                "The evidence says how much better the answers fit few errors than too many errors. It "
                "starts at 1, and each right answer raises it. With a risk of 5 %, 20 is needed, because "
                "evidence of 20 arises by luck in at most 1 of 20 audits with too many errors. This holds "
                "however often you look, so you may end a watched audit at any time. The planned test has a "
                "fixed number of answers and counts only at its end."
            ),
        ),
        Explanation(
            "open",
            _("Skipped and open images"),
            _(
                "An image of the audit without a label counts as wrong until it is resolved. So nothing is "
                "gained by leaving out hard images."
            ),
        ),
        Explanation(
            "bound",
            _("The largest number of wrong labels"),
            _(
                "The share of the statement, applied to the labels that the machine sets. With 2 % of 1,500 "
                "labels, it is 30. Wrong labels that the audit found are corrected already and do not "
                "count."
            ),
        ),
        Explanation(
            "critical",
            _("Critical labels"),
            _(
                "A machine never sets a critical label. Images that look critical are left to people, too. "
                "If a critical image still gets another label by machine, this is a wrong label, and it is "
                "part of the largest number of wrong labels."
            ),
        ),
        Explanation(
            "whole-pool",
            _("The weaker statement about all labels"),
            _(
                "It counts the labels of people and of the machine together. Because the labels of people "
                "count as right, more labels by machine may be wrong. It allows more labels by machine, and "
                "says less about each of them."
            ),
        ),
        Explanation(
            "attempts",
            _("Earlier attempts"),
            _(
                "Each certificate has its own risk. Whoever repeats a certificate until it is granted has a "
                "larger risk in all. So the page shows how many were started before."
            ),
        ),
    ]
