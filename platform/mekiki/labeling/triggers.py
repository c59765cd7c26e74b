"""Database triggers of labels, guidelines and prompt sets.

One writes a version for every change of a guideline. Another prevents new prompts in a frozen prompt set.
"""

import pgtrigger

# Each new text of a guideline becomes a version. labeling.services sets mekiki.user for the transaction.
KEEP_GUIDELINE = """
IF TG_OP = 'UPDATE' THEN
    IF NEW.guideline = OLD.guideline AND NEW.guideline_texts = OLD.guideline_texts THEN
        RETURN NULL;
    END IF;
ELSIF NEW.guideline = '' AND NEW.guideline_texts = '{}' THEN
    RETURN NULL;
END IF;
INSERT INTO labeling_guidelineversion (label_id, version, text, texts, created_by_id)
SELECT NEW.id, coalesce(max(version), 0) + 1, NEW.guideline, NEW.guideline_texts,
       nullif(current_setting('mekiki.user', true), '')::bigint
FROM labeling_guidelineversion WHERE label_id = NEW.id;
RETURN NULL;
"""

# A prompt set accepts prompts only in the transaction that created it. If a visible row's transaction is in
# progress, it is the current transaction. xmin has 32 bits, so the nearest 64-bit number is used. For a row
# so old that this number is wrong, pg_xact_status raises an error.
NO_PROMPT_ADDED = """
IF EXISTS (
    SELECT FROM (
        SELECT mine, (made - (mine & 4294967295) + 6442450944) % 4294967296 - 2147483648 AS distance
        FROM (
            SELECT s.xmin::text::bigint AS made, pg_current_xact_id()::text::bigint AS mine
            FROM labeling_promptset s WHERE s.id IN (SELECT DISTINCT prompt_set_id FROM added)
        ) numbers
    ) x
    WHERE pg_xact_status((mine + distance)::text::xid8) IS DISTINCT FROM 'in progress'
) THEN
    RAISE EXCEPTION 'Cannot add prompts to a frozen prompt set';
END IF;
RETURN NULL;
"""


def write_guideline_version() -> pgtrigger.Trigger:
    """Return the trigger on labels that writes versions of guidelines."""
    return pgtrigger.Trigger(
        name="keep_guideline",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf("guideline", "guideline_texts"),
        func=KEEP_GUIDELINE,
    )


def refuse_new_prompts() -> pgtrigger.Trigger:
    """Return the trigger on prompts that refuses prompts for a set of an earlier transaction."""
    return pgtrigger.Trigger(
        name="none_added",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="added"),
        func=NO_PROMPT_ADDED,
    )
