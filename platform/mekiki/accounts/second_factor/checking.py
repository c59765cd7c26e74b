"""The check of an answer to a second factor, at a login and before a sensitive act."""

from collections.abc import Mapping

from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.accounts.second_factor import guesses, services
from mekiki.accounts.second_factor.forms import AssertionForm

# Kind of factor → its name in events.
METHODS = {
    "totp": "app",
    "webauthn": "passkey",
    "recovery_codes": "recovery_code",
    "provider": "provider_factor",
}


def check_answer(
    request: HttpRequest, user: User, posted: Mapping[str, str]
) -> tuple[Authenticator | None, str]:
    """Return the factor that gave the right answer, or None and a message.

    `posted` holds "credential" or "code".
    """
    wait = guesses.register_try(user=user, request=request)
    if wait:
        return None, guesses.wait_text(wait)
    if "credential" in posted:
        form = AssertionForm(posted, user=user)
        if form.is_valid():
            guesses.clear_failures(user=user)
            return form.cleaned_data["credential"], ""
        problem = passkey_error_text(form)
    else:
        used = services.use_code(user=user, code=posted.get("code", "")[:60])
        if used is not None:
            guesses.clear_failures(user=user)
            return used, ""
        problem = _("The code is wrong, too old, or was used before.")
    guesses.record_failure(user=user, request=request)
    return None, problem


def passkey_error_text(form: AssertionForm) -> str:
    """Return the errors of a passkey's answer as one text."""
    return " ".join(str(problem) for problems in form.errors.values() for problem in problems)
