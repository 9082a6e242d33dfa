"""Reason codes: why a message was refused (docs/wire/tin-messages.md#reason-codes)."""

from enum import StrEnum


class ReasonCode(StrEnum):
    """Why something was refused, as spelt on the wire."""

    AC01 = "AC01"
    AC06 = "AC06"
    AC07 = "AC07"
    AC11 = "AC11"
    AC14 = "AC14"
    AM01 = "AM01"
    AM05 = "AM05"
    AM09 = "AM09"
    BE08 = "BE08"
    BE15 = "BE15"
    BE16 = "BE16"
    CH11 = "CH11"
    DNOR = "DNOR"
    DS0A = "DS0A"
    DS0B = "DS0B"
    DS0D = "DS0D"
    DS16 = "DS16"
    DS24 = "DS24"
    FF02 = "FF02"
    FF07 = "FF07"
    RR04 = "RR04"
    RR10 = "RR10"
    AB05 = "AB05"
    IREG = "IREG"
    UREG = "UREG"


MEANINGS: dict[ReasonCode, str] = {
    ReasonCode.AC01: "account number wrong or not found",
    ReasonCode.AC06: "account blocked or inactive",
    ReasonCode.AC07: "account closed",
    ReasonCode.AC11: "account in another currency",
    ReasonCode.AC14: "transfer type not allowed for the account",
    ReasonCode.AM01: "amount is zero",
    ReasonCode.AM05: "duplicate: the same key with other content",
    ReasonCode.AM09: "amount wrong",
    ReasonCode.BE08: "debtor name missing",
    ReasonCode.BE15: "reference missing, unknown or expired",
    ReasonCode.BE16: "debtor document invalid",
    ReasonCode.CH11: "alias unknown or not affiliated to that account",
    ReasonCode.DNOR: "debtor's institution not registered, not signed on or blocked",
    ReasonCode.DS0A: "signature missing or wrong",
    ReasonCode.DS0B: "signature format unknown",
    ReasonCode.DS0D: "signing certificate invalid",
    ReasonCode.DS16: "wrong version of the public key",
    ReasonCode.DS24: "waiting time expired",
    ReasonCode.FF02: "format error",
    ReasonCode.FF07: "operation not supported here and now",
    ReasonCode.RR04: "regulatory reason",
    ReasonCode.RR10: "character not allowed",
    ReasonCode.AB05: "time-out at the creditor's institution",
    ReasonCode.IREG: "the alias is registered already",
    ReasonCode.UREG: "the alias is not registered",
}
