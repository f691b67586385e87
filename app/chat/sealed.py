"""What is said to the assistant, sealed: a conversation is one person's, whose key seals all of it."""

from app.vault.service import Vault
from app.vault.tables import Table

OF_MESSAGE = """(SELECT c.user_id FROM messages m JOIN conversations c ON c.id = m.conversation_id
                  WHERE m.id = message_id)"""

CONVERSATIONS = Table("conversations", "title", person="user_id")
MESSAGES = Table(
    "messages", "content", person="(SELECT c.user_id FROM conversations c WHERE c.id = conversation_id)"
)
FEEDBACK = Table("message_feedback", "comment", person=OF_MESSAGE, key="message_id")

TITLE, CONTENT = Vault(CONVERSATIONS.place("title")), Vault(MESSAGES.place("content"))
COMMENT = Vault(FEEDBACK.place("comment"))
