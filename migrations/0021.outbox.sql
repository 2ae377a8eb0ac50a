-- depends: 0020.covering-indexes

-- What is to be told to somebody outside: written with the change that it tells of, and delivered by
-- the worker. A person's address is not kept here; it is looked up when the mail is sent.
CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    channel text NOT NULL CHECK (channel IN ('mail', 'webhook')),
    event text NOT NULL,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    address text,
    payload jsonb NOT NULL,
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    CHECK ((channel = 'mail') = (user_id IS NOT NULL)),
    CHECK ((channel = 'webhook') = (address IS NOT NULL))
);
CREATE INDEX outbox_user_id ON outbox (user_id);
CREATE INDEX outbox_status ON outbox (status, created_at);
