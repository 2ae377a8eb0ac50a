DROP INDEX search_words_spellings;
DROP FUNCTION is_misspelled(text, text);
DROP FUNCTION spellings_of(text);
DROP FUNCTION bare_word(text);
DROP EXTENSION fuzzystrmatch;
