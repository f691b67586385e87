-- A person's blind index goes with the person; a webhook's secrets are nobody's to read: that they were changed shows
-- in former_secret_until. Hashes of articles are no sealed texts, whatever their first byte.
SELECT audit_table('users', plain => '{language}', left_out => '{email_hash}'),
       audit_table('webhook_endpoints', plain => '{event_types,description,off_because}',
                   left_out => '{secret,former_secret,updated_at,failures,failing_since,resting_until,turn_job,turn_until}'),
       audit_table('articles', plain => '{source,slug,title,url,products,topics,language,teams,content_hash}',
                   left_out => '{audiences,updated_at}');
