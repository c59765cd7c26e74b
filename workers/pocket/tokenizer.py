"""The tokenizer of `pocket`: byte-level BPE with a few thousand tokens.

Because it works on bytes, it encodes any text in any language.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

FILE = Path(__file__).with_name("tokenizer.json")
PAD = 0
CONTEXT = 64
# Split at every change of script, so that no merge spans a noun and its particle.
_PIECES = (
    r" ?\p{Latin}+|\p{Han}+|\p{Hiragana}+|[\p{Katakana}ー]+| ?\p{N}+|\s+"
    r"|[^\p{Latin}\p{Han}\p{Hiragana}\p{Katakana}ー\p{N}\s]+"
)


def normalise(text: str) -> str:
    """Return the text as the tokenizer reads it.

    Compatibility forms are folded (「ｷｽﾞ」 becomes 「キズ」), letters are lower case, and invalid Unicode is
    replaced.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    return unicodedata.normalize("NFKC", text).lower()


class PocketTokenizer:
    """Converts text to token ids.

    The end token has the highest id, because open_clip's text tower looks for it there.
    """

    def __init__(self, bpe: Tokenizer) -> None:
        self._bpe = bpe
        self.start = bpe.get_vocab_size()
        self.end = self.start + 1
        self.vocab_size = self.start + 2
        self.context_length = CONTEXT

    @classmethod
    def load(cls, path: Path = FILE) -> "PocketTokenizer":
        return cls(Tokenizer.from_file(str(path)))

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int = 3070) -> "PocketTokenizer":
        """Train a tokenizer on a corpus; the same corpus gives the same tokenizer."""
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=["<pad>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        bpe.train_from_iterator((normalise(text) for text in texts), trainer)
        return cls(bpe)

    def save(self, path: Path = FILE) -> None:
        self._bpe.save(str(path))

    def drop_merges(self, share: float | None) -> None:
        """Skip a share of the merges at random while encoding; for training only.

        This is BPE dropout (arXiv 1910.13267).
        """
        self._bpe.model.dropout = share

    def ids(self, text: str) -> list[int]:
        """Return all token ids of a text, between the start and the end token, without a length limit.

        The characters «<pad>» in the text are encoded as ordinary text.
        """
        pieces = [self._bpe.encode(piece).ids for piece in normalise(text).split("<pad>")]
        known = self._bpe.get_vocab() if len(pieces) > 1 else {}
        literal = [known[mark] for mark in "<pad>"] if known else []
        body = [
            token for number, piece in enumerate(pieces) for token in ((literal if number else []) + piece)
        ]
        return [self.start, *body, self.end]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the normalised text of token ids."""
        return self._bpe.decode([token for token in ids if token not in (PAD, self.start, self.end)])

    def __call__(self, texts: Sequence[str], *, full: bool = True) -> np.ndarray:
        """Return (n, context) int64 token ids of the texts.

        A text that is too long loses its tail: call :meth:`ids` first to check the length. With ``full``
        false, the array has only as many columns as the longest text needs.
        """
        rows = [self.ids(text) for text in texts]
        rows = [row if len(row) <= CONTEXT else [*row[: CONTEXT - 1], self.end] for row in rows]
        width = CONTEXT if full else max((len(row) for row in rows), default=1)
        table = np.full((len(rows), width), PAD, np.int64)
        for number, row in enumerate(rows):
            table[number, : len(row)] = row
        return table
