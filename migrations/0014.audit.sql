-- depends: 0013.suggest

-- A failed login has no user. What a token did, and by which session, is known by its id alone.
ALTER TABLE audit_log ALTER COLUMN user_id DROP NOT NULL;
ALTER TABLE audit_log ADD COLUMN session_id uuid;
ALTER TABLE audit_log ADD COLUMN token_id uuid;
ALTER TABLE audit_log ADD COLUMN changes jsonb;
ALTER TABLE audit_log ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS (plain_text(
    action || E'\n' || subject || E'\n' || coalesce(command, '') || E'\n' || coalesce(run_by, '')
)) STORED;

-- Lists are in this order, each filter within it.
CREATE INDEX audit_log_by_time ON audit_log (occurred_at, id);
CREATE INDEX audit_log_action ON audit_log (action, occurred_at, id);
CREATE INDEX audit_log_request_id ON audit_log (request_id) WHERE request_id IS NOT NULL;
DROP INDEX audit_log_user_id;
CREATE INDEX audit_log_user_id ON audit_log (user_id, occurred_at, id);
DROP INDEX audit_log_subject;
CREATE INDEX audit_log_subject ON audit_log (subject, subject_id, occurred_at, id);

-- Records are never changed and never removed, but by the table's owner in a transaction that says
-- so: what is older than the retention goes, and what tells of a person who is erased.
CREATE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'TRUNCATE' AND current_setting('satupeta.audit_upkeep', true) = 'on'
        AND (SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class WHERE oid = TG_RELID)
    THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'audit_log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();
