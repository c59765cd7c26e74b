"""Views of the shell: home, overview and activity of a dataset, members, settings and service endpoints."""

from mekiki.web.views.activity import (
    activity,
    cancel_job,
    download_events,
    download_platform_events,
    pause_job,
    platform_activity,
    resume_job,
    retry_job,
)
from mekiki.web.views.datasets import create_dataset, home, overview, suggest_address
from mekiki.web.views.members import members, remove_member, set_adjudicator, set_member_role
from mekiki.web.views.service import healthz, metrics, security_txt, system_state
from mekiki.web.views.settings import set_language, set_theme

__all__ = [
    "activity",
    "cancel_job",
    "create_dataset",
    "download_events",
    "download_platform_events",
    "healthz",
    "home",
    "members",
    "metrics",
    "overview",
    "pause_job",
    "platform_activity",
    "remove_member",
    "resume_job",
    "retry_job",
    "security_txt",
    "set_adjudicator",
    "set_language",
    "set_member_role",
    "set_theme",
    "suggest_address",
    "system_state",
]
