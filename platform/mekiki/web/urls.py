"""URLs of web."""

from django.urls import path

from mekiki.web import views
from mekiki.web.views import seals

urlpatterns = [
    path("", views.home, name="home"),
    path("datasets/new/", views.create_dataset, name="dataset-create"),
    path("datasets/address/", views.suggest_address, name="dataset-suggest-address"),
    path("activity/", views.platform_activity, name="platform-activity"),
    path("activity/events.<str:form>", views.download_platform_events, name="platform-activity-download"),
    path("activity/seals/", seals.seals, name="seals"),
    path("activity/seals/ask/", seals.request_seal_or_check, name="seals-ask"),
    path("activity/seals/head/", seals.head, name="seal-head"),
    path("activity/seals/request.tsq", seals.stamp_request, name="seal-request"),
    path("activity/seals/time-stamp/", seals.time_stamp, name="seal-time-stamp"),
    path("activity/seals/mail/", seals.mail, name="seal-mail"),
    path("activity/seals/keys.pem", seals.public_keys, name="seal-keys"),
    path("system/", views.system_state, name="system"),
    path("language/", views.set_language, name="set_language"),
    path("theme/", views.set_theme, name="set_theme"),
    path(".well-known/security.txt", views.security_txt, name="security-txt"),
    path("healthz", views.healthz, name="healthz"),
    path("metrics", views.metrics, name="metrics"),
]
