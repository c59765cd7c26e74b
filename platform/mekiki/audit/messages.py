"""Messages about differences from the sealed state, in the reader's language."""

from mekiki.config.messages import Messages
from verification import messages
from verification.sentences import printable

FINDINGS = Messages("findings of an audit", default=printable, marked=("why", "table"))
for _code, _text in messages.FINDINGS.items():
    FINDINGS.add(_code, _text)
