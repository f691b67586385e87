-- The keyed hash of a subject elsewhere is a part of the primary key, and stood in `object_id`: an audit cannot forget,
-- and who has the hashing key could ask it for good whether somebody had an account here. Known by user from now on.
CREATE OR REPLACE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON federated_identities
    FOR EACH ROW EXECUTE FUNCTION audit_change('{issuer,user_id}', '{issuer,user_id,created_at}', '{subject}');
