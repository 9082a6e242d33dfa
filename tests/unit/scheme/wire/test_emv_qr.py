"""QR strings of the three schemes, in any order of tags; anything unsound is refused."""

import binascii
import contextlib
import random

import pytest

from scheme.errors import MalformedMessage
from scheme.limits import QR_CHARACTERS_MAX
from scheme.money import Money
from scheme.wire.emv_qr import (
    PlinOrder,
    QrCode,
    QrScheme,
    build_cce,
    build_plin,
    build_yape,
    crc,
    parse,
)

HEX_TOKEN = "ea7874f72c02a0d20639c77ae0ba5944"
BASE64_TOKEN = "JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms="
PLIN_TOKEN = "f8d9e7dc4b9e9384d598f6f0fb0364dd"
SEALED = "LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0="

CCE_STATIC = (
    "000201010211263700028001039030220260115097100000123455204482953036045802PE5911SOCIO DOS D"
    "6004Lima80550003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=6304D314"
)
CCE_DYNAMIC = (
    "00020101021226370002800103903022026011509710000012346520448295303604540525.005802PE"
    "5911SOCIO DOS D6004Lima80550003ID10144LJzSuSGsy39bzQufE60EJpeIhc7mmF+6yHWwd+QPZV0=63045F94"
)
YAPE_HEX = (
    "0002010102113932ea7874f72c02a0d20639c77ae0ba59445204561153036045802PE5906YAPERO"
    "6004Lima63048D9D"
)
YAPE_BASE64 = (
    "0002010102113944JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms=5204561153036045802PE"
    "5906YAPERO6004Lima63042A1D"
)
PLIN_LAST = (
    "0002015802PE0102115204482953036045912P2P Transfer6004Lima26560032"
    "f8d9e7dc4b9e9384d598f6f0fb0364dd0116Plin Network P2P6304447F"
)
PLIN_EARLY = (
    "0002015802PE26560116Plin Network P2P0032f8d9e7dc4b9e9384d598f6f0fb0364dd0102115204482953036"
    "045912P2P Transfer6004Lima6304A0E3"
)
LOOK_ALIKE = (
    "0002010102113944JkFeONS2eiB1suifMU16Oq+kwtcxUSQ3KswkrAsuKms=5204482953038405802EC"
    "5911TIENDA DEMO6006Cuenca63045728"
)
TAGS_OF_CCE = ["00", "01", "26", "52", "53", "58", "59", "60", "80", "63"]
GOLDEN = [CCE_STATIC, CCE_DYNAMIC, YAPE_HEX, YAPE_BASE64, PLIN_LAST, PLIN_EARLY]


def element(tag: str, value: str) -> str:
    return f"{tag}{len(value):02}{value}"


def sealed(*elements: str) -> str:
    text = "".join(elements) + "6304"
    return text + crc(text)


def a_cce(**changes: str) -> str:
    """Return a CCE QR with tags replaced (``t59="..."``), or left out (``""``)."""
    tags = {
        "t00": "01",
        "t01": "11",
        "t26": "0002800103903022026011509710000012345",
        "t53": "604",
        "t58": "PE",
        "t59": "SOCIO",
        "t80": "0003ID10144" + SEALED,
    } | changes
    return sealed(*(element(tag[1:], value) for tag, value in tags.items() if value))


def refused(text: str) -> str:
    with pytest.raises(MalformedMessage) as caught:
        parse(text)
    return caught.value.field


def test_the_crc_has_the_check_value_of_its_definition() -> None:
    assert crc("123456789") == "29B1"


def test_a_static_qr_of_the_clearing_house() -> None:
    code = parse(CCE_STATIC)
    assert (code.scheme, code.issuer, code.is_dynamic) == (QrScheme.CCE, "903", False)
    assert (code.id_qr, code.sealed_account, code.token) == ("26011509710000012345", SEALED, None)
    assert (code.currency, code.amount, code.name) == ("PEN", None, "SOCIO DOS D")
    assert [tag.tag for tag in code.tags] == TAGS_OF_CCE
    assert code.tags[2] == ("26", "37", "0002800103903022026011509710000012345")
    assert code.tags[-1] == ("63", "04", "D314")


def test_a_dynamic_qr_carries_its_amount_in_soles() -> None:
    code = parse(CCE_DYNAMIC)
    assert code.is_dynamic
    assert code.amount == Money(2500, "PEN")


@pytest.mark.parametrize(("text", "token"), [(YAPE_HEX, HEX_TOKEN), (YAPE_BASE64, BASE64_TOKEN)])
def test_a_yape_qr_carries_a_token_of_either_length(text: str, token: str) -> None:
    code = parse(text)
    assert (code.scheme, code.issuer, code.token) == (QrScheme.YAPE, "901", token)
    assert (code.name, code.id_qr, code.amount, code.is_dynamic) == ("YAPERO", None, None, False)


