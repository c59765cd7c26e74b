"""The lock that every act on a certificate takes first."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mekiki.quality.models import Certificate


def lock_certificate(certificate: Certificate, *states: str) -> Certificate:
    """Lock and return the certificate. Raises ValidationError if it is in none of the states."""
    certificate = (
        Certificate.objects.select_for_update(of=("self",))
        .select_related("dataset", "head")
        .get(pk=certificate.pk)
    )
    if certificate.state not in states:
        raise ValidationError(
            _("The certificate is in another state now (%(state)s). Nothing was changed; reload the page.")
            % {"state": certificate.get_state_display()}
        )
    return certificate
