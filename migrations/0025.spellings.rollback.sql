DROP FUNCTION is_misspelled(text, text);
DROP FUNCTION spellings_of(text);
DROP FUNCTION parts_of(text);
DROP EXTENSION fuzzystrmatch;
