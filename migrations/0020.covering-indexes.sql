-- depends: 0019.jobs

-- With all that public lists are filtered and counted by in them, these indexes alone tell how many
-- mapsets a filter finds, and of which kinds. They are made under other names, beside the old ones,
-- which readers need until the end.
CREATE INDEX mapsets_public_covering ON mapsets (created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, producer_id, regional_id, data_status, coverage_level, is_popular, temporal_start)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
CREATE INDEX mapsets_public_by_producer_covering ON mapsets (producer_id, created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, regional_id, data_status, coverage_level, is_popular, temporal_start)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
CREATE INDEX mapsets_public_by_category_covering ON mapsets (category_id, created_at DESC, id DESC)
    INCLUDE (classification_id, producer_id, regional_id, data_status, coverage_level, is_popular, temporal_start)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX mapsets_public, mapsets_public_by_producer, mapsets_public_by_category;
ALTER INDEX mapsets_public_covering RENAME TO mapsets_public;
ALTER INDEX mapsets_public_by_producer_covering RENAME TO mapsets_public_by_producer;
ALTER INDEX mapsets_public_by_category_covering RENAME TO mapsets_public_by_category;
