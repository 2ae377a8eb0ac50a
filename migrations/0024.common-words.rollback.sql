DROP FUNCTION common_words();
