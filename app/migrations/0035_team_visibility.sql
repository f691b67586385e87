ALTER TYPE visibility ADD VALUE IF NOT EXISTS 'teams' AFTER 'agents';
