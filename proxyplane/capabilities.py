"""Capabilities: what a session may reach, by which name, and with which of the object's rights.

A capability is granted by name, can only be narrowed (attenuated), runs out or is revoked. Derived objects carry
the granted names they were made from, so revoking one name ends everything that was made from it (Miller, *Robust
Composition*, 2006: attenuation and revocation by a forwarder that is asked on each use).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from proxyplane.effects import ALL_EFFECTS, Effect
from proxyplane.errors import Denied, Expired, Revoked

__all__ = ["Capability"]

_MINT = object()


def _nobody() -> None:
    """No session has it."""


class Capability:
    """The right of one session to reach one object under one name. Only the plane makes them.

    Attributes:
        name: the granted name, unique in its session.
        effects: effects that may be had through it, whatever the policy allows besides.
        uses: operations left, or None for no bound.
        expires: monotonic nanoseconds after which it is dead, or None.
    """

    __slots__ = ("_counting", "_revoked", "effects", "expires", "name", "narrowed", "uses")

    def __init__(
        self, mint: object, name: str, effects: frozenset[Effect], uses: int | None, expires: int | None
    ) -> None:
        if mint is not _MINT:
            raise TypeError("capabilities are granted with session.put(...), not constructed")
        self.name = name
        self.effects = effects
        self.uses = uses
        self.expires = expires
        self._revoked = False
        self._counting = threading.Lock()
        self.narrowed: Callable[[], None] = _nobody
        """Called after each change; set by whoever must know that there is something to check."""

    def __repr__(self) -> str:
        return f"<Capability {self.name!r}{' revoked' if self._revoked else ''}>"

    @property
    def revoked(self) -> bool:
        """Whether it was taken back."""
        return self._revoked

    @property
    def plain(self) -> bool:
        """Whether it says nothing beyond the policy, so that no use of it need be checked."""
        return not self._revoked and self.uses is None and self.expires is None and self.effects == ALL_EFFECTS

    def attenuate(
        self, *, effects: Iterable[str] | None = None, uses: int | None = None, expires: int | None = None
    ) -> None:
        """Narrow it in place; nothing here can widen it.

        Args:
            effects: only these effects remain, of those it still has.
            uses: at most so many operations from now on.
            expires: monotonic nanoseconds after which it is dead.
        """
        if effects is not None:
            self.effects &= frozenset(Effect(effect) for effect in effects)
        if uses is not None:
            self.uses = uses if self.uses is None else min(uses, self.uses)
        if expires is not None:
            self.expires = expires if self.expires is None else min(expires, self.expires)
        self.narrowed()

    def revoke(self) -> None:
        """Take it back, and with it all that was made through it. Idempotent."""
        if not self._revoked:
            self._revoked = True
            self.narrowed()

    def use(self, effects: frozenset[Effect], now: int, *, count: bool = True) -> None:
        """Check that it allows these effects now, and count one use.

        Args:
            effects: what an operation through it does.
            now: monotonic nanoseconds.
            count: False for a second question about the same operation.

        Raises:
            Revoked, Expired: it is dead.
            Denied: it does not include one of these effects.
        """
        if self._revoked:
            raise Revoked(f"the capability {self.name!r} was revoked")
        if self.expires is not None and now >= self.expires:
            raise Expired(f"the capability {self.name!r} has expired")
        missing = effects - self.effects
        if missing:
            effect = sorted(missing)[0]
            allowed = ", ".join(sorted(self.effects)) or "nothing"
            raise Denied(
                f"{effect} is not included in the capability {self.name!r}",
                effect=effect,
                reason="the capability was granted for fewer effects than the policy allows",
                hint=f"it includes {allowed}",
            )
        if self.uses is not None and count:
            with self._counting:  # host code may call back from several threads
                if self.uses <= 0:
                    raise Expired(f"the capability {self.name!r} has no uses left")
                self.uses -= 1


def mint(name: str, *, effects: Any = None, uses: int | None = None, expires: int | None = None) -> Capability:
    """Make a capability; for the plane only (it is not exported)."""
    chosen = ALL_EFFECTS if effects is None else frozenset(Effect(effect) for effect in effects)
    return Capability(_MINT, name, chosen, uses, expires)
