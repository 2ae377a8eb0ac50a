-- depends: 0017.idempotency-keys

-- Of a person who was erased the log keeps what was done, by and to which id, and loses the rest.
-- The API's role may not change the log; it may ask for this, and only of users who are erased.
CREATE FUNCTION erase_from_audit_log(person uuid) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM set_config('satupeta.audit_upkeep', 'on', true);
    UPDATE audit_log SET
        address = CASE WHEN user_id = person THEN NULL ELSE address END,
        changes = CASE WHEN subject = 'users' AND subject_id = person THEN (
            SELECT jsonb_object_agg(field, CASE
                WHEN field IN ('name', 'username', 'email', 'employee_id', 'position')
                THEN jsonb_build_array('***', '***') ELSE both_values END)
            FROM jsonb_each(changes) AS changed (field, both_values)
        ) ELSE changes END
    WHERE (user_id = person AND address IS NOT NULL
            OR subject = 'users' AND subject_id = person AND changes IS NOT NULL)
        AND EXISTS (SELECT FROM users WHERE id = person AND erased_at IS NOT NULL);
    PERFORM set_config('satupeta.audit_upkeep', 'off', true);
END
$$;
REVOKE EXECUTE ON FUNCTION erase_from_audit_log(uuid) FROM PUBLIC;
