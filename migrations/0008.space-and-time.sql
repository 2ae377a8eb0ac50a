-- depends: 0007.imports

CREATE INDEX mapsets_covered_time ON mapsets USING gist (tstzrange(temporal_start, temporal_end, '[]'))
    WHERE deleted_at IS NULL AND (temporal_start IS NOT NULL OR temporal_end IS NOT NULL);
