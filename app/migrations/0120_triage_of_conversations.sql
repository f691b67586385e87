-- What triage said of a conversation's first question, whole: labels, probabilities, reasons, version.
ALTER TABLE conversations ADD COLUMN triage jsonb;
SELECT audit_table('conversations', left_out => '{triage,updated_at}');
