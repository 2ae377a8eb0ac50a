-- depends: 0010.kept-counts

ALTER TABLE sessions ADD COLUMN write_position bigint NOT NULL
    DEFAULT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint;
