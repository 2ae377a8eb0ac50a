-- depends: 0021.outbox

-- How often a mapset was seen and downloaded on a day; nothing of who did it. Each API process adds
-- what it has counted every some seconds.
CREATE TABLE mapset_hits (
    mapset_id uuid NOT NULL REFERENCES mapsets (id) ON DELETE CASCADE,
    day date NOT NULL,
    views integer NOT NULL DEFAULT 0,
    downloads integer NOT NULL DEFAULT 0,
    PRIMARY KEY (mapset_id, day)
);
