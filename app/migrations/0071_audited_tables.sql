-- Which tables are audited, and which text of theirs is nobody's words. Those that are not stand with their reasons in
-- app/audit/coverage.py; a test holds both against the database.
SELECT audit_table('users', plain => '{language}'),
       audit_table('refresh_families'),
       audit_table('api_keys', plain => '{prefix,scopes}', left_out => '{key_hash,last_used_at}'),
       audit_table('data_keys', plain => '{kek}', left_out => '{wrapped}'),
       audit_table('federated_identities', plain => '{issuer}'),
       audit_table('team_members', plain => '{team}');

SELECT audit_table('queues', plain => '{name,description}'),
       audit_table('queue_fields', plain => '{name,kind,choices}'),
       audit_table('agents', plain => '{languages}', left_out => '{last_assigned_at}'),
       audit_table('agent_queues'),
       audit_table('agent_skills', plain => '{skill}'),
       audit_table('routing_rules', plain => '{name,conditions,actions}', left_out => '{updated_at}'),
       audit_table('sla_calendars', plain => '{name,zone,week,country,subdivision}'),
       audit_table('sla_policies', plain => '{name,tier,escalations}'),
       audit_table('customer_tiers', plain => '{tier}'),
       audit_table('schedules', plain => '{kind}', left_out => '{next_run_at}');

SELECT audit_table('tickets', plain => '{intent,language,sentiment}', left_out => '{search,triage,updated_at}'),
       audit_table('ticket_messages'),
       audit_table('ticket_links', plain => '{kind}'),
       audit_table('ticket_merges'),
       audit_table('ticket_attachments', plain => '{media_type}', left_out => '{sha256}'),
       audit_table('ticket_csat', left_out => '{updated_at}'),
       audit_table('ticket_events', plain => '{actor,kind}', operations => 'UPDATE OR DELETE'),
       audit_table('conversations', left_out => '{updated_at}'),
       audit_table('messages', plain => '{author,outcome}'),
       audit_table('message_feedback'),
       audit_table('ai_responses', plain => '{model,provider,outcome,prompt_version}', operations => 'UPDATE OR DELETE');

SELECT audit_table('articles', plain => '{source,slug,title,url,products,topics,language,teams}', left_out => '{audiences,updated_at}'),
       audit_table('documents', plain => '{status,teams}', left_out => '{content}'),
       audit_table('indexes', plain => '{name,embedder,chunker,status}', left_out => '{chunks,updated_at}'),
       audit_table('gate_questions'),
       audit_table('solved_cases', plain => '{audiences}', left_out => '{indexed_in,updated_at}'),
       audit_table('case_links', plain => '{via}'),
       audit_table('fusion_versions', plain => '{index_name,weights,figures}'),
       audit_table('triage_versions', plain => '{artefact,data_fingerprint,figures,state,comparison,promoted_by}'),
       audit_table('triage_examples', plain => '{intent,queue,priority,corrected_by}', left_out => '{updated_at}'),
       audit_table('provider_lineups', plain => '{lineup,note}'),
       audit_table('budgets', plain => '{name,holder,period,cheaper_model}');

-- Of jobs only what a person does to them: a replay of one that was given up, and the removal of one not done.
SELECT audit_table('jobs', plain => '{kind,status}', operations => 'UPDATE',
                   left_out => '{payload,dedupe_key,last_error,lease_token,lease_until,run_at,created_at}',
                   condition => $$OLD.status = 'dead'$$);
CREATE TRIGGER audit_removed AFTER DELETE ON jobs FOR EACH ROW WHEN (OLD.status <> 'done')
    EXECUTE FUNCTION audit_change('{id}', '{id,kind,status,attempts}', '{payload,dedupe_key,last_error,lease_token,lease_until}');
