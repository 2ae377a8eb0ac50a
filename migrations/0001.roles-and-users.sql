-- Roles, organizations, users, files: each needs the next, so the two foreign keys that close the circle come last.

CREATE TABLE roles (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT roles_name_unique UNIQUE
        CHECK (name IN ('administrator', 'data_validator', 'data_manager', 'data_viewer')),
    description text,
    is_active boolean NOT NULL DEFAULT true,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    description text,
    thumbnail uuid,
    address text,
    phone_number text,
    email text,
    website text,
    is_active boolean NOT NULL DEFAULT true,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE UNIQUE INDEX organizations_name_unique ON organizations (lower(name)) WHERE deleted_at IS NULL;
CREATE INDEX organizations_by_email ON organizations (lower(email), id) WHERE deleted_at IS NULL;
CREATE INDEX organizations_thumbnail ON organizations (thumbnail) WHERE thumbnail IS NOT NULL;

CREATE TABLE users (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    username text NOT NULL CHECK (username <> ''),
    email text NOT NULL CHECK (email <> ''),
    password_hash text,
    password_changed_at timestamptz,
    employee_id text CHECK (employee_id <> ''),
    position text,
    profile_picture uuid,
    role_id uuid NOT NULL REFERENCES roles (id),
    organization_id uuid REFERENCES organizations (id),
    is_active boolean NOT NULL DEFAULT true,
    is_system boolean NOT NULL DEFAULT false,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT users_system_cannot_act CHECK (NOT (is_system AND (is_active OR password_hash IS NOT NULL)))
);
CREATE UNIQUE INDEX users_username_unique ON users (lower(username)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_email_unique ON users (lower(email)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_employee_id_unique ON users (employee_id) WHERE deleted_at IS NULL;
CREATE INDEX users_by_name ON users (lower(name), id) WHERE deleted_at IS NULL;
CREATE INDEX users_role_id ON users (role_id);
CREATE INDEX users_organization_id ON users (organization_id);
CREATE INDEX users_profile_picture ON users (profile_picture) WHERE profile_picture IS NOT NULL;

CREATE TABLE files (
    id uuid PRIMARY KEY,
    object_name text NOT NULL CONSTRAINT files_object_name_unique UNIQUE,
    name text NOT NULL,
    description text,
    content_type text NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    checksum text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
    width integer CHECK (width > 0),
    height integer CHECK (height > 0),
    uploaded_by uuid NOT NULL REFERENCES users (id),
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX files_uploaded_by ON files (uploaded_by);

ALTER TABLE organizations ADD CONSTRAINT organizations_thumbnail_fkey FOREIGN KEY (thumbnail) REFERENCES files (id);
ALTER TABLE users ADD CONSTRAINT users_profile_picture_fkey FOREIGN KEY (profile_picture) REFERENCES files (id);
