-- depends: 0023.histories-alone

-- PostgreSQL shows the statistics of an index to the owner alone; with two roles the API is another
-- one, and could not tell which words are so common that reading texts is quicker than the index.
CREATE FUNCTION common_words() RETURNS TABLE (index_name text, word text, frequency real)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT tablename::text, common.word, common.frequency
    FROM pg_stats, unnest(most_common_elems::text::text[], most_common_elem_freqs) AS common (word, frequency)
    WHERE schemaname = 'public' AND tablename IN ('mapsets_search_words', 'mapsets_name_words')
        AND attname = 'words_of'
$$;