@pytest.mark.parametrize("text", [PLIN_LAST, PLIN_EARLY])
def test_a_plin_qr_is_read_in_both_orders_in_use(text: str) -> None:
    code = parse(text)
    assert (code.scheme, code.issuer, code.token) == (QrScheme.PLIN, "902", PLIN_TOKEN)
    assert code.name == "P2P Transfer"


def test_what_is_built_is_what_is_printed() -> None:
    static = build_cce(id_qr="26011509710000012345", sealed_account=SEALED, name="SOCIO DOS D")
    dynamic = build_cce(
        id_qr="26011509710000012346",
        sealed_account=SEALED,
        name="SOCIO DOS D",
        is_dynamic=True,
        amount=Money(2500, "PEN"),
    )
    built = [
        static,
        dynamic,
        build_yape(HEX_TOKEN),
        build_yape(BASE64_TOKEN),
        build_plin(PLIN_TOKEN),
        build_plin(PLIN_TOKEN, PlinOrder.TEMPLATE_EARLY),
    ]
    assert built == GOLDEN


@pytest.mark.parametrize("minor", [1, 99, 100, 10_000, 3_000_000])
def test_no_factor_of_a_hundred_is_lost(minor: int) -> None:
    text = build_cce(
        id_qr="26011509710000012346",
        sealed_account=SEALED,
        name="Ñ",
        currency="USD",
        is_dynamic=True,
        amount=Money(minor, "USD"),
    )
    assert parse(text).amount == Money(minor, "USD")


def test_a_dynamic_qr_may_leave_the_amount_to_the_payer() -> None:
    text = build_cce(
        id_qr="26011509710000012346", sealed_account=SEALED, name="SOCIO", is_dynamic=True
    )
    assert parse(text).amount is None


@pytest.mark.parametrize("name", ["", "N" * 100, "SOCIO\x1b[31m"])
def test_a_name_that_no_qr_can_carry_is_refused(name: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        build_cce(id_qr="26011509710000012345", sealed_account=SEALED, name=name)
    assert caught.value.field == "59"


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("text", GOLDEN)
def test_tags_and_nested_tags_are_read_in_any_order(text: str, seed: int) -> None:
    rng = random.Random(seed)
    code = parse(text)
    parts = [list(tag) for tag in code.tags[:-1]]
    for part in parts:
        if part[0] in {"26", "80"}:
            nested = cut(part[2])
            rng.shuffle(nested)
            part[2] = "".join(nested)
    rng.shuffle(parts)
    again = parse(sealed(*("".join(part) for part in parts)))
    for field in QrCode.__struct_fields__:
        if field != "tags":
            assert getattr(again, field) == getattr(code, field)


def cut(value: str) -> list[str]:
    parts = []
    while value:
        end = 4 + int(value[2:4])
        parts.append(value[:end])
        value = value[end:]
    return parts


def test_unknown_tags_are_ignored() -> None:
    code = parse(a_cce(t62="0108whatever", t99="not even nested"))
    assert code.scheme is QrScheme.CCE


def test_a_lower_case_crc_is_accepted() -> None:
    assert parse(CCE_STATIC[:-4] + "d314").id_qr == "26011509710000012345"


def test_a_wrong_crc_is_refused() -> None:
    assert refused(CCE_STATIC[:-4] + "D315") == "63"


def test_a_crc_computed_without_its_own_tag_is_refused() -> None:
    assert refused(CCE_STATIC[:-4] + crc(CCE_STATIC[:-8])) == "63"


def test_a_text_that_only_ends_like_a_crc_is_refused() -> None:
    # The last value swallows what looks like the CRC.
    text = a_cce()[:-8] + "6212" + "ABCD" + "6304"
    assert refused(text + crc(text)) == "63"


def test_a_qr_of_another_country_is_refused() -> None:
    assert refused(LOOK_ALIKE) == "58"


def test_another_countrys_currency_is_refused_even_in_peru() -> None:
    assert refused(sealed(YAPE_HEX[:-8].replace("5303604", "5303840"))) == "53"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"t00": "02"}, "00"),
        ({"t00": ""}, "00"),
        ({"t01": "13"}, "01"),
        ({"t01": ""}, "01"),
        ({"t53": "978"}, "53"),
        ({"t53": ""}, "53"),
        ({"t58": ""}, "58"),
        ({"t59": ""}, "59"),
        ({"t54": "0.00"}, "54"),
        ({"t54": "-1"}, "54"),
        ({"t54": "1.005"}, "54"),
        ({"t54": "25,50"}, "54"),
        ({"t54": "1,000.00"}, "54"),
        ({"t26": ""}, "26"),
        ({"t26": "00028001039030219260115097100000123"}, "26/02"),
        ({"t26": "000280010390302202601150971000001234"}, "26/02"),
        ({"t26": "00028001039030220260115097100000123A5"}, "26/02"),
        ({"t26": "000280000280"}, "26/00"),
        ({"t26": "0A0280"}, "26"),
        ({"t26": "000X80"}, "26/00"),
        ({"t26": "0002990103903"}, "26"),
        ({"t26": "00028D0116Plin Network P2P"}, "26/00"),
        ({"t26": "00048D0A0116Plin Network P2P"}, "26/00"),
        ({"t80": "0003ID1"}, "80/01"),
        ({"t80": "0003ID10199x"}, "80/01"),
        ({"t26": "", "t39": HEX_TOKEN}, "59"),
        ({"t26": "", "t39": HEX_TOKEN[1:], "t59": "YAPERO"}, "39"),
        ({"t26": "", "t39": BASE64_TOKEN[1:], "t59": "YAPERO"}, "39"),
    ],
)  # fmt: skip
def test_each_fault_names_its_tag(changes: dict[str, str], field: str) -> None:
    assert refused(a_cce(**changes)) == field


