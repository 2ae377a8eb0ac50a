-- depends: 0012.change-notices

-- What a search box asks for at each letter; the names of mapsets have such an index already.
CREATE INDEX organizations_by_plain_name ON organizations (plain_text(name) text_pattern_ops)
    WHERE deleted_at IS NULL;
CREATE INDEX news_by_plain_name ON news (plain_text(name) text_pattern_ops) WHERE deleted_at IS NULL;
CREATE INDEX regionals_by_plain_name ON regionals (plain_text(name) text_pattern_ops)
    WHERE deleted_at IS NULL;

CREATE INDEX organizations_search_words ON organizations USING gin (words_of(search_text))
    WHERE deleted_at IS NULL;
CREATE INDEX news_search_words ON news USING gin (words_of(search_text)) WHERE deleted_at IS NULL;
