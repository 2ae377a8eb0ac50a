DROP INDEX news_trash;
DROP INDEX regionals_trash;
DROP INDEX mapsets_trash;
ALTER TABLE users DROP COLUMN erased_at;
