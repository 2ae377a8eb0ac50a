-- depends: 0006.audit-of-commands

-- What bulk imports have done, written in the transactions that did it: an interrupted one goes on from here.
CREATE TABLE imports (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    files text[] NOT NULL,
    fingerprint text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    totals jsonb
);
CREATE INDEX imports_unfinished ON imports (fingerprint, started_at DESC) WHERE finished_at IS NULL;

CREATE TABLE import_batches (
    import_id uuid NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    place text NOT NULL,
    states text NOT NULL,
    errors jsonb,
    PRIMARY KEY (import_id, place)
);
