"""Static files: served without collectstatic, cached by browsers, new address after a change."""

import re
from pathlib import Path

import pytest
from django.templatetags.static import static
from django.test import Client

from mekiki.config.assets import asset_version


def test_tag_changes_with_a_file(tmp_path: Path):
    file = tmp_path / "web" / "static" / "mekiki" / "a.css"
    file.parent.mkdir(parents=True)
    file.write_text("a{}")
    before = asset_version(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{10}", before)
    assert asset_version(tmp_path) == before
    file.write_text("b{}")
    assert asset_version(tmp_path) != before


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("mekiki/css/mekiki.css", "text/css"),
        ("mekiki/css/components/bar.css", "text/css"),
        ("mekiki/js/jobs.js", "text/javascript"),
        ("mekiki/img/favicon.svg", "image/svg+xml"),
        ("django_htmx/htmx-2.min.js", "text/javascript"),
    ],
)
def test_static_files_are_served_with_a_long_cache_time(path: str, kind: str):
    response = Client().get(static(path))
    assert response.status_code == 200
    assert response["content-type"].startswith(kind)
    assert "immutable" in response["cache-control"]
    assert "access-control-allow-origin" not in response


def test_imported_style_sheets_and_modules_exist():
    root = Path(__file__).resolve().parents[2] / "platform" / "mekiki" / "web" / "static" / "mekiki"
    for sheet in (root / "css").rglob("*.css"):
        for name in re.findall(r'@import url\("([^"]+)"\)', sheet.read_text()):
            assert (sheet.parent / name).is_file(), f"{sheet.name} imports {name}"
    for module in (root / "js").rglob("*.js"):
        for name in re.findall(r'from "(\.[^"]+)"', module.read_text()):
            assert (module.parent / name).is_file(), f"{module.name} imports {name}"


def test_the_sheet_of_the_site_contains_the_sheets_that_it_imports():
    sheet = Client().get(static("mekiki/css/mekiki.css")).content.decode()
    assert "@import" not in sheet
    css = Path(__file__).resolve().parents[2] / "platform/mekiki/web/static/mekiki/css"
    entry = (css / "mekiki.css").read_text()
    for name, layer in re.findall(r'@import url\("([^"]+)"\) layer\((\w+)\)', entry):
        assert f"@layer {layer} {{\n{(css / name).read_text()}}}" in sheet
    assert sheet.index("@layer reset, tokens, base") < sheet.index("@layer reset {")
    assert sheet.count("{") == sheet.count("}")


def test_every_component_sheet_is_imported():
    css = Path(__file__).resolve().parents[2] / "platform/mekiki/web/static/mekiki/css"
    entry = (css / "mekiki.css").read_text()
    for sheet in (css / "components").glob("*.css"):
        assert f'url("components/{sheet.name}") layer(components)' in entry
