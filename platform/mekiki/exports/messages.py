"""Messages about faults of a label set, in the reader's language."""

from mekiki.config.messages import Messages
from verification.label_set import messages
from verification.sentences import printable

PROBLEMS = Messages("problems of label sets", default=printable, marked=("why",))
for _code, _text in messages.PROBLEMS.items():
    PROBLEMS.add(_code, _text)
