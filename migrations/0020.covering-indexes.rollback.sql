CREATE INDEX mapsets_public_narrow ON mapsets (created_at DESC, id DESC) INCLUDE (classification_id)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
CREATE INDEX mapsets_public_by_producer_narrow ON mapsets (producer_id, created_at DESC, id DESC)
    INCLUDE (classification_id)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
CREATE INDEX mapsets_public_by_category_narrow ON mapsets (category_id, created_at DESC, id DESC)
    INCLUDE (classification_id)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
DROP INDEX mapsets_public, mapsets_public_by_producer, mapsets_public_by_category;
ALTER INDEX mapsets_public_narrow RENAME TO mapsets_public;
ALTER INDEX mapsets_public_by_producer_narrow RENAME TO mapsets_public_by_producer;
ALTER INDEX mapsets_public_by_category_narrow RENAME TO mapsets_public_by_category;
