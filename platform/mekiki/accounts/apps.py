from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "mekiki.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Listen to logins and logouts."""
        from mekiki.accounts import logins  # noqa: F401
