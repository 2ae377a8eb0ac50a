-- depends: 0017.idempotency-keys

-- Who is erased stays erased, or the log could be altered by erasing somebody for a moment.
CREATE FUNCTION keep_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an erased user stays erased' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER erased_for_good BEFORE UPDATE ON users FOR EACH ROW
    WHEN (OLD.erased_at IS NOT NULL AND (NEW.erased_at IS NULL OR NEW.deleted_at IS NULL))
    EXECUTE FUNCTION keep_erased();

-- Of a person who was erased the log keeps what was done, by and to which id, and loses the rest.
-- The API's role may not change the log; it may ask for this, only of users who are erased, and
-- that it did is recorded here.
CREATE FUNCTION erase_from_audit_log(person uuid) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM users WHERE id = person AND erased_at IS NOT NULL) THEN
        RETURN;
    END IF;
    PERFORM set_config('satupeta.audit_upkeep', 'on', true);
    UPDATE audit_log SET address = NULL
    WHERE user_id = person OR user_id IS NULL AND subject = 'users' AND subject_id = person;
    UPDATE audit_log SET details = details - '{name,username,email}'::text[], changes = (
        SELECT jsonb_object_agg(field, CASE
            WHEN field IN ('name', 'username', 'email', 'employee_id', 'position')
            THEN jsonb_build_array('***', '***') ELSE both_values END)
        FROM jsonb_each(changes) AS changed (field, both_values)
    )
    WHERE subject = 'users' AND subject_id = person;
    PERFORM set_config('satupeta.audit_upkeep', 'off', true);
    INSERT INTO audit_log (id, action, subject, subject_id, run_by)
    VALUES (gen_random_uuid(), 'erase_from_log', 'users', person, session_user);
END
$$;
REVOKE EXECUTE ON FUNCTION erase_from_audit_log(uuid) FROM PUBLIC;
