DROP TABLE map_sources;
DROP TABLE credentials;
