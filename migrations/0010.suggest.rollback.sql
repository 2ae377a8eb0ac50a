DROP INDEX news_search_words;
DROP INDEX regionals_by_plain_name;
