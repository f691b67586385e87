"""The first administrator, who makes everybody else over the API; and one who lost their password."""

import re
import secrets

from app import db
from app.auth import users
from app.auth.passwords import Passwords
from app.auth.schemas import EMAIL


async def administrator(dsn: str, email: str) -> int:
    """Make them one, by a new password that is shown once."""
    if not re.fullmatch(EMAIL, email):
        print(f"{email!r} is no e-mail address")
        return 2
    password = secrets.token_urlsafe(15)
    pool = await db.connect(dsn, max_size=1, statement_timeout_s=10)
    try:
        new = await users.appoint(pool, Passwords(), email, password)
    finally:
        await pool.close()
    was = (
        "is an administrator"
        if new
        else "was there already and is an administrator now, signed out everywhere"
    )
    print(f"{email} {was}; the password, shown once: {password}")
    return 0
