-- depends: 0008.space-and-time

CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- What texts are compared by: without regard to case and accents, and with blanks as the only space
-- between words. PostgreSQL calls unaccent merely stable, as its rules could be changed; ours are the
-- ones that come with it.
CREATE FUNCTION plain_text(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, translate($1, E'\t\n\r\f\v', '     ')));

-- The words of a plain text, as they stand between blanks. A very long one comes in pieces which an
-- index can hold; as each takes in the next 255 characters, a search of so many lies in one of them.
CREATE FUNCTION words_of(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN length($1) > 250 AND $1 ~ '[^ ]{250}' THEN ARRAY(
        SELECT chunk[1] || coalesce(lead(chunk[1]) OVER (PARTITION BY number ORDER BY place), '')
        FROM unnest(string_to_array($1, ' ')) WITH ORDINALITY AS words (word, number),
            regexp_matches(word, '.{1,255}', 'g') WITH ORDINALITY AS chunks (chunk, place)
    ) ELSE string_to_array($1, ' ') END;

CREATE FUNCTION stems_of(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN tsvector_to_array(to_tsvector('pg_catalog.indonesian', $1));

ALTER TABLE roles ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || coalesce(description, ''))) STORED;
ALTER TABLE users ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || username || E'\n' || coalesce(email, ''))) STORED;
ALTER TABLE organizations ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || coalesce(description, ''))) STORED;
ALTER TABLE categories ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || coalesce(description, ''))) STORED;
ALTER TABLE classifications ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || coalesce(description, ''))) STORED;
ALTER TABLE map_projection_systems ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS (plain_text(
    name || E'\n' || coalesce(authority_code, '') || E'\n' || coalesce(area, '') || E'\n' || coalesce(description, '')
)) STORED;
ALTER TABLE regionals ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || code)) STORED;
ALTER TABLE news ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || coalesce(description, ''))) STORED;
ALTER TABLE credentials ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || coalesce(description, ''))) STORED;
ALTER TABLE map_sources ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || coalesce(description, '') || E'\n' || url)) STORED;
ALTER TABLE mapsets ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(name || E'\n' || coalesce(description, ''))) STORED;
ALTER TABLE mapset_histories ADD COLUMN search_text text NOT NULL
    GENERATED ALWAYS AS (plain_text(coalesce(notes, ''))) STORED;

CREATE INDEX mapsets_search_words ON mapsets USING gin (words_of(search_text)) WHERE deleted_at IS NULL;
CREATE INDEX mapsets_public_by_plain_name ON mapsets (plain_text(name) text_pattern_ops)
    WHERE deleted_at IS NULL AND is_active AND status_validation = 'approved';
CREATE INDEX regionals_search_words ON regionals USING gin (words_of(search_text)) WHERE deleted_at IS NULL;

-- All words of what can be searched. A word may stand twice: two transactions that bring the same
-- one do not wait for each other. None is removed, as it costs nothing to find no record by one.
CREATE TABLE search_words (
    word text COLLATE "C" NOT NULL,
    stems text[] NOT NULL GENERATED ALWAYS AS (stems_of(word)) STORED
);

-- The plan is kept from when there were few words, or none were counted yet: it must take the index.
CREATE FUNCTION note_search_words() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    -- What is new is cut into pieces where it is long; cutting all that is stored would take longer.
    INSERT INTO search_words (word)
    SELECT DISTINCT piece
    FROM (SELECT DISTINCT word FROM stored, string_to_table(search_text, ' ') AS word) AS brought,
        unnest(words_of(brought.word)) AS piece
    WHERE piece <> '' AND NOT EXISTS (SELECT FROM search_words AS known WHERE known.word = brought.word)
        AND NOT EXISTS (SELECT FROM search_words AS known WHERE known.word = piece);
    RETURN NULL;
END
$$;
CREATE TRIGGER organizations_new_words AFTER INSERT ON organizations
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER organizations_changed_words AFTER UPDATE ON organizations
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER categories_new_words AFTER INSERT ON categories
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER categories_changed_words AFTER UPDATE ON categories
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER regionals_new_words AFTER INSERT ON regionals
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER regionals_changed_words AFTER UPDATE ON regionals
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER news_new_words AFTER INSERT ON news
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER news_changed_words AFTER UPDATE ON news
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER mapsets_new_words AFTER INSERT ON mapsets
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();
CREATE TRIGGER mapsets_changed_words AFTER UPDATE ON mapsets
    REFERENCING NEW TABLE AS stored FOR EACH STATEMENT EXECUTE FUNCTION note_search_words();

INSERT INTO search_words (word) SELECT DISTINCT unnest(words_of(search_text)) FROM (
    SELECT search_text FROM organizations UNION ALL SELECT search_text FROM categories
    UNION ALL SELECT search_text FROM regionals UNION ALL SELECT search_text FROM news
    UNION ALL SELECT search_text FROM mapsets
) AS searched WHERE search_text <> '';
CREATE INDEX search_words_word ON search_words (word);
CREATE INDEX search_words_trigrams ON search_words USING gin (word gin_trgm_ops);
CREATE INDEX search_words_stems ON search_words USING gin (stems);
