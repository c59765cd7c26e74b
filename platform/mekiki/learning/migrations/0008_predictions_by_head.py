"""Predictions move into one partition a head, without foreign keys (docs/decisions/0012).

The triggers keep what the foreign keys promised: predictions go with their image and their head, and a label that a
prediction names cannot be deleted. Rows that exist are kept, both ways.
"""

import django.db.models.deletion
from django.db import migrations, models

# Of the image's, or label's, dataset: held shared by who stores predictions (learning.services.predictions).
LOCK = 0x4D4B4C02

COLUMNS = """
    head_id bigint NOT NULL, image_id bigint NOT NULL, label_id bigint NOT NULL, runner_up_id bigint,
    confidence double precision NOT NULL, margin double precision NOT NULL, entropy double precision NOT NULL
"""

PARTITIONED = f"""
ALTER TABLE learning_prediction RENAME TO learning_prediction_before;
ALTER TABLE learning_prediction_before DROP CONSTRAINT learning_prediction_pkey;
CREATE TABLE learning_prediction ({COLUMNS}, CONSTRAINT learning_prediction_pkey PRIMARY KEY (head_id, image_id))
    PARTITION BY LIST (head_id);
DO $$
DECLARE h bigint;
BEGIN
    FOR h IN SELECT DISTINCT head_id FROM learning_prediction_before ORDER BY 1 LOOP
        EXECUTE format('CREATE TABLE learning_prediction_%1$s (LIKE learning_prediction INCLUDING CONSTRAINTS, '
                       'CHECK (head_id = %1$s))', h);
        EXECUTE format('INSERT INTO learning_prediction_%1$s '
                       'SELECT head_id, image_id, label_id, runner_up_id, confidence, margin, entropy '
                       'FROM learning_prediction_before WHERE head_id = %1$s ORDER BY image_id', h);
        EXECUTE format('ALTER TABLE learning_prediction ATTACH PARTITION learning_prediction_%1$s '
                       'FOR VALUES IN (%1$s)', h);
        EXECUTE format('CREATE INDEX learning_prediction_%1$s_by_label ON learning_prediction_%1$s '
                       '(label_id, confidence, image_id)', h);
        EXECUTE format('CREATE INDEX learning_prediction_%1$s_by_confidence ON learning_prediction_%1$s '
                       '(confidence, image_id)', h);
        EXECUTE format('CREATE INDEX learning_prediction_%1$s_by_label_image ON learning_prediction_%1$s '
                       '(label_id, image_id)', h);
        EXECUTE format('ANALYZE learning_prediction_%1$s', h);
    END LOOP;
END $$;
DROP TABLE learning_prediction_before;
"""

HEAP = f"""
CREATE TABLE learning_prediction_after ({COLUMNS});
INSERT INTO learning_prediction_after
    SELECT head_id, image_id, label_id, runner_up_id, confidence, margin, entropy FROM learning_prediction;
DROP TABLE learning_prediction;
ALTER TABLE learning_prediction_after RENAME TO learning_prediction;
ALTER TABLE learning_prediction ADD CONSTRAINT learning_prediction_pkey PRIMARY KEY (head_id, image_id);
ALTER TABLE learning_prediction
    ADD CONSTRAINT learning_prediction_head_id_fk FOREIGN KEY (head_id) REFERENCES learning_head
        DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT learning_prediction_image_id_fk FOREIGN KEY (image_id) REFERENCES datasets_image
        DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT learning_prediction_label_id_fk FOREIGN KEY (label_id) REFERENCES labeling_label
        DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT learning_prediction_runner_up_id_fk FOREIGN KEY (runner_up_id) REFERENCES labeling_label
        DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX learning_prediction_head_id ON learning_prediction (head_id);
CREATE INDEX learning_prediction_image_id ON learning_prediction (image_id);
CREATE INDEX learning_prediction_label_id ON learning_prediction (label_id);
CREATE INDEX learning_prediction_runner_up_id ON learning_prediction (runner_up_id);
CREATE INDEX prediction_by_label ON learning_prediction (head_id, label_id, confidence);
CREATE INDEX prediction_by_confidence ON learning_prediction (head_id, confidence);
"""

# Heads of the dataset that have a partition; each statement names one, so that the others are not locked.
HEADS = """SELECT id FROM learning_head WHERE dataset_id = {dataset}
           AND to_regclass('learning_prediction_' || id) IS NOT NULL ORDER BY 1"""

TRIGGERS = f"""
CREATE FUNCTION learning_prediction_of_image() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE d bigint; h bigint;
BEGIN
    FOR d IN SELECT DISTINCT dataset_id FROM gone ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock({LOCK}, (d % 2147483648)::int);
        FOR h IN {HEADS.format(dataset="d")} LOOP
            EXECUTE format('DELETE FROM learning_prediction WHERE head_id = %s AND image_id IN '
                           '(SELECT id FROM gone WHERE dataset_id = %s)', h, d);
        END LOOP;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER predictions_go AFTER DELETE ON datasets_image REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION learning_prediction_of_image();

CREATE FUNCTION learning_prediction_of_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass('learning_prediction_' || OLD.id) IS NOT NULL THEN
        EXECUTE format('DROP TABLE learning_prediction_%s', OLD.id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER predictions_go AFTER DELETE ON learning_head
    FOR EACH ROW EXECUTE FUNCTION learning_prediction_of_head();

CREATE FUNCTION learning_prediction_of_label() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE h bigint; n bigint;
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK}, (OLD.dataset_id % 2147483648)::int);
    FOR h IN {HEADS.format(dataset="OLD.dataset_id")} LOOP
        EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM learning_prediction WHERE head_id = %s '
                       'AND (label_id = %s OR runner_up_id = %s) LIMIT 1) AS one', h, OLD.id, OLD.id) INTO n;
        IF n > 0 THEN
            RAISE EXCEPTION 'label % is named by predictions of head %', OLD.id, h
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER predictions_keep_it AFTER DELETE ON labeling_label DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION learning_prediction_of_label();
"""

NO_TRIGGERS = """
DROP TRIGGER predictions_keep_it ON labeling_label;
DROP TRIGGER predictions_go ON learning_head;
DROP TRIGGER predictions_go ON datasets_image;
DROP FUNCTION learning_prediction_of_label();
DROP FUNCTION learning_prediction_of_head();
DROP FUNCTION learning_prediction_of_image();
"""


def key(to, on_delete, **options):
    return models.ForeignKey(to=to, on_delete=on_delete, db_constraint=False, db_index=False, **options)


class Migration(migrations.Migration):

    dependencies = [
        ("learning", "0007_challenger_heads"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(PARTITIONED, HEAP),
                migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
            ],
            state_operations=[
                migrations.RemoveIndex(model_name="prediction", name="prediction_by_label"),
                migrations.RemoveIndex(model_name="prediction", name="prediction_by_confidence"),
                migrations.AlterField(
                    "prediction", "head", key("learning.head", django.db.models.deletion.DO_NOTHING)
                ),
                migrations.AlterField(
                    "prediction",
                    "image",
                    key("datasets.image", django.db.models.deletion.DO_NOTHING, related_name="predictions"),
                ),
                migrations.AlterField(
                    "prediction",
                    "label",
                    key("labeling.label", django.db.models.deletion.PROTECT, related_name="+"),
                ),
                migrations.AlterField(
                    "prediction",
                    "runner_up",
                    key("labeling.label", django.db.models.deletion.PROTECT, null=True, related_name="+"),
                ),
            ],
        ),
    ]
