"""The keys and values of the metadata of some images, with their numbers."""

from collections.abc import Collection
from itertools import groupby

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from mekiki.datasets.models import Image

MOST_KEYS = 12
MOST_VALUES_OF_KEY = 8
# Of a field that is a choice, all values are listed, up to this number.
MOST_CHOICES_OF_KEY = 50

# Only texts: the filter compares texts.
_SQL = """
WITH pairs AS (
    SELECT e.key, e.value #>> '{{}}' AS value, count(*) AS n
    FROM ({images}) AS i, jsonb_each(i.metadata) AS e
    WHERE jsonb_typeof(e.value) = 'string' AND e.key <> ALL(%s::text[]) {only}
    GROUP BY 1, 2
)
SELECT key, value, n, of_key FROM (
    SELECT *, row_number() OVER (PARTITION BY key ORDER BY n DESC, value) AS place,
        count(*) OVER (PARTITION BY key) AS of_key, sum(n) OVER (PARTITION BY key) AS images
    FROM pairs
) AS ranked
WHERE place <= CASE WHEN key = ANY(%s::text[]) THEN %s ELSE %s END ORDER BY images DESC, key, place LIMIT %s
"""


def metadata_values(
    images: QuerySet[Image],
    only: str | None = None,
    *,
    leave_out: Collection[str] = (),
    choices: Collection[str] = (),
) -> list[tuple[str, list[tuple[str, int]], bool]]:
    """Return (key, (value, number of images) of its most frequent values, further values exist) of each key.

    The keys of most images come first. only: the only key to return. choices: keys whose values are listed up
    to MOST_CHOICES_OF_KEY.
    """
    try:
        sql, params = images.order_by().values("metadata").query.sql_with_params()
    except EmptyResultSet:
        return []
    of_key = "" if only is None else "AND e.key = %s"
    wanted = [] if only is None else [only]
    with connection.cursor() as cursor:
        cursor.execute(
            _SQL.format(images=sql, only=of_key),
            [
                *params,
                list(leave_out),
                *wanted,
                list(choices),
                MOST_CHOICES_OF_KEY,
                MOST_VALUES_OF_KEY,
                MOST_KEYS * MOST_CHOICES_OF_KEY,
            ],
        )
        rows = cursor.fetchall()
    groups = [(key, list(part)) for key, part in groupby(rows, key=lambda row: row[0])]
    return [
        (key, [(value, n) for _key, value, n, _of_key in group], group[0][3] > len(group))
        for key, group in groups[:MOST_KEYS]
    ]
