"""Addresses of accounts, under /accounts/."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from mekiki.accounts import own, security, views

urlpatterns = [
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("me/", views.account, name="account"),
    path("password/", own.change_password, name="password-change"),
    path("sessions/", own.own_sessions, name="sessions"),
    path("logins/", security.logins, name="logins"),
    path("site/", views.site_settings, name="site-settings"),
    path("users/", views.users, name="users"),
    path("users/new/", views.create, name="user-create"),
    path("users/<int:user_id>/", views.user, name="user"),
    path("users/<int:user_id>/active/", views.set_active, name="user-active"),
    path("users/<int:user_id>/datasets/", views.set_may_create, name="user-may-create"),
    path("users/<int:user_id>/admin/", views.set_admin, name="user-admin"),
    path("users/<int:user_id>/password/", views.reset_password, name="user-password"),
]
