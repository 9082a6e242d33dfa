"""amqtt behind a door of ours.

The door reads what a client says first, and lets nobody in whom the table of rights does not know.
Behind it amqtt keeps sessions and speaks the protocol, apart from what it leaves unchecked or
unbounded: who gets which message, what is kept for whom, and the retained ones are decided here.
"""

import asyncio
from collections import deque
from typing import Any

import structlog
from amqtt.broker import Broker, ExternalServer
from amqtt.contexts import Action, BrokerConfig, ListenerConfig, ListenerType
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import ApplicationMessage, Session

from runtime.mqtt_broker.packets import QUEUED_PER_SERVICE_MAX
from scheme.limits import MQTT_QUEUED_PER_CLIENT_MAX
from scheme.wire import mqtt_topics

log = structlog.get_logger()

LISTENER = "default"
_SESSION_KEPT_S = 7 * 24 * 3600
"""Seconds after which a client that stays away is forgotten, with what was kept for it."""
_REFUSED = 0x80
_AGAIN_S = 0.5
_WILD = frozenset("+#")


class EmbeddedBroker(Broker):
    """amqtt with our rights and bounds; connections come in by ``external_connected`` only.

    Attributes:
        dropped: messages that found the queue of their reader full.
    """

    def __init__(self) -> None:
        listener = ListenerConfig(type=ListenerType.EXTERNAL)
        super().__init__(
            BrokerConfig(
                listeners={LISTENER: listener},
                plugins={},
                session_expiry_interval=_SESSION_KEPT_S,
            )
        )
        self._wild: set[str] = set()
        self._serving: set[str] = set()
        self._sending: dict[str, set[asyncio.Task[None]]] = {}
        self.dropped = 0

    async def _authenticate(self, session: Session, _: ListenerConfig) -> bool:
        """Return True: the door has asked."""
        return True

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        username = session.username or ""
        if action is Action.PUBLISH:
            return mqtt_topics.may_write(username, topic)
        return mqtt_topics.may_read(username, topic)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        """Subscribe a client, and send it what is retained there."""
        granted = await super().add_subscription(subscription, session)
        if granted == _REFUSED:
            log.warning("subscription refused", user=session.username, topic=subscription[0])
            return granted
        topic_filter, qos = subscription
        if _WILD & set(topic_filter):
            self._wild.add(topic_filter)
        for topic, kept in self._retained_messages.items():
            if self._matches(topic, topic_filter):
                self._send(session, topic, kept.data, min(qos, kept.qos or 0), retain=True)
        return granted

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Do nothing: amqtt would send every client what anybody else has subscribed to."""

    async def _publish_session_retained_messages(self, session: Session) -> None:
        """Send what was kept while the client was away, without waiting for its answers.

        Called once a connection is ready: until then amqtt would send again what it just sent.
        """
        self._serving.add(session.username or "")
        self._send_kept(session)

    def _send_kept(self, session: Session) -> None:
        if session.username in self._serving:
            for kept in _emptied(session):
                self._send(session, kept.topic, kept.data, kept.qos or 0)

    async def _broadcast_message(
        self,
        session: Session | None,
        topic: str | None,
        data: bytes | bytearray | None,
        force_qos: int | None = None,
    ) -> None:
        """Hand a message to all that have subscribed to it, now; amqtt's queue has no bound."""
        if topic is None or data is None:
            return
        filters = [topic, *(one for one in self._wild if self._matches(topic, one))]
        for topic_filter in filters:
            for reader, granted in self._subscriptions.get(topic_filter, ()):
                if mqtt_topics.may_read(reader.username or "", topic):
                    qos = granted if force_qos is None else min(granted, force_qos)
                    self._send(reader, topic, data, qos)

    def _send(
        self,
        session: Session,
        topic: str,
        data: bytes | bytearray,
        qos: int,
        *,
        retain: bool = False,
    ) -> None:
        handler = self._get_handler(session)
        if handler is None or session.username not in self._serving:
            if qos and not session.clean_session:
                self._keep(session, topic, data, qos)
            return
        if session.inflight_out_count >= _queue_max(session):
            self._drop(session)
            return
        task = asyncio.create_task(self._deliver(handler, session, topic, data, qos, retain))
        tasks = self._sending.setdefault(session.username or "", set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _deliver(
        self,
        handler: BrokerProtocolHandler,
        session: Session,
        topic: str,
        data: bytes | bytearray,
        qos: int,
        retain: bool,
    ) -> None:
        """Send one message; one that is not acknowledged is kept for the next connection."""
        try:
            await handler.mqtt_publish(topic, data, qos, retain=retain)
        except asyncio.CancelledError:
            # The connection has ended, or is ending: amqtt cancels what it waits for.
            self._undelivered(handler, session, topic, data, qos)
        except Exception as error:  # noqa: BLE001 - the task's root, and amqtt names no errors
            log.info("not delivered", user=session.username, cause=repr(error))
            self._undelivered(handler, session, topic, data, qos)

    def _undelivered(
        self,
        handler: BrokerProtocolHandler,
        session: Session,
        topic: str,
        data: bytes | bytearray,
        qos: int,
    ) -> None:
        if not qos or session.clean_session:
            return
        if self._get_handler(session) is handler:
            self._keep(session, topic, data, qos)
            # If it is still there after all, it need not come back first to get it.
            asyncio.get_running_loop().call_later(_AGAIN_S, self._send_kept, session)
        else:  # It has come back meanwhile, or is away.
            self._send(session, topic, data, qos)

    def _keep(self, session: Session, topic: str, data: bytes | bytearray, qos: int) -> None:
        if session.retained_messages_count >= _queue_max(session):
            self._drop(session)
            return
        session.retained_messages.put_nowait(ApplicationMessage(None, topic, qos, data, False))

    def _drop(self, session: Session) -> None:
        if not self.dropped:
            log.warning("message dropped: its reader's queue is full", user=session.username)
        self.dropped += 1

    async def left(self, username: str) -> None:
        """Take note that a client's connection has ended: what it did not acknowledge is kept."""
        self._serving.discard(username)
        tasks = self._sending.pop(username, set())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session = self._sessions.get(username, (None, None))[0]
        if session is not None:
            session.inflight_out.clear()  # All of it is among the kept ones now.

    async def forget(self, username: str) -> None:
        """Drop a client's session, with its subscriptions and what was kept for it."""
        await self._cleanup_session(username)

    def may_be_read(self, username: str) -> bool:
        """Tell whether a client's next packet is to be taken in now.

        Not before its connection is ready, for amqtt would miss an end that comes earlier, and wait
        for it for ever; nor while more of its messages wait inside than it may have there.
        """
        if username not in self._serving:
            return False
        session = self._sessions.get(username, (None, None))[0]
        return session is None or session.delivered_message_queue.qsize() <= _AHEAD_MAX

    async def _start_listeners(self) -> None:
        """Open no port: the door has them."""
        self._servers[LISTENER] = ExternalServer()


_AHEAD_MAX = 64
"""Messages of one client that wait inside; it is not read any further meanwhile."""


def _queue_max(session: Session) -> int:
    is_service = session.username in mqtt_topics.SERVICES
    return QUEUED_PER_SERVICE_MAX if is_service else MQTT_QUEUED_PER_CLIENT_MAX


def _emptied(session: Session) -> "deque[ApplicationMessage]":
    kept: deque[Any] = deque()
    while not session.retained_messages.empty():
        kept.append(session.retained_messages.get_nowait())
    return kept
