-- depends: 0024.common-words

CREATE EXTENSION IF NOT EXISTS fuzzystrmatch;

-- A word without the marks around it.
CREATE FUNCTION bare_word(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN btrim($1, '.,;:!?()"''');

-- A bare word, whole and with each one letter left out. Words that differ by a letter, or by the order
-- of two, share one of these (the symmetric deletes of Wolf Garbe's SymSpell). Trigrams find longer
-- words well enough; of a short one that is mistyped in its middle few are left.
CREATE FUNCTION spellings_of(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(
        SELECT DISTINCT overlay(bare PLACING '' FROM place FOR 1)
        FROM bare_word($1) AS given (bare), generate_series(1, length(bare) + 1) AS place
        WHERE length(bare) BETWEEN 4 AND 10
    );

-- Whether two short words differ by one letter, or by the places of two. Of long ones, which it may be
-- given where no index is used, levenshtein would fail.
CREATE FUNCTION is_misspelled(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN length($1) > 11 OR length($2) > 11 THEN false ELSE
        levenshtein($1, $2) < 2 OR levenshtein($1, $2) = 2 AND length($1) = length($2)
            AND translate($1, $2, '') = '' AND translate($2, $1, '') = ''
    END;

CREATE INDEX search_words_spellings ON search_words USING gin (spellings_of(word));
