-- depends: 0022.hits

-- With the kind of each step in it, this index alone tells how long every decision took. It is made
-- under another name, beside the old one, which readers need until the end.
CREATE INDEX mapset_histories_covering ON mapset_histories (mapset_id, created_at DESC, id DESC)
    INCLUDE (validation_type);
DROP INDEX mapset_histories_of_mapset;
ALTER INDEX mapset_histories_covering RENAME TO mapset_histories_of_mapset;
