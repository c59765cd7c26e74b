"""URLs of web inside a dataset: /d/<slug>/…."""

from django.urls import path

from mekiki.web import gallery, heads, reviewers, views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("activity/", views.activity, name="activity"),
    path("activity/events.<str:form>", views.download_events, name="activity-download"),
    path("jobs/<uuid:job_id>/cancel/", views.cancel_job, name="job-cancel"),
    path("jobs/<uuid:job_id>/pause/", views.pause_job, name="job-pause"),
    path("jobs/<uuid:job_id>/resume/", views.resume_job, name="job-resume"),
    path("jobs/<uuid:job_id>/retry/", views.retry_job, name="job-retry"),
    path("members/", views.members, name="members"),
    path("members/<int:user_id>/role/", views.set_member_role, name="member-role"),
    path("members/<int:user_id>/adjudicator/", views.set_adjudicator, name="member-adjudicator"),
    path("members/<int:user_id>/remove/", views.remove_member, name="member-remove"),
    path("reviewers/", reviewers.reviewers, name="reviewers"),
    path("reviewers/assignments/", reviewers.add_assignment, name="assignment-add"),
    path("reviewers/assignments/<int:pk>/remove/", reviewers.delete_assignment, name="assignment-remove"),
    path("reviewers/test/", reviewers.requalification, name="requalification"),
    path("reviewers/test/begin/", reviewers.begin_requalification, name="requalification-begin"),
    path("reviewers/test/answer/", reviewers.answer_test, name="requalification-answer"),
    path("reviewers/<int:user_id>/", reviewers.reviewer, name="reviewer"),
    path("reviewers/<int:user_id>/goal/", reviewers.set_goal, name="reviewer-goal"),
    path(
        "reviewers/<int:user_id>/requalification/",
        reviewers.decide_requalification,
        name="requalification-decide",
    ),
    path("models/<int:version>/", heads.head, name="head"),
    path("models/<int:version>/training-labels.csv", heads.training_labels, name="head-training-labels"),
    path("models/<int:version>/confusion.csv", heads.confusions, name="head-confusion"),
    path("images/", gallery.images, name="images"),
    path("images/gold/", gallery.mark_selection, name="gallery-gold"),
    path("images/<str:sha256>/", gallery.image, name="image"),
    path("images/<str:sha256>/correct/", gallery.correct, name="image-correct"),
    path("images/<str:sha256>/take-back/", gallery.take_back, name="image-take-back"),
    path("images/<str:sha256>/ask-again/", gallery.ask_again, name="image-ask-again"),
    path("images/<str:sha256>/reference/", gallery.add_reference, name="reference-add"),
    path("references/<int:pk>/remove/", gallery.remove_reference, name="reference-remove"),
    path("images/<str:sha256>/original", gallery.original, name="image-original"),
]
