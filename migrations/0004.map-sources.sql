-- depends: 0003.lookups

CREATE TABLE credentials (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    description text,
    credential_type text NOT NULL DEFAULT '',
    credential_metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(credential_metadata) = 'object'),
    encryption_key_id text NOT NULL,
    sensitive_data bytea NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    created_by uuid REFERENCES users (id),
    updated_by uuid REFERENCES users (id),
    last_used_by uuid REFERENCES users (id),
    last_used_at timestamptz,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX credentials_by_name ON credentials (lower(name), id) WHERE deleted_at IS NULL;

CREATE TABLE map_sources (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    description text,
    url text NOT NULL CHECK (url ~* '^https?://'),
    credential_id uuid REFERENCES credentials (id),
    is_active boolean NOT NULL DEFAULT true,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX map_sources_by_name ON map_sources (lower(name), id) WHERE deleted_at IS NULL;
CREATE INDEX map_sources_newest ON map_sources (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX map_sources_credential_id ON map_sources (credential_id);
