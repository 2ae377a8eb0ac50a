-- depends: 0025.spellings
-- transactional: false

DROP INDEX CONCURRENTLY IF EXISTS search_words_spellings;
CREATE INDEX CONCURRENTLY search_words_spellings ON search_words USING gin (spellings_of(word));
