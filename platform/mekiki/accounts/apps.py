from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "mekiki.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Connect the signals of logins and logouts, and register the chores that send waiting mails."""
        from mekiki.accounts import logins  # noqa: F401
        from mekiki.jobs.chores import register_function

        register_function(
            "send links for lost passwords", 10.0, "mekiki.accounts.mail_reset.send_waiting_resets"
        )
        register_function("send mails", 10.0, "mekiki.accounts.outbox.send_waiting_mails")
