"""Functions with the owner's rights: statistics of the tables that a job has just filled.

Without them PostgreSQL plans with the old numbers of rows until autovacuum has read the tables.
"""

from django.db import migrations

RIGHTS = "SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp"

FUNCTIONS = f"""
CREATE FUNCTION quality_analyze_labels() RETURNS void LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    ANALYZE public.quality_machinelabel;
END $$;

CREATE FUNCTION quality_analyze_pools() RETURNS void LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    ANALYZE public.quality_certificateimage;
END $$;

REVOKE EXECUTE ON FUNCTION quality_analyze_labels(), quality_analyze_pools() FROM PUBLIC;
"""

NO_FUNCTIONS = "DROP FUNCTION quality_analyze_labels(), quality_analyze_pools();"


class Migration(migrations.Migration):

    dependencies = [
        ("quality", "0010_label_sizes"),
    ]

    operations = [migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS)]
