"""Who holds a port, told from a made-up /proc."""

from pathlib import Path

from chasqui.ports import holder

HEAD = "sl local_address rem_address st queues tr retrnsmt uid timeout inode"


def a_proc(folder: Path, *, state: str = "0A", port: int = 7080) -> Path:
    address = f"0100007F:{port:04X} 00000000:0000"
    line = f"0: {address} {state} 0:0 00:0 0 0 0 4242 1"
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(f"{HEAD}\n{line}\n")
    files = folder / "123" / "fd"
    files.mkdir(parents=True)
    (folder / "123" / "comm").write_text("nginx\n")
    (files / "3").symlink_to("socket:[4242]")
    (folder / "99").mkdir()
    return folder


def test_the_process_that_listens_is_named(tmp_path: Path) -> None:
    assert holder(7080, a_proc(tmp_path)) == "nginx (123)"


def test_a_connection_is_no_listener(tmp_path: Path) -> None:
    assert holder(7080, a_proc(tmp_path, state="01")) == ""


def test_another_port_is_not_told(tmp_path: Path) -> None:
    assert holder(7081, a_proc(tmp_path)) == ""


def test_a_system_that_tells_nothing_is_no_fault(tmp_path: Path) -> None:
    assert holder(7080, tmp_path) == ""
