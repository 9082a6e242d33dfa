"""The templates of what the agent lane says: its desk, its broker, and its operator's routes.

They belong to ``chasqui.told_texts``, which says what the slots are.
"""

from collections.abc import Mapping

from chasqui.language import N_

VERDICTS = (
    N_("above zero"),
    N_("at most {minor} in one operation"),
    N_("at most {count} operations a day"),
    N_("at most {minor} a day"),
    N_("at most {count} s without the switch"),
    N_("more than the float"),
    N_("made after it was sent"),
    N_("a CCI of 20 digits or a phone of 9"),
    N_("a CCI of 20 digits"),
    N_("mandatory with a phone"),
    N_("four digits, or empty with a CCI"),
    N_("a member's of a cooperative"),
    N_("known with other content; the first operation stands"),
    N_("{number} came before; is this an old copy of the terminal?"),
)
FINDINGS = (
    N_("the terminal's clock is {value} s off"),
    N_("it has verdicts of {value}, which are not known here"),
    N_("numbers below {count} are in use"),
    N_("another one of {least} to {most}"),
    N_("not in the fleet"),
)
PAYLOADS = (
    N_("UTF-8 in every text, and no endless nesting"),
    N_("a MessagePack array: version, message"),
    N_("an array that begins with its type, a number"),
    N_("an array: version, online, at"),
)
BROKER = (
    N_("busy"),
    N_(
        "{value} is not loopback; others connect to tls_port only, because a password would be "
        "read on the way"
    ),
    N_("not installed; the embedded broker needs nothing"),
    N_("port {number} was not served in {count} s"),
    N_("the broker is away"),
    N_("the connection has ended"),
    N_("the connection to the broker was lost"),
    N_("too many messages wait for the broker"),
)
QUEUE = (
    N_("the queue cannot be read: {cause}"),
    N_("the queue cannot be written: {cause}"),
)
OPERATOR = (
    N_("20 digits with their check digits"),
    N_("an account, not what stands for one"),
    N_("either a CCI alone, or a phone"),
    N_("nine digits, or a CCI instead"),
    N_("no account is on file"),
    N_("no more members can be enrolled"),
    N_("no such terminal"),
    N_("nobody of the fleet keeps that account"),
    N_("none is known here"),
    N_("several accounts"),
)
OUR_OWN: Mapping[str, str] = {
    "GET /agents lists them": N_("See them with: chasqui agent list"),
    "GET /directory/entries?phone= lists what is on file": N_(
        "Find accounts with: chasqui customers"
    ),
    "the broker refuses {cause}": N_("the broker refuses: {cause}"),
    "Not authorized": N_("not authorized"),
    "Bad user name or password": N_("wrong user name or password"),
    "Client identifier not valid": N_("the client's name is not valid"),
    "Server unavailable": N_("not available just now"),
    "Unsupported protocol version": N_("another version of the protocol"),
}
"""What is said in another way at the command line, in every language."""

TEMPLATES = (*VERDICTS, *FINDINGS, *QUEUE, *PAYLOADS, *BROKER, *OPERATOR, *OUR_OWN)
