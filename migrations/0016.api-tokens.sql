-- depends: 0015.trash

CREATE TABLE api_tokens (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    name text NOT NULL,
    token_hash text NOT NULL CONSTRAINT api_tokens_token_hash_unique UNIQUE,
    permissions jsonb NOT NULL,
    organization_id uuid REFERENCES organizations (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    last_address inet,
    revoked_at timestamptz,
    CHECK (expires_at > created_at)
);
CREATE INDEX api_tokens_user_id ON api_tokens (user_id, created_at DESC);
CREATE INDEX api_tokens_organization_id ON api_tokens (organization_id);

ALTER TABLE sessions ADD COLUMN address_changes integer NOT NULL DEFAULT 0;
ALTER TABLE sessions
    DROP CONSTRAINT sessions_end_reason_check,
    ADD CONSTRAINT sessions_end_reason_check CHECK (end_reason IN (
        'logout', 'password', 'deactivation', 'deletion', 'command', 'revocation'
    ));
