"""A server's database, whichever it is: the same SQL with `?`, and rows of text and numbers as SQLite gives them."""

import asyncio
import contextlib
import itertools
import re
import sqlite3
import time

import asyncpg


def connect(url):
    """@url as the server has it, in PREFECT_API_DATABASE_CONNECTION_URL."""
    kind, _, rest = url.partition("+")
    return Postgres(f"{kind}://{rest.partition('://')[2]}") if kind == "postgresql" else Sqlite(url.partition(":///")[2])


class Sqlite:
    name = "sqlite"

    def __init__(self, path):
        self.path = path
        self.connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        self.connection.row_factory = sqlite3.Row

    def query(self, sql, *values):
        return self.connection.execute(sql, values)

    def write(self, sql, *values):
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            connection.execute(sql, values)

    def fail_to_delete(self, name, ids, refused):
        """A constraint that fails is answered with 409 (@refused), any other error of the database with 500."""
        body = "RAISE(ABORT, 'held by a trigger')" if refused else "json_extract('no JSON', '$.x')"
        self.write(f"CREATE TRIGGER {name} BEFORE DELETE ON flow_run WHEN OLD.id IN ({literals(ids)}) BEGIN SELECT {body}; END")

    def delete_again(self, name):
        self.write(f"DROP TRIGGER IF EXISTS {name}")

    def record_deletions(self, table):
        """From now on every flow run that vanishes leaves its id and the time in a table of this name."""
        self.write(f"CREATE TABLE {table} (id TEXT, at TEXT)")
        self.write(f"CREATE TRIGGER {table} AFTER DELETE ON flow_run BEGIN"
                   f" INSERT INTO {table} VALUES (OLD.id, strftime('%Y-%m-%d %H:%M:%f', 'now')); END")


class Postgres:
    name = "postgres"
    AWAY_SECONDS = 60
    # Ids, times and documents as text, which is what SQLite has.
    TEXT = ("uuid", "timestamptz", "json", "jsonb")

    def __init__(self, url):
        self.url = url
        self.loop = asyncio.new_event_loop()
        self.connection = None

    def query(self, sql, *values):
        """Waits where the database is being restarted."""
        deadline = time.monotonic() + self.AWAY_SECONDS
        while True:
            try:
                return self.write(sql, *values)
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def write(self, sql, *values):
        return self.loop.run_until_complete(self._fetch(self._translated(sql), values))

    async def _fetch(self, sql, values):
        if not self.connection or self.connection.is_closed():
            self.connection = await asyncpg.connect(self.url, server_settings={"timezone": "UTC"})
            for name in self.TEXT:
                await self.connection.set_type_codec(name, encoder=str, decoder=str, schema="pg_catalog", format="text")
        return await self.connection.fetch(sql, *values)

    @staticmethod
    def _translated(sql):
        numbers = itertools.count(1)
        sql = sql.replace("SELECT value FROM json_each(?)", "SELECT value::uuid FROM json_array_elements_text(?::json)")
        return re.sub(r"\?", lambda _: f"${next(numbers)}", sql)

    def fail_to_delete(self, name, ids, refused):
        code = "integrity_constraint_violation" if refused else "internal_error"
        self.write(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
                   f" $$ BEGIN RAISE EXCEPTION 'held by a trigger' USING ERRCODE = '{code}'; END $$")
        self.write(f"CREATE TRIGGER {name} BEFORE DELETE ON flow_run FOR EACH ROW WHEN (OLD.id IN ({literals(ids)}))"
                   f" EXECUTE FUNCTION {name}()")

    def record_deletions(self, table):
        self.write(f"CREATE TABLE {table} (id uuid, at timestamptz)")
        self.write(f"CREATE FUNCTION {table}() RETURNS trigger LANGUAGE plpgsql AS"
                   f" $$ BEGIN INSERT INTO {table} VALUES (OLD.id, clock_timestamp()); RETURN NULL; END $$")
        self.write(f"CREATE TRIGGER {table} AFTER DELETE ON flow_run FOR EACH ROW EXECUTE FUNCTION {table}()")

    def delete_again(self, name):
        self.write(f"DROP FUNCTION IF EXISTS {name} CASCADE")


def literals(ids):
    return ", ".join(f"'{one}'" for one in ids)
