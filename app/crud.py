"""Users: create, read, list, update, delete."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import User, UserIn


class Taken(Exception):
    """Another user has this address."""


def create(session: Session, given: UserIn) -> User:
    """Store a new user."""
    user = User(email=given.email, name=given.name)
    session.add(user)
    _commit(session, given)
    return user


def get(session: Session, user_id: int) -> User | None:
    """The user, if there is one."""
    return session.get(User, user_id)


def page(session: Session, after: int, limit: int) -> Sequence[User]:
    """The next users by id, after the given one."""
    return session.scalars(select(User).where(User.id > after).order_by(User.id).limit(limit)).all()


def update(session: Session, user: User, given: UserIn) -> User:
    """Change a user."""
    user.email, user.name = given.email, given.name
    _commit(session, given)
    return user


def delete(session: Session, user: User) -> None:
    """Remove a user."""
    session.delete(user)
    session.commit()


def _commit(session: Session, given: UserIn) -> None:
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise Taken(given.email) from error
