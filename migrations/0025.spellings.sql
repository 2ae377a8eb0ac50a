-- depends: 0024.common-words

-- A word without the marks around it, whole and with each one letter left out. Words that share one of
-- these differ by a letter, or by the order of two (the symmetric deletes of Wolf Garbe's SymSpell).
-- Trigrams find longer words well enough; of a short one that is mistyped in its middle few are left.
CREATE FUNCTION spellings_of(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(
        SELECT DISTINCT overlay(bare PLACING '' FROM place FOR 1)
        FROM btrim($1, '.,;:!?()"''') AS given (bare), generate_series(1, length(bare) + 1) AS place
        WHERE length(bare) BETWEEN 4 AND 10
    );

CREATE INDEX search_words_spellings ON search_words USING gin (spellings_of(word));
