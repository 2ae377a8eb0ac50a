CREATE INDEX mapset_histories_narrow ON mapset_histories (mapset_id, created_at DESC, id DESC);
DROP INDEX mapset_histories_of_mapset;
ALTER INDEX mapset_histories_narrow RENAME TO mapset_histories_of_mapset;
