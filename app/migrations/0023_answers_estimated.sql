ALTER TABLE ai_responses ADD COLUMN usage_estimated boolean NOT NULL DEFAULT false;
