from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "mekiki.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Connect the signals of logins and logouts, and register the chores that send waiting mails."""
        from mekiki.accounts import (
            logins,  # noqa: F401
            mail_reset,
            outbox,
        )
        from mekiki.jobs.chores import PeriodicTask, register

        register(PeriodicTask("send links for lost passwords", 10.0, lambda: mail_reset.send_waiting_resets))
        register(PeriodicTask("send mails", 10.0, lambda: outbox.send_waiting_mails))
