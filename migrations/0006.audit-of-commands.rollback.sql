ALTER TABLE audit_log DROP COLUMN details;
ALTER TABLE audit_log DROP COLUMN run_by;
ALTER TABLE audit_log DROP COLUMN command;
DELETE FROM audit_log WHERE subject_id IS NULL;
ALTER TABLE audit_log ALTER COLUMN subject_id SET NOT NULL;
