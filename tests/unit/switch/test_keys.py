"""The switch's keys: what signs stays, what serves TLS names the machine."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from switch.config import Config
from switch.keys import Keys, served_hosts

NOW = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)


def a_config(home: Path, host: str, *, tls: bool = True) -> Config:
    return Config(home=str(home), fleet="", host=host, token="t" * 16, tls=tls)


def names_in(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(one.value) for one in found.value]


def test_a_switch_that_serves_others_over_tls_names_its_host(tmp_path: Path) -> None:
    Keys(a_config(tmp_path, "10.9.8.7"), {}, NOW)
    assert "10.9.8.7" in names_in(tmp_path / "pki" / "switch-tls.pem")


def test_another_host_leaves_the_certificate_that_signs_as_it_is(tmp_path: Path) -> None:
    Keys(a_config(tmp_path, "127.0.0.1"), {}, NOW)
    signing = (tmp_path / "pki" / "switch.pem").read_bytes()
    Keys(a_config(tmp_path, "10.9.8.7"), {}, NOW)
    assert (tmp_path / "pki" / "switch.pem").read_bytes() == signing


@pytest.mark.parametrize(("host", "tls"), [("127.0.0.1", True), ("10.9.8.7", False)])
def test_no_second_certificate_is_made_where_none_is_served(
    tmp_path: Path, host: str, tls: bool
) -> None:
    Keys(a_config(tmp_path, host, tls=tls), {}, NOW)
    assert not (tmp_path / "pki" / "switch-tls.pem").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_bound_everywhere_it_is_reached_by_the_machines_name(host: str) -> None:
    assert socket.gethostname() in served_hosts(host)
    assert host not in served_hosts(host)
