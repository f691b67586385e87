"""What of webhooks is sealed, under a key of each endpoint's own.

URLs often hold a token of the receiver's, and what receivers answer is anybody's words.
"""

from app.vault.service import Vault

URL = Vault("webhook_endpoints.url")
SECRET = Vault("webhook_endpoints.secret")
"""Also the one before: it moves from column to column as it is."""
RESPONSE = Vault("webhook_attempts.response")
