DROP INDEX search_words_spellings;
DROP FUNCTION spellings_of(text);
