DROP TRIGGER append_only ON audit_log;
DROP FUNCTION keep_audit_log();

DROP INDEX audit_log_subject;
CREATE INDEX audit_log_subject ON audit_log (subject, subject_id, occurred_at DESC);
DROP INDEX audit_log_user_id;
CREATE INDEX audit_log_user_id ON audit_log (user_id, occurred_at DESC);
DROP INDEX audit_log_request_id;
DROP INDEX audit_log_action;
DROP INDEX audit_log_by_time;

DELETE FROM audit_log WHERE user_id IS NULL;
ALTER TABLE audit_log ALTER COLUMN user_id SET NOT NULL;
ALTER TABLE audit_log DROP COLUMN search_text;
ALTER TABLE audit_log DROP COLUMN changes;
ALTER TABLE audit_log DROP COLUMN token_id;
ALTER TABLE audit_log DROP COLUMN session_id;
