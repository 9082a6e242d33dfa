"""Settings, ``init``, ``reset`` and the language."""

import io
import json
from pathlib import Path

import click
import pytest

from chasqui import home
from chasqui.cli import COMMANDS, cli
from chasqui.exits import ExitCode
from chasqui.options import Command, Option
from runtime.files import load_fleet
from runtime.folder_lock import FolderLock
from tests.support.fake_country import (
    PAYEE_CCI,
    PAYER_CCI,
    Chasqui,
    FakeCountry,
    a_payment,
    serve_payment,
)


def test_the_settings_file_sets_what_a_flag_sets_and_a_flag_comes_first(
    chasqui: Chasqui, country: FakeCountry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_payment(country, a_payment())
    settings = tmp_path / "my.toml"
    settings.write_text(f'[send]\nfrom = "{PAYER_CCI}"\namount = "7.00"\ndescription = "toml"\n')
    words = ("--config", str(settings), "send", "--to", PAYEE_CCI)

    assert chasqui(*words)[0] == ExitCode.DONE
    sent = country.last("/control/payments").body
    assert (sent["debtor"], sent["amount"], sent["description"]) == (PAYER_CCI, 700, "toml")

    monkeypatch.setenv("CHASQUI_SEND_DESCRIPTION", "variable")
    chasqui(*words)
    assert country.last("/control/payments").body["description"] == "variable"

    chasqui(*words, "--description", "flag")
    assert country.last("/control/payments").body["description"] == "flag"

    settings.write_text("[send]\nfrom = 5\n")
    code, _out, err = chasqui(*words)
    assert code == ExitCode.USAGE
    assert "my.toml: [send]" in err
    assert "from" in err


def test_every_option_of_every_command_can_be_set_in_the_settings_file() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        leaves = (
            [command.get_command(context, leaf) for leaf in command.list_commands(context)]
            if isinstance(command, click.Group)
            else [command]
        )
        for leaf in leaves:
            assert isinstance(leaf, Command)
            options = [one for one in leaf.params if isinstance(one, click.Option)]
            assert all(isinstance(one, Option) and one.shape for one in options), name


def test_init_writes_settings_once_and_never_over_others(chasqui: Chasqui, tmp_path: Path) -> None:
    home = tmp_path / "home"

    first = chasqui("init")
    (home / "chasqui.toml").write_text("# mine\n")
    second = chasqui("init")

    assert first[0] == ExitCode.DONE
    assert second[0] == ExitCode.USAGE
    assert (home / "chasqui.toml").read_text() == "# mine\n"
    assert chasqui("init", "--force")[0] == ExitCode.DONE
    assert "[up]" in (home / "chasqui.toml").read_text()
    assert load_fleet(home / "fleet.toml").participant


def test_reset_deletes_the_data_and_keeps_settings_and_keys(
    chasqui: Chasqui, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    chasqui("init")
    for name in ("ledger.db", "ledger.db-wal", "fleet.db"):
        (home / name).write_text("x")
    for name in ("wire", "pki"):
        (home / name).mkdir()

    code, _out, _err = chasqui("reset", "--yes")

    assert code == ExitCode.DONE
    left = {path.name for path in home.iterdir() if path.suffix != ".lock"}
    assert left == {"chasqui.toml", "fleet.toml", "pki"}
    assert "Nothing to delete" in chasqui("reset")[1]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("sí", ExitCode.DONE), ("Y", ExitCode.DONE), ("", 130), ("n", 130), ("quizás", 130)],
)
def test_reset_asks_and_takes_a_yes_of_either_language(
    chasqui: Chasqui,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    expected: int,
) -> None:
    ledger = tmp_path / "home" / "ledger.db"
    ledger.parent.mkdir()
    ledger.touch()
    monkeypatch.setattr("sys.stdin", io.StringIO(typed + "\n"))

    code, _out, _err = chasqui("reset")

    assert code == expected
    assert ledger.exists() == (expected != ExitCode.DONE)


def test_reset_is_refused_while_the_country_runs(chasqui: Chasqui, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with FolderLock(home, "up"):
        (home / "ledger.db").write_text("x")

        code, _out, err = chasqui("reset", "--yes")

    assert code == ExitCode.USAGE
    assert "in use by process" in err
    assert (home / "ledger.db").exists()


def test_errors_and_verdicts_come_in_spanish_too(chasqui: Chasqui, country: FakeCountry) -> None:
    serve_payment(country, a_payment(state="REJECTED", reason_code="AC01"))

    words = ("--lang", "es", "--from", PAYER_CCI, "--to", PAYEE_CCI)
    code, out, _err = chasqui("send", *words, "--amount", "1")
    _code, _out, err = chasqui("send", *words)

    assert code == ExitCode.REFUSED
    assert "Pago rechazado" in out
    assert "el número de cuenta es erróneo" in out
    assert "Falta --amount" in err


def test_what_the_folder_commands_do_in_json(chasqui: Chasqui, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    assert "version" in json.loads(chasqui("version", "--json")[1])

    _code, out, _err = chasqui("init", "--json")
    assert json.loads(out) == {
        "written": [str(folder / "chasqui.toml"), str(folder / "fleet.toml")]
    }

    (folder / "ledger.db").touch()
    _code, out, _err = chasqui("reset", "--yes", "--json")
    assert json.loads(out) == {"deleted": [str(folder / "ledger.db")]}
    assert json.loads(chasqui("reset", "--json")[1]) == {"deleted": []}


def test_a_wrong_value_of_the_settings_file_is_told_with_file_and_key(
    chasqui: Chasqui, tmp_path: Path
) -> None:
    settings = tmp_path / "my.toml"
    settings.write_text("[up]\nlatency_ms = -4\n")

    code, _out, err = chasqui("--config", str(settings), "up")

    assert code == ExitCode.USAGE
    assert "my.toml: [up]: latency_ms: -4" in err


@pytest.mark.parametrize("missing", ["ledger.db", "directory.db", "fleet.db"])
def test_databases_that_do_not_belong_together_start_nothing(
    chasqui: Chasqui, tmp_path: Path, missing: str
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    there = {"ledger.db", "directory.db", "fleet.db"} - {missing}
    for name in there:
        (folder / name).touch()

    code, _out, err = chasqui("up")

    assert code == ExitCode.USAGE
    assert f"{missing} missing" in err
    assert err.rstrip().endswith(" reset")
    assert {path.name for path in folder.glob("*.db")} == there


def test_a_first_start_that_was_not_finished_leaves_no_part_of_a_country(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    (tmp_path / "ledger.db-wal").touch()
    (tmp_path / "agents.db").touch()
    home.forget_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []

    for name in home.DATABASES:
        (tmp_path / name).touch()
    home.forget_unfinished(tmp_path)
    assert len(home.present(tmp_path)) == 3
