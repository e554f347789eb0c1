"""Rooms and their drawings in a database: SQLite in one file, or Postgres by ROBUST_DATABASE=postgresql://…

What was acknowledged to a phone is committed: it survives a killed process. Of a person nothing is kept but the nickname
that they chose. Rooms delete themselves after KEPT_DAYS.
"""

import csv
import hashlib
import io
import json
import os
import secrets
import time
import zipfile
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.pool import NullPool

from robust.room.drawing import Strokes, draw

LETTERS = "ACDEFHJKMNPRTUVWXY3479"  # none is taken for another
CODE_LENGTH = 5
KEPT_DAYS = 7
NICKNAME = 20  # characters
HELD, SHOWN, HIDDEN = "held", "shown", "hidden"

_tables = sql.MetaData()
ROOMS = sql.Table(
    "rooms",
    _tables,
    sql.Column("code", sql.String(CODE_LENGTH), primary_key=True),
    sql.Column("host_key", sql.String(64), nullable=False),  # its SHA-256
    sql.Column("opened", sql.Float, nullable=False),
    sql.Column("closed", sql.Boolean, nullable=False, default=False),
    sql.Column("holds", sql.Boolean, nullable=False, default=True),  # whether new drawings wait for the speaker
)
DRAWINGS = sql.Table(
    "drawings",
    _tables,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("room", sql.String(CODE_LENGTH), sql.ForeignKey("rooms.code", ondelete="CASCADE"), index=True),
    sql.Column("sender", sql.String(32), nullable=False),
    sql.Column("key", sql.String(32), nullable=False),  # the phone's name for it: sent twice, it is kept once
    sql.Column("nickname", sql.String(NICKNAME), nullable=False),
    sql.Column("claim", sql.Integer),  # the class that the sender says it shows; NULL: none of them
    sql.Column("strokes", sql.Text, nullable=False),
    sql.Column("state", sql.String(8), nullable=False),
    sql.Column("prediction", sql.Integer),
    sql.Column("probability", sql.Float),
    sql.Column("scores", sql.Text),  # JSON, by metric
    sql.Column("reason", sql.Text),  # why there are none
    sql.Column("finished", sql.Boolean, nullable=False, default=False),  # whether the slow metrics are in
    sql.Column("digit_votes", sql.Integer, nullable=False, default=0),
    sql.Column("other_votes", sql.Integer, nullable=False, default=0),
    sql.Column("sent", sql.Float, nullable=False),
    sql.Column("changed", sql.Float, nullable=False, index=True),
    sql.UniqueConstraint("room", "sender", "key"),
)
MUTED = sql.Table(
    "muted",
    _tables,
    sql.Column("room", sql.String(CODE_LENGTH), sql.ForeignKey("rooms.code", ondelete="CASCADE"), primary_key=True),
    sql.Column("sender", sql.String(32), primary_key=True),
)


class NoSuchRoom(LookupError):
    """There is no such room, or the host's key is another one."""


