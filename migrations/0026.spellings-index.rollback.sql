-- transactional: false

DROP INDEX CONCURRENTLY IF EXISTS search_words_spellings;
