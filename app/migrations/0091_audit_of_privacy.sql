-- Receipts of erasures are audited. A budget may be called what its person is called: that it was named, and not how.
SELECT audit_table('erasures', plain => '{removed}'),
       audit_table('budgets', plain => '{holder,period,cheaper_model}');