def default_address() -> str:
    """ROBUST_DATABASE, or a SQLite file in the user's data folder."""
    if given := os.environ.get("ROBUST_DATABASE"):
        return given
    folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "robust"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'rooms.db'}"


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class Store:
    """All rooms of one database; methods may be called from several threads and processes."""

    def __init__(self, address: str):
        """`address` as SQLAlchemy has it: sqlite:///FILE or postgresql://…"""
        if address.startswith("postgresql://"):
            address = address.replace("postgresql://", "postgresql+psycopg://", 1)
        is_sqlite = address.startswith("sqlite")
        # SQLite: a connection for each use, since they may not wander between threads.
        self.engine = sql.create_engine(address, **({"poolclass": NullPool} if is_sqlite else {"pool_pre_ping": True}))
        if is_sqlite:
            sql.event.listen(self.engine, "connect", _sqlite_settings)
        _tables.create_all(self.engine)

    # --- Rooms ---

    def open_room(self) -> tuple[str, str]:
        """A new room's code, and the host's key to it."""
        self.forget_old_rooms()
        key = secrets.token_urlsafe(24)
        for _ in range(20):
            code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
            try:
                with self.engine.begin() as connection:
                    connection.execute(ROOMS.insert().values(code=code, host_key=_hash(key), opened=time.time(), closed=False, holds=True))  # fmt: skip
                return code, key
            except sql.exc.IntegrityError:
                continue
        raise RuntimeError("No room code is free.")

    def room(self, code: str) -> dict:
        """closed, holds, opened. Raises NoSuchRoom."""
        with self.engine.connect() as connection:
            row = connection.execute(sql.select(ROOMS).where(ROOMS.c.code == code)).mappings().first()
        if row is None:
            raise NoSuchRoom(code)
        return dict(row)

    def check_host(self, code: str, key: str) -> None:
        """Raises NoSuchRoom unless `key` is that of the room's host."""
        if not secrets.compare_digest(self.room(code)["host_key"], _hash(key)):
            raise NoSuchRoom(code)

    def set_room(self, code: str, **values: bool) -> None:
        with self.engine.begin() as connection:
            connection.execute(ROOMS.update().where(ROOMS.c.code == code).values(**values))

    def delete_room(self, code: str) -> None:
        with self.engine.begin() as connection:
            for table in (DRAWINGS, MUTED):
                connection.execute(table.delete().where(table.c.room == code))
            connection.execute(ROOMS.delete().where(ROOMS.c.code == code))

    def forget_old_rooms(self) -> None:
        with self.engine.connect() as connection:
            old = connection.execute(
                sql.select(ROOMS.c.code).where(ROOMS.c.opened < time.time() - KEPT_DAYS * 86_400)
            ).scalars()
            codes = list(old)
        for code in codes:
            self.delete_room(code)

    # --- Drawings ---

    def add(self, code: str, sender: str, key: str, nickname: str, claim: int | None, strokes: Strokes) -> int:
        """The drawing's number; that of the first time when it was sent before."""
        now = time.time()
        values = {"room": code, "sender": sender, "key": key, "nickname": nickname[:NICKNAME], "claim": claim}
        values |= {"strokes": json.dumps(strokes, separators=(",", ":")), "sent": now, "changed": now}
        values |= {"state": HELD if self.room(code)["holds"] else SHOWN, "finished": False}
        values |= {"digit_votes": 0, "other_votes": 0}
        known = sql.select(DRAWINGS.c.id).where(
            DRAWINGS.c.room == code, DRAWINGS.c.sender == sender, DRAWINGS.c.key == key
        )
        try:
            with self.engine.begin() as connection:
                if (number := connection.execute(known).scalar()) is not None:
                    return number
                return connection.execute(DRAWINGS.insert().values(**values)).inserted_primary_key[0]
        except sql.exc.IntegrityError:  # the same drawing, at the same moment
            with self.engine.connect() as connection:
                return connection.execute(known).scalar_one()

    def drawing(self, code: str, number: int) -> dict | None:
        with self.engine.connect() as connection:
            query = sql.select(DRAWINGS).where(DRAWINGS.c.room == code, DRAWINGS.c.id == number)
            row = connection.execute(query).mappings().first()
        return dict(row) if row else None

    def waiting(self, count: int) -> list[dict]:
        """The oldest drawings of all rooms that were not judged yet."""
        return self._rows(DRAWINGS.c.prediction.is_(None) & DRAWINGS.c.reason.is_(None), count)

    def unfinished(self, count: int) -> list[dict]:
        """The oldest drawings that lack the slow metrics."""
        return self._rows(DRAWINGS.c.prediction.is_not(None) & ~DRAWINGS.c.finished, count)

    def _rows(self, condition, count: int) -> list[dict]:
        with self.engine.connect() as connection:
            query = sql.select(DRAWINGS).where(condition).order_by(DRAWINGS.c.id).limit(count)
            return [dict(row) for row in connection.execute(query).mappings()]

    def queue_length(self, before: int) -> int:
        """How many drawings wait to be judged, up to that with this number."""
        with self.engine.connect() as connection:
            query = sql.select(sql.func.count()).select_from(DRAWINGS)
            waiting = DRAWINGS.c.prediction.is_(None) & DRAWINGS.c.reason.is_(None) & (DRAWINGS.c.id <= before)
            return connection.execute(query.where(waiting)).scalar_one()

    def write(self, rows: list[dict]) -> None:
        """Judgements: dicts of `id` and the columns that changed."""
        now = time.time()
        with self.engine.begin() as connection:
            for row in rows:
                values = {name: value for name, value in row.items() if name != "id"} | {"changed": now}
                connection.execute(DRAWINGS.update().where(DRAWINGS.c.id == row["id"]).values(**values))

    def changed_since(self, code: str, moment: float, most: int = 500) -> list[dict]:
        """Drawings of a room that changed after a moment (seconds since 1970), those that changed first first."""
        with self.engine.connect() as connection:
            query = sql.select(DRAWINGS).where(DRAWINGS.c.room == code, DRAWINGS.c.changed > moment)
            rows = connection.execute(query.order_by(DRAWINGS.c.changed, DRAWINGS.c.id).limit(most)).mappings()
            return [dict(row) for row in rows]

    def set_state(self, code: str, numbers: list[int] | None, state: str) -> None:
        """Show, hold or hide these drawings; None: all that are held."""
        which = DRAWINGS.c.state == HELD if numbers is None else DRAWINGS.c.id.in_(numbers)
        with self.engine.begin() as connection:
            query = DRAWINGS.update().where(DRAWINGS.c.room == code, which)
            connection.execute(query.values(state=state, changed=time.time()))

    def clear(self, code: str) -> None:
        with self.engine.begin() as connection:
            query = DRAWINGS.update().where(DRAWINGS.c.room == code)
            connection.execute(query.values(state=HIDDEN, changed=time.time()))

    def mute(self, code: str, sender: str) -> None:
        """What this sender drew is hidden, and nothing more is taken from them."""
        with self.engine.begin() as connection:
            known = sql.select(MUTED.c.sender).where(MUTED.c.room == code, MUTED.c.sender == sender)
            if connection.execute(known).first() is None:
                connection.execute(MUTED.insert().values(room=code, sender=sender))
            theirs = (DRAWINGS.c.room == code) & (DRAWINGS.c.sender == sender)
            connection.execute(DRAWINGS.update().where(theirs).values(state=HIDDEN, changed=time.time()))

    def is_muted(self, code: str, sender: str) -> bool:
        with self.engine.connect() as connection:
            query = sql.select(MUTED.c.sender).where(MUTED.c.room == code, MUTED.c.sender == sender)
            return connection.execute(query).first() is not None

    def ballot(self, code: str, sender: str, most: int = 20) -> list[dict]:
        """Shown drawings of others that are said to show none of the classes, least voted on first."""
        votes = DRAWINGS.c.digit_votes + DRAWINGS.c.other_votes
        condition = (DRAWINGS.c.room == code) & (DRAWINGS.c.state == SHOWN) & DRAWINGS.c.claim.is_(None)
        condition &= DRAWINGS.c.prediction.is_not(None) & (DRAWINGS.c.sender != sender)
        with self.engine.connect() as connection:
            query = sql.select(DRAWINGS).where(condition).order_by(votes, sql.func.random()).limit(most)
            return [dict(row) for row in connection.execute(query).mappings()]

    def vote(self, code: str, number: int, is_digit: bool) -> None:
        """The room's word on what a drawing is."""
        column = DRAWINGS.c.digit_votes if is_digit else DRAWINGS.c.other_votes
        with self.engine.begin() as connection:
            query = DRAWINGS.update().where(DRAWINGS.c.room == code, DRAWINGS.c.id == number)
            connection.execute(query.values({column: column + 1, DRAWINGS.c.changed: time.time()}))

    def export(self, code: str) -> bytes:
        """A zip of PNG files and labels.csv, as `python -m robust benchmark inputs` reads them; what was hidden stays out.

        The labels are the senders' own claims.
        """
        rows = [row for row in self.changed_since(code, 0, 100_000) if row["state"] != HIDDEN]
        buffer, table = io.BytesIO(), io.StringIO()
        writer = csv.writer(table)
        writer.writerow(["file", "label", "kind"])
        with zipfile.ZipFile(buffer, "w") as archive:
            for row in sorted(rows, key=lambda row: row["id"]):
                picture = io.BytesIO()
                draw(json.loads(row["strokes"])).save(picture, "PNG")
                name = f"{row['id']:06d}.png"
                archive.writestr(name, picture.getvalue())
                writer.writerow([name, "none" if row["claim"] is None else row["claim"], "room"])
            archive.writestr("labels.csv", table.getvalue())
        return buffer.getvalue()


def _sqlite_settings(connection, _) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
