"""Where sealed texts lie, and whose they are."""


class Table:
    """A table with columns of type bytea that hold sealed texts; all of a row's are one person's.

    A column's texts are sealed by `Vault(f"{table}.{column}")`.
    """

    def __init__(self, name: str, *columns: str, person: str, key: str = "id") -> None:
        """`person` is an SQL expression over the row that says whose it is; `key` the primary key, a uuid."""
        self.name, self.columns, self.person, self.key = name, columns, person, key

    def place(self, column: str) -> str:
        return f"{self.name}.{column}"

    @property
    def unsealed(self) -> str:
        """The rows that are not (wholly) sealed; a partial index of exactly this finds them."""
        return " OR ".join(f"get_byte({column}, 0) = 0" for column in self.columns)
