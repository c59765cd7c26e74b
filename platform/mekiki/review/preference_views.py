"""The page of the keys of the review station, and what the scripts need of the preferences."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from mekiki.accounts.http import user_of
from mekiki.review.messages import key_texts
from mekiki.review.preferences import Layout, ReviewPreferences, preferences_of, preferences_out
from mekiki.review.station_keys import COMMAND_NAMES, FIXED, LAYOUTS, STANDARD, command_name, keys_of


def preference_context(preferences: ReviewPreferences) -> dict[str, str]:
    """Return the preferences and the keys that follow from them, as JSON for the scripts."""
    return {
        "preferences_json": json.dumps(preferences_out(preferences)),
        "keys_json": json.dumps(keys_of(preferences.layout, preferences.keys)),
    }


@never_cache
@require_GET
def review_keys(request: HttpRequest) -> HttpResponse:
    """Show the keys of the review station. The script of the page saves changes through the API."""
    preferences = preferences_of(user_of(request))
    context: dict[str, Any] = {
        "layouts": Layout.choices,
        "layouts_json": json.dumps(LAYOUTS),
        "fixed_json": json.dumps(sorted(FIXED)),
        "standard_json": json.dumps(STANDARD),
        "texts_json": json.dumps(key_texts()),
        "commands": [(command, command_name(command), STANDARD[command]) for command in COMMAND_NAMES],
    }
    return render(request, "review/keys.html", context | preference_context(preferences))
