"""Answers that are kept, sealed: question and answer are the asker's."""

from app.vault.service import DESK, Vault
from app.vault.tables import Table

OWNER = f"coalesce(user_id, '{DESK}'::uuid)"
"""Those of before askers were noted are the desk's."""

ANSWERS = Table("ai_responses", "question", "answer", person=OWNER)
QUESTION, ANSWER = (Vault(ANSWERS.place(column)) for column in ANSWERS.columns)
