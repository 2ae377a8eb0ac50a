-- depends: 0026.spellings-index
-- transactional: false

-- All that mapsets are filtered by stands in the indexes of public lists now, so that a combination
-- of filters that few meet is looked for in an index alone, and never in the mapsets themselves.
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_wide;
CREATE INDEX CONCURRENTLY mapsets_public_wide ON mapsets (created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, producer_id, regional_id, projection_system_id, data_status, coverage_level, coverage_area, is_popular, temporal_start, temporal_end, updated_at)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public;
ALTER INDEX mapsets_public_wide RENAME TO mapsets_public;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_producer_wide;
CREATE INDEX CONCURRENTLY mapsets_public_by_producer_wide ON mapsets (producer_id, created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, regional_id, projection_system_id, data_status, coverage_level, coverage_area, is_popular, temporal_start, temporal_end, updated_at)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_producer;
ALTER INDEX mapsets_public_by_producer_wide RENAME TO mapsets_public_by_producer;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_category_wide;
CREATE INDEX CONCURRENTLY mapsets_public_by_category_wide ON mapsets (category_id, created_at DESC, id DESC)
    INCLUDE (classification_id, producer_id, regional_id, projection_system_id, data_status, coverage_level, coverage_area, is_popular, temporal_start, temporal_end, updated_at)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_category;
ALTER INDEX mapsets_public_by_category_wide RENAME TO mapsets_public_by_category;

DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_regional;
CREATE INDEX CONCURRENTLY mapsets_public_by_regional ON mapsets (regional_id, created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, producer_id, projection_system_id, data_status, coverage_level, coverage_area, is_popular, temporal_start, temporal_end, updated_at)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';

-- Of the fields with few values any may be left out: PostgreSQL then skips from one to the next of
-- its values (from version 18 on).
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_kind;
CREATE INDEX CONCURRENTLY mapsets_public_by_kind ON mapsets (data_status, is_popular, coverage_level, coverage_area, projection_system_id, created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, producer_id, regional_id, temporal_start, temporal_end, updated_at)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_time;
CREATE INDEX CONCURRENTLY mapsets_public_by_time ON mapsets (temporal_start, created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, producer_id, regional_id, projection_system_id, data_status, coverage_level, coverage_area, is_popular, temporal_end, updated_at)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX CONCURRENTLY IF EXISTS mapsets_by_whole_name;
CREATE INDEX CONCURRENTLY mapsets_by_whole_name ON mapsets USING hash (name) WHERE deleted_at IS NULL;

-- The orders of the administrators' table that had none.
DROP INDEX CONCURRENTLY IF EXISTS mapsets_by_update;
CREATE INDEX CONCURRENTLY mapsets_by_update ON mapsets (updated_at, id) WHERE deleted_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_by_popularity;
CREATE INDEX CONCURRENTLY mapsets_by_popularity ON mapsets (is_popular, id) WHERE deleted_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_by_validation;
CREATE INDEX CONCURRENTLY mapsets_by_validation ON mapsets (status_validation, id) WHERE deleted_at IS NULL;
