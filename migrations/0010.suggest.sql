-- depends: 0009.search

CREATE INDEX regionals_by_plain_name ON regionals (plain_text(name) text_pattern_ops)
    WHERE deleted_at IS NULL;
CREATE INDEX news_search_words ON news USING gin (words_of(search_text)) WHERE deleted_at IS NULL;
