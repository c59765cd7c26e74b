"""URL patterns of accounts, under /accounts/."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from mekiki.accounts import lost, own, security, views
from mekiki.accounts.second_factor import views as second_factor
from mekiki.accounts.sign_on import views as sign_on

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="login"),
    path("login/", views.LoginView.as_view(), name="account_login"),  # allauth's name for it
    path("login/code/", second_factor.second_step, name="mfa_authenticate"),
    path("login/passkey/", second_factor.passkey_login, name="passkey-login"),
    path("sign-on/", sign_on.begin, name="sign-on"),
    path("sign-on/callback/", sign_on.callback, name="sign-on-callback"),
    path("sign-on/link/", sign_on.link, name="sign-on-link"),
    path("sign-on/confirm/", sign_on.confirm, name="sign-on-confirm"),
    path("sign-on/<int:account_id>/unlink/", sign_on.unlink, name="sign-on-unlink"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("lost/", lost.request_reset, name="password-lost"),
    path("lost/<str:key>/<str:token>/", lost.open_reset_link, name="password-reset-link"),
    path("lost/new/", lost.choose_password, name="password-reset"),
    path("me/", views.account, name="account"),
    path("mail/", own.change_email, name="own-mail"),
    path("mail/<str:token>/", own.use_email_link, name="own-mail-link"),
    path("password/", own.change_password, name="password-change"),
    path("sessions/", own.sessions_page, name="sessions"),
    path("logins/", security.logins, name="logins"),
    path("second-factor/", second_factor.index, name="second-factor"),
    path("second-factor/app/", second_factor.app_add, name="second-factor-app"),
    path("second-factor/passkey/", second_factor.passkey_add, name="passkey-add"),
    path("second-factor/codes/", second_factor.codes_make, name="recovery-codes"),
    path("second-factor/<int:factor_id>/remove/", second_factor.factor_remove, name="second-factor-remove"),
    path("second-factor/<int:factor_id>/name/", second_factor.passkey_rename, name="passkey-rename"),
    path("site/", views.site_settings, name="site-settings"),
    path("site/second-factor/", second_factor.set_required, name="second-factor-required"),
    path("users/", views.users, name="users"),
    path("users/new/", views.create, name="user-create"),
    path("users/<int:user_id>/", views.user, name="user"),
    path("users/<int:user_id>/active/", views.set_active, name="user-active"),
    path("users/<int:user_id>/datasets/", views.set_may_create, name="user-may-create"),
    path("users/<int:user_id>/mail/", views.set_email, name="user-mail"),
    path("users/<int:user_id>/sessions/", views.end_sessions, name="user-sessions"),
    path("users/<int:user_id>/admin/", views.set_admin, name="user-admin"),
    path("users/<int:user_id>/second-factor/", second_factor.reset, name="user-factors"),
    path("users/<int:user_id>/sign-on/", sign_on.unlink_all, name="user-sign-on"),
    path("users/<int:user_id>/password/", views.reset_password, name="user-password"),
]
