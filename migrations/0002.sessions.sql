-- depends: 0001.roles-and-users

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL DEFAULT now(),
    refresh_count integer NOT NULL DEFAULT 0,
    address inet,
    last_address inet,
    user_agent text,
    ended_at timestamptz,
    end_reason text CHECK (end_reason IN ('logout', 'password', 'deactivation', 'deletion', 'command')),
    CHECK (expires_at > created_at),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX sessions_living ON sessions (user_id, created_at DESC) WHERE ended_at IS NULL;
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE login_failures (
    account text PRIMARY KEY,
    failures integer NOT NULL CHECK (failures > 0),
    last_failed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE password_resets (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    token_hash text NOT NULL CONSTRAINT password_resets_token_hash_unique UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX password_resets_user_id ON password_resets (user_id);

CREATE TABLE audit_log (
    id uuid PRIMARY KEY,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    user_id uuid NOT NULL REFERENCES users (id),
    action text NOT NULL,
    subject text NOT NULL,
    subject_id uuid NOT NULL,
    address inet,
    request_id text
);
CREATE INDEX audit_log_subject ON audit_log (subject, subject_id, occurred_at DESC);
CREATE INDEX audit_log_user_id ON audit_log (user_id, occurred_at DESC);
