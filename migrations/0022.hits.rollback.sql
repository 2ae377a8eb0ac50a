DROP TABLE mapset_hits;
