-- depends: 0009.search

-- PostgreSQL would rather test words row by row than take the index: it takes functions for cheap.
ALTER FUNCTION words_of(text) COST 4000;
CREATE INDEX mapsets_name_words ON mapsets USING gin (words_of(plain_text(name))) WHERE deleted_at IS NULL;

-- With the classification in it an index alone tells how many mapsets are public.
DROP INDEX mapsets_public;
CREATE INDEX mapsets_public ON mapsets (created_at DESC, id DESC) INCLUDE (classification_id)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX mapsets_public_by_producer;
CREATE INDEX mapsets_public_by_producer ON mapsets (producer_id, created_at DESC, id DESC)
    INCLUDE (classification_id)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX mapsets_public_by_category;
CREATE INDEX mapsets_public_by_category ON mapsets (category_id, created_at DESC, id DESC)
    INCLUDE (classification_id)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';

-- Counts of mapsets that were once made, each with the snapshot that it was made in: what changed
-- since stands in mapset_changes, so that nothing is counted twice.
CREATE TABLE kept_counts (
    key text PRIMARY KEY,
    counts jsonb NOT NULL,
    snapshot pg_snapshot NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX kept_counts_kept_at ON kept_counts (kept_at);

-- The columns of mapsets, in their order; then 1 for a row that came, -1 for one that went, and 0
-- where so much changed that all is to be counted anew.
CREATE TABLE mapset_changes AS TABLE mapsets WITH NO DATA;
ALTER TABLE mapset_changes
    ADD COLUMN sign smallint NOT NULL CHECK (sign IN (-1, 0, 1)),
    ADD COLUMN transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
CREATE INDEX mapset_changes_transaction_id ON mapset_changes (transaction_id);

-- Before this transaction no change is known any more; a snapshot from before cannot be kept.
-- In another cluster of databases, where a dump was loaded, transactions have other numbers.
CREATE TABLE mapset_changes_pruned (before xid8 NOT NULL, cluster bigint NOT NULL);
INSERT INTO mapset_changes_pruned SELECT '0', system_identifier FROM pg_control_system();

CREATE FUNCTION note_mapset_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' OR TG_TABLE_NAME <> 'mapsets' THEN
        INSERT INTO mapset_changes (sign) VALUES (0);
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        INSERT INTO mapset_changes SELECT removed.*, -1 FROM removed;
        RETURN NULL;
    END IF;
    IF (SELECT count(*) FROM (SELECT FROM stored LIMIT 501) AS first) > 500 THEN
        INSERT INTO mapset_changes (sign) VALUES (0);
        RETURN NULL;
    END IF;
    INSERT INTO mapset_changes SELECT stored.*, 1 FROM stored;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO mapset_changes SELECT removed.*, -1 FROM removed;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER mapsets_inserted AFTER INSERT ON mapsets
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_mapset_changes();
CREATE TRIGGER mapsets_updated AFTER UPDATE ON mapsets
    REFERENCING OLD TABLE AS removed NEW TABLE AS stored
    FOR EACH STATEMENT EXECUTE FUNCTION note_mapset_changes();
CREATE TRIGGER mapsets_deleted AFTER DELETE ON mapsets
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION note_mapset_changes();
CREATE TRIGGER mapsets_truncated AFTER TRUNCATE ON mapsets
    FOR EACH STATEMENT EXECUTE FUNCTION note_mapset_changes();
-- Which mapsets are public depends on which classifications are secret.
CREATE TRIGGER classifications_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON classifications
    FOR EACH STATEMENT EXECUTE FUNCTION note_mapset_changes();
