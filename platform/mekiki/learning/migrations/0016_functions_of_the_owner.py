"""What the application does to tables while it runs, as functions with the owner's rights (docs/decisions/0029).

Each takes ids only and makes every name from them; the search path is fixed; nobody may call them until the owner
grants it (mekiki.embedded.roles.rights). The triggers that drop or empty partitions get the owner's rights too.
"""

from django.db import migrations

# As in learning.services.predictions and learning.search.index.
HEAD_SPACE, INDEX_LOCK = 0x4D4B4C03, 7013
RIGHTS = "SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp"

FUNCTIONS = f"""
CREATE FUNCTION learning_hold_head(head bigint) RETURNS boolean LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({HEAD_SPACE}, (head % 2147483648)::int);
    PERFORM 1 FROM public.learning_head WHERE id = head FOR KEY SHARE;
    RETURN FOUND;
END $$;

CREATE FUNCTION learning_open_predictions(head bigint) RETURNS boolean LANGUAGE plpgsql {RIGHTS} AS $$
DECLARE
    part text := format('learning_prediction_%s', head);
    granted record;
BEGIN
    IF NOT public.learning_hold_head(head) THEN
        RETURN false;
    END IF;
    IF to_regclass('public.' || part) IS NOT NULL THEN
        RETURN true;
    END IF;
    -- Made alone and attached: CREATE TABLE … PARTITION OF would shut readers out of the parent. The check tells the
    -- database that there is nothing to look through.
    EXECUTE format('CREATE TABLE public.%I (LIKE public.learning_prediction INCLUDING CONSTRAINTS, CHECK (head_id = %s))',
                   part, head);
    EXECUTE format('ALTER TABLE public.learning_prediction ATTACH PARTITION public.%I FOR VALUES IN (%s)', part, head);
    -- Rows are copied into the partition itself: whoever may write the parent may write it.
    FOR granted IN
        SELECT pg_get_userbyid(a.grantee) AS role, string_agg(a.privilege_type, ', ') AS kinds
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'public.learning_prediction'::regclass AND a.grantee NOT IN (0, c.relowner) GROUP BY 1
    LOOP
        EXECUTE format('GRANT %s ON public.%I TO %I', granted.kinds, part, granted.role);
    END LOOP;
    RETURN true;
END $$;

CREATE FUNCTION learning_index_predictions(head bigint) RETURNS boolean LANGUAGE plpgsql {RIGHTS} AS $$
DECLARE
    part text := format('learning_prediction_%s', head);
    made record;
BEGIN
    IF NOT public.learning_hold_head(head) OR to_regclass('public.' || part) IS NULL
            OR to_regclass('public.' || part || '_by_label') IS NOT NULL THEN
        RETURN false;
    END IF;
    FOR made IN SELECT * FROM (VALUES ('label', 'label_id, confidence, image_id'), ('confidence', 'confidence, image_id'),
                                      ('label_image', 'label_id, image_id')) AS i (suffix, columns)
    LOOP
        EXECUTE format('CREATE INDEX %I ON public.%I (%s)', part || '_by_' || made.suffix, part, made.columns);
    END LOOP;
    EXECUTE format('ANALYZE public.%I', part);
    RETURN true;
END $$;

-- The caller bounds the wait for the lock by lock_timeout.
CREATE FUNCTION learning_drop_predictions(head bigint) RETURNS void LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    IF EXISTS (SELECT FROM public.learning_champion WHERE head_id = head) THEN
        RAISE EXCEPTION 'Cannot drop the predictions of head %: it is in use', head;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS public.%I', format('learning_prediction_%s', head));
END $$;

CREATE FUNCTION learning_drop_search_index(encoder bigint) RETURNS boolean LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock({INDEX_LOCK}, (encoder % 2147483648)::int) THEN
        RETURN false;  -- it is being built
    END IF;
    EXECUTE format('DROP INDEX IF EXISTS public.%I', format('embedding_hnsw_%s', encoder));
    RETURN true;
END $$;

-- Blocks of the table that a build of the encoder's index has read, and how many there are; no row: none is being built.
CREATE FUNCTION learning_search_index_progress(encoder bigint) RETURNS TABLE (done bigint, total bigint)
    LANGUAGE plpgsql {RIGHTS} AS $$
BEGIN
    RETURN QUERY SELECT p.blocks_done, p.blocks_total FROM pg_stat_progress_create_index p
        WHERE p.datname = current_database()
            AND p.index_relid = to_regclass(format('public.embedding_hnsw_%s', encoder));
END $$;

REVOKE EXECUTE ON FUNCTION learning_hold_head(bigint), learning_open_predictions(bigint),
    learning_index_predictions(bigint), learning_drop_predictions(bigint), learning_drop_search_index(bigint),
    learning_search_index_progress(bigint) FROM PUBLIC;

ALTER FUNCTION learning_prediction_of_image() {RIGHTS};
ALTER FUNCTION learning_prediction_of_head() {RIGHTS};
ALTER FUNCTION learning_prediction_of_label() {RIGHTS};
"""

NO_FUNCTIONS = """
ALTER FUNCTION learning_prediction_of_image() SECURITY INVOKER RESET search_path;
ALTER FUNCTION learning_prediction_of_head() SECURITY INVOKER RESET search_path;
ALTER FUNCTION learning_prediction_of_label() SECURITY INVOKER RESET search_path;
DROP FUNCTION learning_hold_head(bigint), learning_open_predictions(bigint), learning_index_predictions(bigint),
    learning_drop_predictions(bigint), learning_drop_search_index(bigint), learning_search_index_progress(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("learning", "0015_append_only_evidence")]

    operations = [migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS)]
