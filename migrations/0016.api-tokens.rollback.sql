UPDATE sessions SET end_reason = 'command' WHERE end_reason = 'revocation';
ALTER TABLE sessions
    DROP CONSTRAINT sessions_end_reason_check,
    ADD CONSTRAINT sessions_end_reason_check CHECK (end_reason IN (
        'logout', 'password', 'deactivation', 'deletion', 'command'
    ));
ALTER TABLE sessions DROP COLUMN address_changes;
DROP TABLE api_tokens;
