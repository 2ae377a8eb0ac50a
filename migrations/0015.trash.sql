-- depends: 0014.audit

-- When all that told of the person was erased from the row; such a user never comes back.
ALTER TABLE users ADD COLUMN erased_at timestamptz CHECK (erased_at IS NULL OR deleted_at IS NOT NULL);

-- The trash, newest first, of what there may be many of.
CREATE INDEX mapsets_trash ON mapsets (deleted_at DESC NULLS LAST, id DESC) WHERE deleted_at IS NOT NULL;
CREATE INDEX regionals_trash ON regionals (deleted_at DESC NULLS LAST, id DESC) WHERE deleted_at IS NOT NULL;
CREATE INDEX news_trash ON news (deleted_at DESC NULLS LAST, id DESC) WHERE deleted_at IS NOT NULL;
