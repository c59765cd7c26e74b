from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "mekiki.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Listen to logins and logouts; the sweeper sends the mails that wait."""
        from mekiki.accounts import logins  # noqa: F401
        from mekiki.accounts.mail_reset import send_waiting
        from mekiki.jobs.chores import Chore, register

        register(Chore("send mails", 10.0, lambda: send_waiting))
