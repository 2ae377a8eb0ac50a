-- transactional: false

DROP INDEX CONCURRENTLY IF EXISTS mapsets_by_validation;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_by_popularity;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_by_update;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_by_whole_name;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_time;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_kind;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_regional;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_narrow;
CREATE INDEX CONCURRENTLY mapsets_public_narrow ON mapsets (created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, producer_id, regional_id, data_status, coverage_level, is_popular, temporal_start)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public;
ALTER INDEX mapsets_public_narrow RENAME TO mapsets_public;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_producer_narrow;
CREATE INDEX CONCURRENTLY mapsets_public_by_producer_narrow ON mapsets (producer_id, created_at DESC, id DESC)
    INCLUDE (classification_id, category_id, regional_id, data_status, coverage_level, is_popular, temporal_start)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_producer;
ALTER INDEX mapsets_public_by_producer_narrow RENAME TO mapsets_public_by_producer;
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_category_narrow;
CREATE INDEX CONCURRENTLY mapsets_public_by_category_narrow ON mapsets (category_id, created_at DESC, id DESC)
    INCLUDE (classification_id, producer_id, regional_id, data_status, coverage_level, is_popular, temporal_start)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX CONCURRENTLY IF EXISTS mapsets_public_by_category;
ALTER INDEX mapsets_public_by_category_narrow RENAME TO mapsets_public_by_category;
