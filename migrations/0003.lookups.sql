-- depends: 0001.roles-and-users

CREATE TABLE categories (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    description text,
    thumbnail uuid REFERENCES files (id),
    is_active boolean NOT NULL DEFAULT true,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX categories_name_unique ON categories (lower(name)) WHERE deleted_at IS NULL;
CREATE INDEX categories_thumbnail ON categories (thumbnail) WHERE thumbnail IS NOT NULL;

CREATE TABLE classifications (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    description text,
    is_open boolean NOT NULL DEFAULT false,
    is_limited boolean NOT NULL DEFAULT false,
    is_secret boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT classifications_one_level CHECK (is_open::integer + is_limited::integer + is_secret::integer <= 1)
);
CREATE UNIQUE INDEX classifications_name_unique ON classifications (lower(name)) WHERE deleted_at IS NULL;

CREATE TABLE map_projection_systems (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    authority_code text CHECK (authority_code <> ''),
    area text,
    epoch numeric(6, 2) CHECK (epoch BETWEEN 1900 AND 2100),
    description text,
    is_active boolean NOT NULL DEFAULT true,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX map_projection_systems_name_unique
    ON map_projection_systems (lower(name)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX map_projection_systems_authority_code_unique
    ON map_projection_systems (upper(authority_code)) WHERE deleted_at IS NULL;

CREATE TABLE regionals (
    id uuid PRIMARY KEY,
    code text NOT NULL CHECK (code ~ '^[0-9]{2}(\.[0-9]{2}(\.[0-9]{2}(\.[0-9]{4})?)?)?$'),
    name text NOT NULL CHECK (name <> ''),
    level text NOT NULL GENERATED ALWAYS AS (
        CASE length(code) WHEN 2 THEN 'provinsi' WHEN 5 THEN 'kabupaten' WHEN 8 THEN 'kecamatan' ELSE 'desa' END
    ) STORED,
    parent_id uuid REFERENCES regionals (id) CHECK (parent_id <> id),
    description text,
    thumbnail uuid REFERENCES files (id),
    valid_from date,
    valid_to date CHECK (valid_to >= valid_from),
    is_active boolean NOT NULL DEFAULT true,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX regionals_code_unique ON regionals (code) WHERE deleted_at IS NULL;
CREATE INDEX regionals_by_name ON regionals (lower(name), id) WHERE deleted_at IS NULL;
CREATE INDEX regionals_parent_id ON regionals (parent_id);
CREATE INDEX regionals_thumbnail ON regionals (thumbnail) WHERE thumbnail IS NOT NULL;

CREATE TABLE news (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    description text,
    thumbnail uuid REFERENCES files (id),
    is_active boolean NOT NULL DEFAULT true,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX news_newest ON news (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX news_public ON news (created_at DESC, id DESC) WHERE deleted_at IS NULL AND is_active;
CREATE INDEX news_by_name ON news (lower(name), id) WHERE deleted_at IS NULL;
CREATE INDEX news_thumbnail ON news (thumbnail) WHERE thumbnail IS NOT NULL;
