"""The tokenizer of `pocket`: byte-level BPE of a few thousand tokens, so that any text in any language encodes."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

FILE = Path(__file__).with_name("tokenizer.json")
PAD = 0
CONTEXT = 64
# One piece per run of one script: a merge must not swallow the seam between a noun and its particle.
_PIECES = r" ?\p{Latin}+|\p{Han}+|\p{Hiragana}+|[\p{Katakana}ー]+| ?\p{N}+|\s+|[^\p{Latin}\p{Han}\p{Hiragana}\p{Katakana}ー\p{N}\s]+"


def normalise(text: str) -> str:
    """What the tokenizer reads: compatibility forms folded (「ｷｽﾞ」 is 「キズ」), lower case, valid Unicode only."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return unicodedata.normalize("NFKC", text).lower()


class PocketTokenizer:
    """Text → token ids. The end token has the highest id: open_clip's text tower reads its position."""

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
        """Learn the merges from a corpus; the same corpus gives the same tokenizer."""
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
        """Skip a share of the merges at random while encoding (arXiv 1910.13267): for training only."""
        self._bpe.model.dropout = share

    def ids(self, text: str) -> list[int]:
        """All tokens of a text, between start and end, however many. A typed «<pad>» is text like any other."""
        pieces = [self._bpe.encode(piece).ids for piece in normalise(text).split("<pad>")]
        known = self._bpe.get_vocab() if len(pieces) > 1 else {}
        literal = [known[mark] for mark in "<pad>"] if known else []
        body = [
            token for number, piece in enumerate(pieces) for token in ((literal if number else []) + piece)
        ]
        return [self.start, *body, self.end]

    def decode(self, ids: Sequence[int]) -> str:
        """The normalised text again."""
        return self._bpe.decode([token for token in ids if token not in (PAD, self.start, self.end)])

    def __call__(self, texts: Sequence[str], *, full: bool = True) -> np.ndarray:
        """(n, context) int64; too long a text loses its tail, so ask :meth:`ids` for the length first.

        With ``full`` false, only as many columns as the longest text needs.
        """
        rows = [self.ids(text) for text in texts]
        rows = [row if len(row) <= CONTEXT else [*row[: CONTEXT - 1], self.end] for row in rows]
        width = CONTEXT if full else max((len(row) for row in rows), default=1)
        table = np.full((len(rows), width), PAD, np.int64)
        for number, row in enumerate(rows):
            table[number, : len(row)] = row
        return table
