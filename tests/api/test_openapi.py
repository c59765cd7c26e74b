"""The description of the API is a reviewed file, so a change of the API is visible in the diff.

To write the file again after an intended change:

    MEKIKI_TEST_WRITE_OPENAPI=1 python -m pytest tests/api/test_openapi.py
"""

import json
import os
from pathlib import Path

from django.utils import translation

from mekiki.api.api import api

SNAPSHOT = Path(__file__).with_name("openapi.json")


def api_description() -> str:
    with translation.override("en"):
        schema = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    schema["info"]["version"] = "any"
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def test_api_description_equals_the_reviewed_file():
    if os.environ.get("MEKIKI_TEST_WRITE_OPENAPI"):
        SNAPSHOT.write_text(api_description(), encoding="utf-8")
    assert SNAPSHOT.read_text(encoding="utf-8") == api_description(), __doc__


def test_every_operation_has_a_summary_and_a_success_response():
    for path, operations in api.get_openapi_schema()["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), (path, method)
            assert any(code.startswith("2") for code in map(str, operation["responses"])), (path, method)
