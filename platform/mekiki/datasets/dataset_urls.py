"""URLs of pages inside a dataset: /d/<slug>/…."""

from django.urls import path

from mekiki.datasets import views

urlpatterns = [
    path("images/<str:sha256>/thumb", views.thumb, name="image-thumb"),
    path("images/<str:sha256>/display", views.display, name="image-display"),
    path("import/", views.import_page, name="import"),
    path("import/start", views.import_start, name="import-start"),
    path("import/manifest/", views.import_manifest, name="import-manifest"),
    path("import/folder/", views.import_folder, name="import-folder"),
    path("import/bucket/", views.import_bucket, name="import-bucket"),
    path("import/watched/<int:pk>/end", views.watch_end, name="import-watch-end"),
    path("import/<int:pk>/undo", views.import_undo, name="import-undo"),
    path("import/<int:pk>/", views.import_batch, name="import-batch"),
    path("import/<int:pk>/report.csv", views.import_report, name="import-report"),
    path("import/<int:pk>/files", views.import_files, name="import-files"),
    path("import/<int:pk>/finish", views.import_finish, name="import-finish"),
    path("import/<int:pk>/discard", views.import_discard, name="import-discard"),
    path("settings/", views.settings, name="dataset-settings"),
    path("settings/windows/<int:pk>/", views.window, name="dataset-window"),
    path("settings/windows/<int:pk>/go-on/", views.window_go_on, name="dataset-window-go-on"),
    path("settings/pictures/", views.rebuild, name="dataset-rebuild"),
    path("settings/address/", views.address, name="dataset-address"),
    path("settings/limits/", views.dataset_limits, name="dataset-limits"),
    path("settings/archive/", views.archive, name="dataset-archive"),
    path("settings/delete/", views.delete, name="dataset-delete"),
]
