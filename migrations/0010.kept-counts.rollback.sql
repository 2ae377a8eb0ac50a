DROP TRIGGER classifications_changed ON classifications;
DROP TRIGGER mapsets_truncated ON mapsets;
DROP TRIGGER mapsets_deleted ON mapsets;
DROP TRIGGER mapsets_updated ON mapsets;
DROP TRIGGER mapsets_inserted ON mapsets;
DROP FUNCTION note_mapset_changes();
DROP TABLE mapset_changes_pruned;
DROP TABLE mapset_changes;
DROP TABLE kept_counts;
DROP INDEX mapsets_public_by_category;
CREATE INDEX mapsets_public_by_category ON mapsets (category_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX mapsets_public_by_producer;
CREATE INDEX mapsets_public_by_producer ON mapsets (producer_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX mapsets_public;
CREATE INDEX mapsets_public ON mapsets (created_at DESC, id DESC)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX mapsets_name_words;
ALTER FUNCTION words_of(text) COST 100;
