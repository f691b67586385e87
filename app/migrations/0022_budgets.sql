-- What answers may cost in a day or a month (UTC), for everybody together, for each user, or for one. Past
-- `limit_usd` the cheaper model answers, past `hard_limit_usd` nobody.
CREATE TABLE budgets (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL UNIQUE,
    holder text NOT NULL CHECK (holder IN ('everybody', 'each_user', 'user')),
    user_id uuid REFERENCES users ON DELETE CASCADE,
    period text NOT NULL CHECK (period IN ('day', 'month')),
    limit_usd double precision NOT NULL CHECK (limit_usd >= 0),
    hard_limit_usd double precision NOT NULL,
    cheaper_model text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (hard_limit_usd >= limit_usd),
    CHECK ((holder = 'user') = (user_id IS NOT NULL))
);
CREATE INDEX budgets_user ON budgets (user_id);

-- One pot a period; of budgets for each user, one a user.
CREATE TABLE budget_pots (
    budget_id uuid NOT NULL REFERENCES budgets ON DELETE CASCADE,
    holder_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    spent_usd double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (budget_id, holder_id, starts_at)
);

-- What an answer under way may come to; one that its replica did not live to settle counts until it expires.
CREATE TABLE budget_reservations (
    call_id uuid NOT NULL,
    budget_id uuid NOT NULL,
    holder_id uuid NOT NULL,
    starts_at timestamptz NOT NULL,
    amount_usd double precision NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (call_id, budget_id),
    FOREIGN KEY (budget_id, holder_id, starts_at) REFERENCES budget_pots ON DELETE CASCADE
);
CREATE INDEX budget_reservations_pot ON budget_reservations (budget_id, holder_id, starts_at);
