"""URLs of the review, under /d/<slug>/review/."""

from django.urls import path

from mekiki.review import (
    adjudication_views,
    gold_views,
    imported_views,
    overlap_views,
    queue_views,
    views,
)

urlpatterns = [
    path("", views.station, name="review"),
    path("grid/", views.grid, name="review-grid"),
    path("queue/", queue_views.queue, name="review-queue"),
    path("queue/act/", queue_views.act, name="review-queue-act"),
    path("queue/retire/", queue_views.retire, name="review-retire"),
    path("overlap/", overlap_views.overlap, name="review-overlap"),
    path("adjudication/", adjudication_views.adjudication, name="review-adjudication"),
    path("adjudication/<int:item_id>/", adjudication_views.dispute, name="review-dispute"),
    path("adjudication/<int:item_id>/rule/", adjudication_views.rule, name="review-rule"),
    path("adjudication/<int:item_id>/undo/", adjudication_views.undo, name="review-rule-undo"),
    path(
        "adjudication/<int:item_id>/reference/",
        adjudication_views.add_reference,
        name="review-rule-reference",
    ),
    path("adjudication/<int:item_id>/recheck/", adjudication_views.recheck, name="review-rule-recheck"),
    path("imported/<int:pk>/", imported_views.imported_labels, name="import-labels"),
    path("imported/<int:pk>/act/", imported_views.act, name="import-labels-act"),
    path("gold/", gold_views.gold_images, name="gold-images"),
    path("gold/mark-known/", gold_views.mark_known, name="gold-mark-known"),
    path("gold/<int:pk>/end/", gold_views.end, name="gold-end"),
    path("gold/images/<str:sha256>/mark/", gold_views.mark, name="gold-mark"),
]
