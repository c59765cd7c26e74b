from collections.abc import Callable

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "mekiki.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Connect the signals of logins and logouts, and register the chores that send waiting mails."""
        from mekiki.accounts import logins  # noqa: F401
        from mekiki.jobs.chores import PeriodicTask, register

        def prepare_resets() -> Callable[[], object]:
            from mekiki.accounts.mail_reset import send_waiting_resets

            return send_waiting_resets

        def prepare_mails() -> Callable[[], object]:
            from mekiki.accounts.outbox import send_waiting_mails

            return send_waiting_mails

        register(PeriodicTask("send links for lost passwords", 10.0, prepare_resets))
        register(PeriodicTask("send mails", 10.0, prepare_mails))
