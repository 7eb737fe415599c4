"""The control plane: the road that every operation takes.

    code -> stub -> Operation -> expected effects (catalog) -> decide (capabilities, policy, budgets, approval)
         -> intent record -> lower, watched by the sentinel -> classify the result -> obligations (mask, cap)
         -> charge budgets -> outcome record -> cross

`ControlPlane.handle` is that picture; `passage` holds its stations, `docs/architecture.md` says where each is.
No declared effect, no call. No record, no result.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from proxyplane import cooperative, sentinel
from proxyplane.approvals import Approvals, Approver
from proxyplane.audit import AuditLog
from proxyplane.audit import record as field
from proxyplane.audit.record import Prefix
from proxyplane.catalog import Catalog
from proxyplane.clock import Clock, Identifiers, SystemClock
from proxyplane.desk import Desk
from proxyplane.effects import LOOKING, Effect
from proxyplane.errors import TierUnavailable
from proxyplane.files import Files
from proxyplane.launch import GuestLimits, Zygote
from proxyplane.operations import Operation
from proxyplane.passage import Passage
from proxyplane.policies import Ledger, Policy
from proxyplane.reloading import reload
from proxyplane.reveals import Reveals
from proxyplane.sessions import Session
from proxyplane.transport.wire import Limits
from proxyplane.underway import Outcome, Plan

__all__ = ["ControlPlane"]

TIERS = (cooperative.TIER, "split", "filtered", "sealed")
"""From the weakest to the strictest isolation: none at all, for in-process proxies, then of a guest process."""


class ControlPlane:
    """Sessions of agents over live objects, under one policy, with one log.

    Args:
        policy: what is allowed; see `Policy.load`, `Policy.parse`, `Policy.preset`.
        audit: a directory for the log, or `":memory:"` for tests; or a log that `AuditLog.open` made (with anchors, a
            second directory, keys elsewhere), which the plane then closes.
        require_tier: the weakest isolation that will do: `sealed`, `filtered` or `split`. The policy may ask for
            a stricter one. By default `filtered`: without a system-call filter a guest is no boundary.
            `cooperative`: this plane has no guests, only in-process proxies.
        limits: bounds on what guests may send and hold.
        guest_limits: memory and other resources of each guest process.
        clock: injected for tests.
        catalog: what is known of host types; by default all packaged catalogs.
        catalogs: files that describe further libraries (`docs/catalog.md`); not with `catalog`.
        approver: answers what a rule asks a person about: given an `Approval`, yes, no, or None to leave it to
            `plane.approvals` or the command line.
        budgets: the file in which budgets survive a restart; by default `budgets` in the audit directory, with a log
            in memory none.

    Raises:
        TierUnavailable: this machine cannot isolate guests so strictly.
        AuditUnavailable: the log cannot be opened.
        CatalogError: a file of `catalogs` has mistakes; all of them are told.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        audit: str | Path | AuditLog = ":memory:",
        require_tier: str | None = None,
        limits: Limits | None = None,
        guest_limits: GuestLimits | None = None,
        clock: Clock | None = None,
        catalog: Catalog | None = None,
        catalogs: Iterable[str | Path] = (),
        approver: Approver | None = None,
        budgets: str | Path | None = None,
    ) -> None:
        self.policy = policy
        self.clock = clock if clock is not None else SystemClock()
        self.catalog = catalog if catalog is not None else Catalog.load(extra=catalogs)
        self.limits = limits if limits is not None else Limits()
        self.guest_limits = guest_limits if guest_limits is not None else GuestLimits()
        self.ids = Identifiers(self.clock)
        self.generation = 1
        """Counts the policies that this plane has had."""
        self.policy_stamp = {"digest": policy.digest, "generation": self.generation, "mode": policy.mode}
        """What records say of the policy that decided."""
        where = audit.location if isinstance(audit, AuditLog) else audit
        self.budget_file = _beside(where) if budgets is None else Path(budgets)
        """Where budgets survive a restart; None with a log in memory."""
        self.reveals = Reveals()
        """Which rows stand behind the aggregates that were shown."""
        self.approvals = Approvals(self.clock, approver)
        """Questions that wait for a person."""
        self._sessions: dict[str, Session] = {}
        self.plans: dict[tuple[int, str, str | None, str], Plan] = {}
        """Catalog lines by type, verb and member, as operations met them."""
        self._lock = threading.Lock()
        self._closed = False
        self.host_tier = "unsealed"
        """Whether this process has given up files, network and processes (`sealed`); see `proxyplane.seal`."""
        self.desk: Desk | None = None
        """Where a person reaches this plane from a command line, once that is needed."""
        self.stopped_by_seal: list[str] = []
        """What libraries of a sealed host were refused by the kernel, for who wonders why."""
        self.pulse: Callable[[], None] | None = None
        """Called at the start of each run: a sealed host shows its watchdog that it lives."""
        self.tier_required = strictest(require_tier, policy.require_tier)
        named = (require_tier, policy.require_tier)
        self._isolation = next((tier for tier in named if tier not in (None, cooperative.TIER)), None)
        self._local: dict[str, Session] = {}
        self._codes: set[bytes] = set()
        """Digests of the source that the log has."""
        sentinel.install()
        self.log = audit if isinstance(audit, AuditLog) else AuditLog.open(audit, clock=self.clock)
        try:
            self.ledger = Ledger(policy.budgets, clock=self.clock, file=self.budget_file if policy.budgets else None)
        except BaseException:
            self.log.close()
            raise
        guarded = tuple(map(Path, self.log.places))
        self.files = Files(policy.fs, guarded=guarded if self.budget_file is None else (*guarded, self.budget_file))
        try:
            self.zygote: Zygote | cooperative.NoZygote = (
                cooperative.NoZygote()
                if self.tier_required == cooperative.TIER
                else Zygote.start(tier_required=self.tier_required)
            )
        except BaseException:
            self.ledger.close()
            self.log.close()
            raise
        self.record(
            "policy.load",
            policy=self.policy_stamp,
            detail={"name": policy.name, "catalog": self.catalog.digest, "tier": self.tier},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def tier(self) -> str:
        """The isolation that guests of this plane get on this machine."""
        return self.zygote.tier

    def reachable(self) -> None:
        """See that a person can reach this plane; where no private folder can be made, or the host is sealed, the
        embedding program still can."""
        with self._lock:
            if self.desk is None and self.host_tier == "unsealed" and not self._closed:
                with contextlib.suppress(OSError):
                    self.desk = Desk()
                    self.desk.open(self)

    def session(self, agent: str, *, objects: dict[str, Any] | None = None) -> Session:
        """Open a session for an agent; each call is a new one.

        Args:
            agent: the agent's name, which rules and budgets go by.
            objects: what it may reach, by name; projections of the policy are applied here.

        Raises:
            PolicyError: a projection names something that an object does not have.
            ValueError: a name that is no identifier.
            AuditUnavailable: the log cannot be written.
        """
        return self._open(Session(self, agent), objects or {})

    def _open(self, session: Session, objects: dict[str, Any]) -> Session:
        if self._closed:
            raise RuntimeError("this plane is closed; make a new ControlPlane")
        with self._lock:
            self._sessions[session.id] = session
        try:
            session.open(objects)
        except BaseException:
            session.close()
            raise
        return session

    def proxy(self, value: Any, *, agent: str = "local", name: str | None = None) -> Any:
        """An in-process proxy of an object: the same road and log as for a guest, and no isolation (`docs/proxies.md`).

        All proxies of one agent on this plane belong to one session of the tier `cooperative`, so that they can be used
        with each other.

        Args:
            value: the object; the policy's projection for that name is applied.
            agent: the agent's name, which rules and budgets go by.
            name: the granted name, which rules speak of; by default `object`, `object2` and so on.

        Raises:
            TierUnavailable: the plane or its policy requires isolation, which a proxy does not give.
            PolicyError, ValueError, AuditUnavailable: as for `session`.
        """
        self.allow_cooperative()
        session = self._local.get(agent)
        if session is None or session.closed:
            session = self._local[agent] = self._open(Session(self, agent, tier=cooperative.TIER), {})
        return session.proxy(session.grants.local_name(value, name))

    def allow_cooperative(self) -> None:
        """Whether in-process proxies may be handed out.

        Raises:
            TierUnavailable: a stricter tier was required by name.
        """
        if self._isolation is not None:
            raise TierUnavailable(
                f"an in-process proxy isolates nothing (tier cooperative), and {self._isolation!r} is required; leave "
                "require_tier out, or use a session"
            )

    def handle(self, operation: Operation) -> Outcome:
        """Take one operation down the road.

        Raises:
            Denied, DeniedAttribute, BudgetExceeded: refused; recorded.
            Revoked, Expired: a capability that it relies on is dead; recorded.
            Raised: the real object raised; recorded.
            AuditUnavailable: it could not be recorded, so nothing of it crosses.
            ProtocolError: no honest guest asks this.
        """
        outer = sentinel.rest() if sentinel.LIVE else None  # what the plane itself does is no lowering
        passage: Passage | None = None
        try:
            session = self._sessions[operation.origin.session]
            local = operation.origin.via in cooperative.WAYS
            passage = cooperative.LocalPassage(session, operation) if local else Passage(session, operation)
            passage.decide()
            passage.intend()
            value = passage.lower()
            outcome = passage.classify(value)
            passage.conclude(outcome)
            return outcome  # noqa: TRY300 - the picture ends here
        except Exception:
            raise
        except BaseException as error:  # an interrupt or an exit, wherever it struck
            if passage is not None:
                passage.interrupted(error)
            raise
        finally:
            if sentinel.LIVE:
                sentinel.wake(outer)

    def append(self, fields: dict[int, Any], effects: frozenset[Effect], prefix: Prefix) -> None:
        """Write one record; of anything but looking, wait until it is durable.

        What was revealed to a sealed guest is made durable before it leaves the plane (`Session.run`); below that
        tier at once.
        """
        self.log.append(fields, prefix)
        if effects <= _READS:
            return
        if not effects <= _BUFFERED or (Effect.REVEAL in effects and self.tier != "sealed"):
            self.log.sync()

    def record(self, kind: str, **fields: Any) -> None:
        """Write a record that is not about an operation: sessions, grants, policies."""
        stamped: dict[int, Any] = {field.KIND: kind, field.ID: self.ids.next(), field.TIME: self.clock.wall()}
        for name, value in fields.items():
            stamped[field.FIELDS[name]] = value
        self.log.append(stamped)

    def record_code(self, session: Session, code: str) -> None:
        """Write an agent's source into the log, once per digest while the log is open; long source in several parts."""
        if session.code in self._codes:
            return
        self._codes.add(session.code)
        parts = [code[at : at + _CODE_PART] for at in range(0, len(code), _CODE_PART)] or [""]
        for part, text in enumerate(parts):
            self.record(
                "code",
                session=session.id,
                agent=session.agent,
                where={"code_sha256": session.code},
                detail={"text": text, "part": part, "parts": len(parts)},
            )

    def reload_policy(self, policy: Policy) -> list[str]:
        """Go by another policy from now on, without ending sessions.

        What was decided and is not yet done is decided anew; what was taken from budgets stays taken. Objects of which
        the new policy says other facts (columns, rows, labels) are revoked in open sessions: grant them again.

        Args:
            policy: must have the same `[modules]` and `[fs]`, and no stricter tier.

        Returns:
            What was revoked, as `session/name`.

        Raises:
            PolicyError: it differs in what cannot change; the former policy stays in force.
            AuditUnavailable: it could not be recorded.
        """
        with self._lock:
            return reload(self, policy)

    def open_sessions(self) -> list[Session]:
        """Sessions that are open now."""
        return list(self._sessions.values())

    def forget(self, session: Session) -> None:
        """Drop a closed session from the plane's table."""
        with self._lock:
            self._sessions.pop(session.id, None)

    def close(self) -> None:
        """End all sessions, guests and the log; idempotent.

        Raises:
            AuditUnavailable: the last records could not be made durable.
        """
        if self._closed:
            return
        self._closed = True
        try:
            for session in list(self._sessions.values()):
                session.close()
        finally:
            if self.desk is not None:
                self.desk.close()
            self.zygote.close()
            self.files.close()
            self.ledger.close()
            self.log.close()


def _beside(audit: str | Path) -> Path | None:
    """The budget file that goes with a log: in the log's folder, beside its segments."""
    return None if str(audit) == ":memory:" else Path(audit).absolute() / "budgets"


_CODE_PART = 200_000
"""Characters of source in one record."""
_READS = frozenset({Effect.READ, Effect.COMPUTE})
_BUFFERED = LOOKING | {Effect.CALLBACK, Effect.DISPLAY}


def strictest(*tiers: str | None) -> str:
    """The strictest of the named tiers; `filtered` when none is named.

    Raises:
        ValueError: a tier that does not exist.
    """
    named = [tier for tier in tiers if tier is not None]
    for tier in named:
        if tier not in TIERS:
            raise ValueError(f"a tier is one of {', '.join(TIERS)}; got {tier!r}")
    return max(named or ["filtered"], key=TIERS.index)
