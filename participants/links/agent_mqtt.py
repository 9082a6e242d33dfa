"""A terminal's way to the broker: its topics, its retained state and its last will."""

import random
import ssl
from collections.abc import Callable

from runtime.mqtt_client import MqttClient
from scheme.clock import Clock
from scheme.wire import mqtt_topics
from scheme.wire.agent_payload import encode_presence


class AgentLink:
    """A persistent MQTT session of one terminal.

    Args:
        device: its id, which is its user and client id too.
        password: of the broker.
        on_payload, on_up, on_down: told on the loop; ``on_down`` with the reason.
        tls: of the broker, where it wants it.
        chance: spreads the attempts of many terminals that lost their broker at once.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        device: str,
        password: str,
        clock: Clock,
        on_payload: Callable[[bytes], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        tls: ssl.SSLContext | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._up = mqtt_topics.up(device)
        self._state = mqtt_topics.state(device)
        self._told_up = on_up
        self.client = MqttClient(
            host=host,
            port=port,
            username=device,
            password=password,
            on_message=lambda _topic, payload: on_payload(payload),
            subscriptions=(mqtt_topics.down(device),),
            on_up=self._on_up,
            on_down=on_down,
            will=(self._state, self._presence(online=False)),
            clean=False,
            tls=tls,
            chance=chance,
        )

    @property
    def is_up(self) -> bool:
        """Whether the broker is there and will hand on what is sent down."""
        return self.client.is_up

    async def run(self) -> None:
        """Keep the connection for ever."""
        await self.client.run()

    def send(self, payload: bytes) -> bool:
        """Queue a payload; False if there is no room for it."""
        return self.client.publish(self._up, payload)

    def leave(self) -> None:
        """Say that the terminal goes; a last will is for those that cannot."""
        self.client.publish(self._state, self._presence(online=False), retain=True)

    def _on_up(self) -> None:
        self.client.publish(self._state, self._presence(online=True), retain=True)
        self._told_up()

    def _presence(self, *, online: bool) -> bytes:
        return encode_presence(online=online, at=int(self._clock.now().timestamp()))
