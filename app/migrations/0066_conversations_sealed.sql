-- What people say to the assistant is sealed under their own key (app/vault): the first byte says how, and 00, in
-- the clear as it was, is what the job `keep_sealed` comes to. It rewrites these tables: seconds for 100,000 messages.
-- squawk-ignore ban-drop-default
ALTER TABLE conversations ALTER COLUMN title DROP DEFAULT;
ALTER TABLE conversations
    -- squawk-ignore changing-column-type
    ALTER COLUMN title TYPE bytea USING '\x00'::bytea || convert_to(title, 'UTF8');
ALTER TABLE messages
    -- squawk-ignore changing-column-type
    ALTER COLUMN content TYPE bytea USING '\x00'::bytea || convert_to(content, 'UTF8');
-- squawk-ignore ban-drop-default
ALTER TABLE message_feedback ALTER COLUMN comment DROP DEFAULT;
ALTER TABLE message_feedback
    -- squawk-ignore changing-column-type
    ALTER COLUMN comment TYPE bytea USING '\x00'::bytea || convert_to(comment, 'UTF8');
ALTER TABLE ai_responses
    -- squawk-ignore changing-column-type
    ALTER COLUMN question TYPE bytea USING '\x00'::bytea || convert_to(question, 'UTF8'),
    -- squawk-ignore changing-column-type
    ALTER COLUMN answer TYPE bytea USING '\x00'::bytea || convert_to(answer, 'UTF8');
ALTER TABLE solved_cases
    -- squawk-ignore changing-column-type
    ALTER COLUMN question TYPE bytea USING '\x00'::bytea || convert_to(question, 'UTF8');

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX conversations_unsealed ON conversations (id) WHERE get_byte(title, 0) = 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX messages_unsealed ON messages (id) WHERE get_byte(content, 0) = 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX message_feedback_unsealed ON message_feedback (message_id) WHERE get_byte(comment, 0) = 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ai_responses_unsealed ON ai_responses (id)
    WHERE get_byte(question, 0) = 0 OR get_byte(answer, 0) = 0;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX solved_cases_unsealed ON solved_cases (id) WHERE get_byte(question, 0) = 0;
