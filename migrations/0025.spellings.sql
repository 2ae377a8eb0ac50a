-- depends: 0024.common-words

CREATE EXTENSION IF NOT EXISTS fuzzystrmatch;

-- What stands between the signs and tags of a word, as of "(desa/kelurahan)" or "<p>desa</p>". In the
-- collation "C" only the signs of ASCII count, whatever the database's own says.
CREATE FUNCTION parts_of(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_split_to_array(
        regexp_replace($1 COLLATE "C", '<[^>]*>', ' ', 'g'), '[[:punct:][:space:]]+'
    );

-- The short parts of a word, whole and with each one letter left out. Words that differ by a letter, or
-- by the order of two, share one of these (the symmetric deletes of Wolf Garbe's SymSpell). Trigrams
-- find longer words well enough; of a short one that is mistyped in its middle few are left. What has
-- digits, as a year or a code, is meant as it is.
CREATE FUNCTION spellings_of(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ARRAY(
        SELECT DISTINCT overlay(part PLACING '' FROM place FOR 1)
        FROM unnest(parts_of($1)) AS parts (part), generate_series(1, length(part) + 1) AS place
        WHERE length(part) BETWEEN 4 AND 10 AND part !~ '[0-9]'
    );

-- Whether a part of a word differs from another word by one letter, or by the places of two. Of long
-- ones, which it may be given where no index is used, levenshtein would fail.
CREATE FUNCTION is_misspelled(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (
        SELECT bool_or(CASE WHEN greatest(length(part), length($2)) > 10 THEN false ELSE
            levenshtein(part, $2) < 2 OR levenshtein(part, $2) = 2 AND length(part) = length($2)
                AND translate(part, $2, '') = '' AND translate($2, part, '') = ''
        END) FROM unnest(parts_of($1)) AS parts (part)
    );