def test_a_tag_that_comes_twice_is_refused() -> None:
    assert refused(sealed(a_cce()[:-8], element("59", "OTRO"))) == "59"
    assert refused(sealed(a_cce()[:-8], "62006200")) == "62"


@pytest.mark.parametrize(
    ("element_at_fault", "field"),
    [("6299x", "62"), ("62X1x", "62"), ("6٢01x", "qr"), ("X101x", "qr")],
)
def test_lengths_and_tags_are_two_digits_inside_the_text(element_at_fault: str, field: str) -> None:
    assert refused(sealed(a_cce()[:-8], element_at_fault)) == field


def test_a_qr_without_the_sealed_block_is_read() -> None:
    assert parse(a_cce(t80="")).sealed_account is None


def test_a_name_longer_than_the_standard_allows_is_read() -> None:
    assert parse(a_cce(t59="N" * 30)).name == "N" * 30


def test_the_length_of_an_accented_name_counts_characters_or_bytes() -> None:
    name = "JOSÉ NUÑEZ"
    in_characters = a_cce(t59=name)
    in_bytes = sealed(a_cce(t59=name)[:-8].replace(f"5910{name}", f"5912{name}"))
    assert parse(in_characters).name == parse(in_bytes).name == name
    assert ("59", "12", name) in parse(in_bytes).tags


def test_the_crc_of_an_accented_name_is_taken_in_either_encoding() -> None:
    body = a_cce(t59="NUÑEZ")[:-4]
    in_latin = f"{binascii.crc_hqx(body.encode('latin-1'), 0xFFFF):04X}"
    assert in_latin != crc(body)
    assert parse(body + in_latin).name == parse(body + crc(body)).name == "NUÑEZ"


@pytest.mark.parametrize("length", range(1, 20))
def test_a_length_that_splits_a_character_is_refused(length: int) -> None:
    body = "000201010211" + f"59{length:02}ÑÑÑ"
    assert refused(sealed(body, element("60", "Lima"))) != ""


@pytest.mark.parametrize("text", ["", "6304", "63041D0F", "x" * 600, "\x00" * 20, "\ud800" * 20])
def test_rubbish_is_refused(text: str) -> None:
    assert refused(text) in {"63", "qr", "00"}


def test_the_length_is_bounded() -> None:
    padding = "".join(element(f"{tag}", "x" * 80) for tag in range(90, 94))
    text = a_cce()[:-8] + padding
    longest = sealed(text, element("95", "x" * (QR_CHARACTERS_MAX - len(text) - 12)))
    assert len(longest) == QR_CHARACTERS_MAX
    assert parse(longest).scheme is QrScheme.CCE
    assert refused(sealed(text, element("95", "x" * (QR_CHARACTERS_MAX - len(text) - 11)))) == "qr"


@pytest.mark.parametrize("text", GOLDEN)
def test_every_truncation_is_refused(text: str) -> None:
    for end in range(len(text)):
        refused(text[:end])
        # With the CRC put right the structure has to tell.
        with contextlib.suppress(MalformedMessage):
            parse(sealed(text[:end]))


@pytest.mark.parametrize("text", GOLDEN)
def test_one_changed_character_is_never_read_as_another_qr(text: str) -> None:
    whole = parse(text)
    for at in range(len(text)):
        for character in "0A9z Ñ":
            changed = text[:at] + character + text[at + 1 :]
            try:
                code = parse(changed)
            except MalformedMessage:
                continue
            assert code.tags[:-1] == whole.tags[:-1]


@pytest.mark.parametrize("seed", range(200))
def test_changes_under_a_sound_crc_are_read_or_refused_without_a_crash(seed: int) -> None:
    rng = random.Random(seed)
    text = list(rng.choice(GOLDEN)[:-8])
    for _ in range(rng.randint(1, 4)):
        text[rng.randrange(len(text))] = rng.choice("0123456789AZaz ñ+/=.")
    with contextlib.suppress(MalformedMessage):
        parse(sealed("".join(text)))
