DROP TABLE mapset_revisions;
DROP TABLE mapset_histories;
DROP TABLE mapset_sources;
DROP TABLE mapsets;
