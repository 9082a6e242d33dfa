"""Findings are bounded, alike ones are one row, and nobody pushes out what others left."""

from switch.iso8583_findings import Finding, Findings


def found(participant: str, explanation: str, at_us: int = 1, **more: object) -> Finding:
    return Finding(
        first_us=at_us,
        at_us=at_us,
        participant=participant,
        kind="bad_format",
        explanation=explanation,
        **more,  # type: ignore[arg-type]
    )


def stranger(explanation: str, address: str = "10.0.0.1:5") -> Finding:
    return found("", explanation, is_proved=False, address=address)


def test_alike_ones_are_one_row_with_what_the_last_one_was() -> None:
    findings = Findings()
    for at_us in (1, 2, 3):
        findings.add(found("0975", "DE4: digits", at_us, stan=f"{at_us:06}", frame=f"0{at_us}"))
    (row,) = findings
    assert (row.count, row.first_us, row.at_us) == (3, 1, 3)
    assert (row.stan, row.frame) == ("000003", "03")
    assert row.is_mixed


def test_the_same_one_again_is_told_from_several() -> None:
    findings = Findings()
    for at_us in (1, 2):
        findings.add(found("0975", "DE4: digits", at_us, stan="000001", rrn="R1"))
    assert [(row.count, row.is_mixed) for row in findings] == [(2, False)]
    findings.add(found("0975", "DE4: digits", 3, stan="000001", rrn="R2"), is_brief=True)
    assert [(row.count, row.is_mixed, row.rrn) for row in findings] == [(3, True, "R1")]
    findings.add(found("0975", "DE4: digits", 4, stan="000001", rrn="R1"))
    assert [row.is_mixed for row in findings] == [True]


def test_one_that_was_not_looked_at_closely_only_counts() -> None:
    findings = Findings()
    findings.add(found("0975", "DE4: digits", 1, stan="000001", near="it", frame="01"))
    findings.add(found("0975", "DE4: digits", 2, stan="000002"), is_brief=True)
    (row,) = findings
    assert (row.count, row.first_us, row.at_us) == (2, 1, 2)
    assert (row.stan, row.near, row.frame) == ("000001", "it", "01")


def test_what_came_last_stands_first_also_if_it_came_before() -> None:
    findings = Findings()
    for text in ("one", "other", "one"):
        findings.add(found("0975", text))
    assert [row.explanation for row in reversed(findings)] == ["one", "other"]


def test_strangers_have_a_share_of_their_own() -> None:
    findings = Findings(kept_max=10, strangers_max=3)
    findings.add(found("0975", "useful"))
    for index in range(20):
        findings.add(stranger(f"nonsense {index}"))
    assert [row.explanation for row in findings] == [
        "useful",
        *(f"nonsense {index}" for index in (17, 18, 19)),
    ]


def test_a_name_that_nobody_has_proved_is_a_strangers() -> None:
    findings = Findings(kept_max=10, strangers_max=1)
    findings.add(found("0975", "proved"))
    for index in range(3):
        findings.add(found("0975", f"claimed {index}", is_proved=False))
    assert [row.explanation for row in findings] == ["proved", "claimed 2"]


def test_a_stranger_that_dials_again_is_the_same_and_another_host_is_not() -> None:
    findings = Findings()
    for address in ("10.0.0.1:5", "10.0.0.1:6", "10.0.0.2:5"):
        findings.add(stranger("DE70", address))
    assert [(row.address, row.count) for row in findings] == [("10.0.0.1:6", 2), ("10.0.0.2:5", 1)]


def test_who_has_most_rows_loses_one() -> None:
    findings = Findings(kept_max=4)
    findings.add(found("0976", "useful"))
    for index in range(9):
        findings.add(found("0975", f"noise {index}"))
    assert [row.explanation for row in findings] == ["useful", "noise 6", "noise 7", "noise 8"]
