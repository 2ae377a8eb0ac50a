DROP INDEX news_search_words;
DROP INDEX organizations_search_words;
DROP INDEX regionals_by_plain_name;
DROP INDEX news_by_plain_name;
DROP INDEX organizations_by_plain_name;
