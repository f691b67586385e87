"""Questions that were solved, sealed: each is whose it was, one from elsewhere is the desk's."""

from app.vault.service import DESK, Vault
from app.vault.tables import Table

OWNER = f"coalesce(customer_id, '{DESK}'::uuid)"

CASES = Table("solved_cases", "question", person=OWNER)
QUESTION = Vault(CASES.place("question"))
