"""Many at once on one blocking link, as a program of its own: of threads, or of greenlets.

python -m tests.support.shared_link (threads | gevent) PORT WORKERS REQUESTS
"""

import sys
from importlib import import_module
from typing import Final

CODE: Final = "0975"


def main(kind: str, port: str, workers: str, requests: str) -> None:
    """Have each worker ask its own requests on the one link, and compare the answers."""
    if kind == "gevent":
        # Before anything that takes a socket or a lock by name.
        import_module("gevent.monkey").patch_all()
    from concurrent.futures import ThreadPoolExecutor

    from loadtests.iso8583_client import BlockingClient
    from runtime.clock import SystemClock
    from runtime.iso8583_client import Dialled
    from tests.support.iso8583_edge import KEK, a_transfer

    dialled = Dialled(port=int(port), code=CODE, mac="aes-cmac", kek=KEK, answer_s=5.0)
    with BlockingClient(dialled, SystemClock()) as client:
        client.sign_on()

        def work(_: int) -> int:
            for _turn in range(int(requests)):
                asked = a_transfer(CODE, client.stan())
                answer = client.ask(asked, answer_s=5.0)
                assert {key: answer[key] for key in ("11", "37", "4")} == {
                    key: asked[key] for key in ("11", "37", "4")
                }
            return int(requests)

        with ThreadPoolExecutor(int(workers)) as pool:
            done = sum(pool.map(work, range(int(workers))))
        client.listen(0.05)
        assert not client.counts, client.counts
    sys.stdout.write(f"{done} answered\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
