"""TLS both ways: participants behind https, and the TIN port behind it, under our own authority."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.clock import ManualClock, SystemClock
from runtime.http_client import AiohttpClient
from runtime.http_server import GuardedServer, Request, Response
from runtime.pki import Pki, client_context, open_pki, server_context
from scheme.errors import NotConnected
from scheme.messages import AV2, AV3
from scheme.network import Participant
from scheme.wire.tin_json import decode
from switch.edges.peers_http import HttpPeers
from switch.envelope import Envelopes
from switch.wire_log import WireLog
from tests.support.switch_world import golden

NOW = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    # Valid by the machine's clock, which is what TLS looks at.
    return open_pki(tmp_path_factory.mktemp("pki"), ["0971", "switch"], SystemClock().now())


async def answer(request: Request) -> Response:
    assert request.path.endswith("/AV2")
    decode(request.body, AV2)
    return Response(body=golden("AV3-accepted"))


def peers(url: str, tls: ssl.SSLContext, folder: Path) -> tuple[HttpPeers, AiohttpClient]:
    member = Participant(
        code="0971", name="COOPAC SIMULADA DOS", kind="coop", simulated=False, url=url
    )
    clock = ManualClock(NOW)
    fleet = {"0971": member}
    client = AiohttpClient(tls)
    made = HttpPeers(
        client,
        fleet=fleet,
        envelopes=Envelopes(fleet, clock, keyring=None, signer=None),
        wire_log=WireLog(folder, clock=clock, bytes_max=0, enabled=False),
        clock=clock,
    )
    return made, client


@pytest.mark.parametrize("client_certificate_required", [False, True])
async def test_a_participant_behind_https_is_asked(
    keys: Pki, tmp_path: Path, client_certificate_required: bool
) -> None:
    theirs = server_context(
        keys.identities["0971"],
        clients=[keys.ca_path],
        client_required=client_certificate_required,
    )
    server = GuardedServer(answer, tls=theirs)
    await server.start()
    ours = client_context([keys.ca_path], keys.identities["switch"])
    asking, client = peers(f"https://127.0.0.1:{server.port}", ours, tmp_path)

    av3 = await asking.ask("0971", decode(golden("AV2"), AV2), "")

    assert isinstance(av3, AV3)
    assert av3.responseCode == "00"
    await client.close()
    await server.stop(1.0)


async def test_a_participant_of_another_authority_was_never_reached(
    keys: Pki, tmp_path: Path
) -> None:
    other = open_pki(tmp_path / "other", ["0971"], SystemClock().now())
    server = GuardedServer(answer, tls=server_context(other.identities["0971"]))
    await server.start()
    ours = client_context([keys.ca_path], keys.identities["switch"])
    asking, client = peers(f"https://127.0.0.1:{server.port}", ours, tmp_path)

    with pytest.raises(NotConnected):
        await asking.ask("0971", decode(golden("AV2"), AV2), "")

    await client.close()
    await server.stop(1.0)


async def test_a_participant_that_demands_a_certificate_refuses_one_without(
    keys: Pki, tmp_path: Path
) -> None:
    theirs = server_context(keys.identities["0971"], clients=[keys.ca_path], client_required=True)
    server = GuardedServer(answer, tls=theirs)
    await server.start()
    asking, client = peers(
        f"https://127.0.0.1:{server.port}", client_context([keys.ca_path]), tmp_path
    )

    with pytest.raises(Exception, match=r"(?i)certificate|reset|closed|disconnect|alert"):
        await asking.ask("0971", decode(golden("AV2"), AV2), "")

    await client.close()
    await server.stop(1.0)
