-- Tables and columns that are newer than 0071, whose numbers come first in an empty database.
SELECT audit_table('ledger_entries', plain => '{kind,reason,queue,intent,language}', operations => 'UPDATE OR DELETE'),
       audit_table('triage_labels', plain => '{name,description,queue,created_by}'),
       audit_table('triage_versions', plain => '{artefact,data_fingerprint,figures,state,comparison,promoted_by,label_counts}'),
       audit_table('triage_examples', plain => '{intent,queue,priority,sentiment,corrected_by}', left_out => '{updated_at}'),
       audit_table('queues', plain => '{name,description}');
