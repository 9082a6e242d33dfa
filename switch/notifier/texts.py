"""The words of notices, in the two languages: one table, so that neither falls behind."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from scheme.money import CODE_BY_CURRENCY
from scheme.reasons import MEANINGS, ReasonCode


class Text(Struct, frozen=True):
    """The same in Spanish and English."""

    es: str
    en: str

    def format(self, **words: "Text | str") -> "Text":
        """Return both with words put in: each language's own, or one that is the same in both."""
        spanish = {name: one.es if isinstance(one, Text) else one for name, one in words.items()}
        english = {name: one.en if isinstance(one, Text) else one for name, one in words.items()}
        return Text(self.es.format(**spanish), self.en.format(**english))


SIGNS: Final[Mapping[str, str]] = {"PEN": "S/", "USD": "US$"}
assert SIGNS.keys() == CODE_BY_CURRENCY.keys()

DEBIT: Final = Text("Pagó {amount} a {with_}.", "You paid {amount} to {with_}.")
CREDIT: Final = Text("Recibió {amount} de {with_}.", "You received {amount} from {with_}.")
REJECTION: Final = Text(
    "Su pago de {amount} a {with_} no se hizo: {reason}.",
    "Your payment of {amount} to {with_} was not made: {reason}.",
)
CASH_DEBIT: Final = Text("Retiró {amount} en {with_}.", "You withdrew {amount} at {with_}.")
CASH_REJECTION: Final = Text(
    "Su retiro de {amount} en {with_} no se hizo: {reason}.",
    "Your withdrawal of {amount} at {with_} was not made: {reason}.",
)
RETURN_CREDIT: Final = Text(
    "Se le devolvieron {amount} de su pago a {with_}.",
    "{amount} of your payment to {with_} came back.",
)
RETURN_DEBIT: Final = Text(
    "Se devolvieron {amount} de lo que recibió de {with_}.",
    "{amount} of what you received from {with_} went back.",
)
CASH_CREDIT: Final = Text(
    "Volvieron a su cuenta {amount} que {with_} no entregó.",
    "{amount} that {with_} did not give out are back in your account.",
)
WINDOW_CLOSED: Final = Text(
    "La ventana {window} cerró; su neto es {amount}.",
    "Window {window} has closed; your net is {amount}.",
)
LOW_PREFUND: Final = Text(
    "Su fondo bajó a {amount}, por debajo de su marca.",
    "Your prefund is down to {amount}, below its watermark.",
)
PREFUND_RESTORED: Final = Text(
    "Su fondo volvió a estar por encima de su marca: {amount}.",
    "Your prefund is above its watermark again: {amount}.",
)

OTHER_REASON: Final = Text("rechazado por la otra parte", "refused by the other side")
"""Of a code that the scheme does not know: institutions may have their own."""

_SPANISH: Final[Mapping[ReasonCode, str]] = {
    ReasonCode.AC01: "número de cuenta errado o inexistente",
    ReasonCode.AC06: "cuenta bloqueada o inactiva",
    ReasonCode.AC07: "cuenta cerrada",
    ReasonCode.AC11: "cuenta en otra moneda",
    ReasonCode.AC14: "tipo de transferencia no permitido para la cuenta",
    ReasonCode.AM01: "el monto es cero",
    ReasonCode.AM05: "duplicado: la misma clave con otro contenido",
    ReasonCode.AM09: "monto errado",
    ReasonCode.BE08: "falta el nombre de quien paga",
    ReasonCode.BE15: "referencia ausente, desconocida o vencida",
    ReasonCode.BE16: "documento de quien paga no válido",
    ReasonCode.CH11: "alias desconocido o no afiliado a esa cuenta",
    ReasonCode.DNOR: "la institución de quien paga no está registrada, conectada o habilitada",
    ReasonCode.DS0A: "firma ausente o errada",
    ReasonCode.DS0B: "formato de firma desconocido",
    ReasonCode.DS0D: "certificado de firma no válido",
    ReasonCode.DS16: "versión errada de la clave pública",
    ReasonCode.DS24: "tiempo de espera agotado",
    ReasonCode.FF02: "error de formato",
    ReasonCode.FF07: "operación no admitida aquí y ahora",
    ReasonCode.RR04: "motivo regulatorio",
    ReasonCode.RR10: "carácter no permitido",
    ReasonCode.AB05: "la institución de quien cobra no respondió a tiempo",
    ReasonCode.IREG: "el alias ya está registrado",
    ReasonCode.UREG: "el alias no está registrado",
}
REASONS: Final[Mapping[str, Text]] = {
    code.value: Text(_SPANISH[code], meaning) for code, meaning in MEANINGS.items()
}
"""What each code of the scheme means."""
