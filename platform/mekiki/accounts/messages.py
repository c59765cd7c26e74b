"""Messages about accounts: mails about a change, and reasons why a sign-on fails."""

from mekiki.config.messages import Messages, gettext_noop

# What changed, by the kind of the event (notices.py).
ACCOUNT_CHANGES = Messages("mails about accounts")
ACCOUNT_CHANGES.add("user.password_changed", gettext_noop("The password of your account was changed."))
ACCOUNT_CHANGES.add(
    "user.password_reset", gettext_noop("Your account was given a new password by an admin of the platform.")
)
ACCOUNT_CHANGES.add(
    "user.password_reset_by_mail",
    gettext_noop("The password of your account was changed by a link that was mailed to you."),
)
ACCOUNT_CHANGES.add("user.mail_changed", gettext_noop("The mail address of your account was changed."))
ACCOUNT_CHANGES.add("user.app_added", gettext_noop("An authenticator app was added to your account."))
ACCOUNT_CHANGES.add("user.app_removed", gettext_noop("The authenticator app of your account was removed."))
ACCOUNT_CHANGES.add("user.passkey_added", gettext_noop("A passkey was added to your account."))
ACCOUNT_CHANGES.add("user.passkey_removed", gettext_noop("A passkey of your account was removed."))
ACCOUNT_CHANGES.add("user.sign_on_linked", gettext_noop("Single sign-on was linked to your account."))
ACCOUNT_CHANGES.add(
    "user.sign_on_unlinked", gettext_noop("A link of single sign-on was removed from your account.")
)
ACCOUNT_CHANGES.add(
    "user.recovery_codes_made", gettext_noop("New recovery codes were made for your account.")
)
ACCOUNT_CHANGES.add(
    "user.factors_reset",
    gettext_noop("All second factors of your account were removed by an admin of the platform."),
)

# Why a sign-on fails (sign_on/failures.py). "untrusted" is for every other reason.
SIGN_ON_FAILURES = Messages("failures of single sign-on")
SIGN_ON_FAILURES.add(
    "untrusted",
    gettext_noop(
        "The answer of the provider could not be trusted. Nothing was done. Try again; if it happens again, "
        "ask an admin of the platform."
    ),
)
SIGN_ON_FAILURES.add("cancelled", gettext_noop("Single sign-on was cancelled. Nothing was done."))
SIGN_ON_FAILURES.add(
    "state",
    gettext_noop(
        "This sign-on was not begun in this browser, took longer than ten minutes, or was used before. "
        "Nothing was done. Begin again."
    ),
)
SIGN_ON_FAILURES.add(
    "unreachable",
    gettext_noop(
        "The provider of single sign-on did not answer. Nothing was done. Try again later, or log in with "
        "your password."
    ),
)
SIGN_ON_FAILURES.add(
    "setup",
    gettext_noop(
        "Single sign-on is not set up correctly on this site. Nothing was done. Log in with your password, "
        "and ask an admin of the platform."
    ),
)
SIGN_ON_FAILURES.add(
    "provider",
    gettext_noop(
        "The provider of single sign-on refused. Nothing was done. Try again, or log in with your password."
    ),
)
SIGN_ON_FAILURES.add(
    "group",
    gettext_noop(
        "The provider does not list you in a group that may use this site. Nothing was done. Ask an admin of "
        "the platform."
    ),
)
SIGN_ON_FAILURES.add(
    "not_linked",
    gettext_noop(
        "No user of this site belongs to this sign-on. No account was created. If you have a user here: log "
        "in with your password, then link single sign-on on the page of your account. If not: ask an admin "
        "of the platform."
    ),
)
SIGN_ON_FAILURES.add(
    "logged_in", gettext_noop("Another user is logged in here already. Nothing was done. Log out first.")
)
SIGN_ON_FAILURES.add(
    "not_yours",
    gettext_noop(
        "You signed on as a different user. Nothing was done. Log out first, or sign on as the user who is"
        " logged in here."
    ),
)
SIGN_ON_FAILURES.add(
    "auth_time",
    gettext_noop(
        "The provider did not ask for your identity again, so the confirmation is not valid. Nothing was"
        " done. Confirm in another way."
    ),
)
