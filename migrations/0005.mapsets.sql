-- depends: 0004.map-sources

CREATE TABLE mapsets (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    description text,
    scale text,
    layer_url text CHECK (layer_url ~* '^https?://'),
    metadata_url text CHECK (metadata_url ~* '^https?://'),
    status_validation text NOT NULL DEFAULT 'on_verification'
        CHECK (status_validation IN ('on_verification', 'approved', 'rejected')),
    data_status text NOT NULL DEFAULT 'sementara' CHECK (data_status IN ('sementara', 'tetap')),
    data_update_period text,
    data_version text,
    coverage_level text CHECK (coverage_level IN ('desa', 'kecamatan', 'kabupaten', 'provinsi')),
    coverage_area text CHECK (coverage_area IN ('desa', 'kecamatan', 'kabupaten', 'provinsi')),
    classification_id uuid NOT NULL REFERENCES classifications (id),
    category_id uuid NOT NULL REFERENCES categories (id),
    projection_system_id uuid NOT NULL REFERENCES map_projection_systems (id),
    producer_id uuid NOT NULL REFERENCES organizations (id),
    regional_id uuid NOT NULL REFERENCES regionals (id),
    temporal_start timestamptz,
    temporal_end timestamptz,
    -- Longitude and latitude in degrees. Across the antimeridian the eastern edge is above 180.
    bounding_box box,
    notes text,
    is_popular boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    created_by uuid REFERENCES users (id),
    updated_by uuid REFERENCES users (id),
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT mapsets_temporal_order CHECK (temporal_start <= temporal_end)
);
CREATE INDEX mapsets_newest ON mapsets (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX mapsets_public ON mapsets (created_at DESC, id DESC)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
CREATE INDEX mapsets_public_by_producer ON mapsets (producer_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
CREATE INDEX mapsets_public_by_category ON mapsets (category_id, created_at DESC, id DESC)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
CREATE INDEX mapsets_by_producer ON mapsets (producer_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX mapsets_by_status ON mapsets (status_validation, is_active, created_at DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX mapsets_by_name ON mapsets (lower(name), id) WHERE deleted_at IS NULL;
CREATE INDEX mapsets_by_activity ON mapsets (is_active, id) WHERE deleted_at IS NULL;
CREATE INDEX mapsets_category_id ON mapsets (category_id);
CREATE INDEX mapsets_classification_id ON mapsets (classification_id);
CREATE INDEX mapsets_projection_system_id ON mapsets (projection_system_id);
CREATE INDEX mapsets_regional_id ON mapsets (regional_id);
CREATE INDEX mapsets_bounding_box ON mapsets USING gist (bounding_box) WHERE deleted_at IS NULL;

CREATE TABLE mapset_sources (
    mapset_id uuid NOT NULL REFERENCES mapsets (id),
    map_source_id uuid NOT NULL REFERENCES map_sources (id),
    position smallint NOT NULL CHECK (position >= 0),
    PRIMARY KEY (mapset_id, map_source_id)
);
CREATE INDEX mapset_sources_map_source_id ON mapset_sources (map_source_id);

CREATE TABLE mapset_histories (
    id uuid PRIMARY KEY,
    mapset_id uuid NOT NULL REFERENCES mapsets (id),
    validation_type text NOT NULL CHECK (validation_type IN ('on_verification', 'approved', 'rejected')),
    notes text,
    user_id uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mapset_histories_of_mapset ON mapset_histories (mapset_id, created_at DESC, id DESC);
CREATE INDEX mapset_histories_newest ON mapset_histories (created_at DESC, id DESC);
CREATE INDEX mapset_histories_user_id ON mapset_histories (user_id);

-- The state that each change of a mapset left, the first one included.
CREATE TABLE mapset_revisions (
    mapset_id uuid NOT NULL REFERENCES mapsets (id),
    revision integer NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    state jsonb NOT NULL,
    PRIMARY KEY (mapset_id, revision)
);
CREATE INDEX mapset_revisions_user_id ON mapset_revisions (user_id);
