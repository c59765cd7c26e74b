"""The URLs of all apps. The pages of a dataset are under /d/<slug>/."""

from django.urls import include, path

from mekiki.api.api import api
from mekiki.review.preference_views import review_keys

dataset_pages = [
    path("", include("mekiki.web.dataset_urls")),
    path("", include("mekiki.datasets.dataset_urls")),
    path("labels/", include("mekiki.labeling.urls")),
    path("review/", include("mekiki.review.urls")),
    path("models/", include("mekiki.learning.urls")),
    path("quality/", include("mekiki.quality.urls")),
    path("exports/", include("mekiki.exports.urls")),
]

# A program that is not logged in gets 401 from the check of the API, not a redirect to the login page. The
# pages that describe the API have no such check, so they keep the login requirement.
api_urls = api.urls
for pattern in api_urls[0]:
    if pattern.name not in {"openapi-json", "openapi-view", "api-root"}:
        pattern.callback.login_required = False

urlpatterns = [
    path("", include("mekiki.web.urls")),
    path("accounts/", include("mekiki.accounts.urls")),
    path("accounts/review-keys/", review_keys, name="review-keys"),
    path("site/", include("mekiki.datasets.site_urls")),
    path("d/<slug:slug>/", include(dataset_pages)),
    path("api/v1/", api_urls),
]

handler500 = "mekiki.web.errors.server_error"
