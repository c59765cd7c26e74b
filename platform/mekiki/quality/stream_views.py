"""Pages of a certificate's extension to later images: its acts, and the images in doubt."""

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import includes_role
from mekiki.accounts.http import parse_number, user_of
from mekiki.accounts.models import Role
from mekiki.config.keyset import page_by
from mekiki.quality.certificates import certificate_for
from mekiki.quality.percent_field import PercentField
from mekiki.quality.services import certificates
from mekiki.quality.stream_facts import stream_facts
from mekiki.quality.streams import doubtful_images
from mekiki.review.blinding import set_shown_attributes

PAGE_SIZE = 48


class StreamForm(forms.Form):
    """The share of later images that reviewers audit."""

    share = PercentField(
        label=gettext_lazy("Share of the later images that reviewers audit (%)"),
        initial=0.02,
        least=0.01,
        help_text=gettext_lazy(
            "A larger share finds a change sooner and costs more answers. The images are drawn at random."
        ),
    )


@require_safe
def stream(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Show the later images after the last good checkpoint, with the act that sends them to review."""
    shown = certificate_for(user_of(request), slug, version)
    facts = stream_facts(shown.pk)
    if facts is None:
        raise Http404
    page, after = page_by(
        doubtful_images(facts.stream).select_related("image", "label"),
        "number",
        PAGE_SIZE,
        after=parse_number(request.GET.get("after", "")),
    )
    set_shown_attributes(shown.dataset, [row.image for row in page])
    context = {
        "dataset": shown.dataset,
        "section": "quality",
        "certificate": shown,
        "facts": facts,
        "rows": page,
        "may_act": includes_role(shown.dataset.role, Role.ADMIN),
        "older_url": f"?after={after}" if after else "",
        "newer_url": "?" if request.GET.get("after") else "",
    }
    return render(request, "quality/certificate_stream.html", context)


@require_POST
def act(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """Extend a certificate to later images, end the extension, or send the images in doubt to review."""
    user = user_of(request)
    shown = certificate_for(user, slug, version, Role.ADMIN)
    asked = request.POST.get("act", "")
    target = "certificate"
    try:
        if asked == "extend":
            form = StreamForm(request.POST)
            if not form.is_valid():
                raise ValidationError([text for texts in form.errors.values() for text in texts])
            certificates.extend_to_stream(certificate=shown, user=user, share=form.cleaned_data["share"])
            done = _("Extended. The labels of later images are set after their prediction.")
        elif asked == "end":
            certificates.end_stream(certificate=shown, user=user)
            done = _("Ended. No further label of a later image is set.")
        elif asked == "recheck":
            target = "certificate-stream"
            sent = certificates.recheck_doubtful(certificate=shown, user=user)
            done = ngettext(
                "%(n)d image waits for review now.", "%(n)d images wait for review now.", sent
            ) % {"n": sent}
        else:
            raise Http404
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, done)
    return redirect(target, slug, version)
