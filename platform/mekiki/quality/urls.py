"""URLs of the quality pages, under /d/<slug>/quality/."""

from django.urls import path

from mekiki.quality import certificate_views, plan_views, stream_views, study_views, views

urlpatterns = [
    path("", views.quality, name="quality"),
    path("certificates/new/", plan_views.create, name="certificate-create"),
    path("certificates/explained/", certificate_views.explained, name="certificate-explained"),
    path("certificates/plans/<int:number>/", plan_views.plan, name="certificate-plan"),
    path("certificates/plans/<int:number>/again/", plan_views.again, name="certificate-plan-again"),
    path("certificates/plans/<int:number>/start/", plan_views.start, name="certificate-start"),
    path("certificates/<int:version>/", certificate_views.certificate, name="certificate"),
    path("certificates/<int:version>/live/", certificate_views.live, name="certificate-live"),
    path("certificates/<int:version>/act/", certificate_views.act, name="certificate-act"),
    path("certificates/<int:version>/later/", stream_views.stream, name="certificate-stream"),
    path("certificates/<int:version>/later/act/", stream_views.act, name="certificate-stream-act"),
    path("studies/new/", study_views.create, name="study-create"),
    path("studies/<int:number>/", study_views.study, name="study"),
    path("studies/<int:number>/act/", study_views.act, name="study-act"),
    path("studies/<int:number>/answer/", study_views.station, name="study-station"),
    path(
        "studies/<int:number>/report-<int:version>-<str:language>.pdf",
        study_views.report_file,
        name="study-report-file",
    ),
]
