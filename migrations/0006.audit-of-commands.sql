-- depends: 0005.mapsets

-- What a command did has no request and often no single record; its user is the system user.
ALTER TABLE audit_log ALTER COLUMN subject_id DROP NOT NULL;
ALTER TABLE audit_log ADD COLUMN command text;
ALTER TABLE audit_log ADD COLUMN run_by text;
ALTER TABLE audit_log ADD COLUMN details jsonb;
