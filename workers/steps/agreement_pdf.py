"""The report of a study as a PDF file: the same words and figures as the page, with an embedded font.

The font is Noto Sans JP (SIL Open Font License) of the package pylopdf-fonts-cjk. Only the glyphs that occur
are embedded.
"""

import logging
from datetime import datetime
from importlib.resources import files
from typing import Any

from django.utils import translation
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, TableCellFillMode, TextEmphasis, WrapMode, XPos, YPos
from fpdf.fonts import FontFace

from mekiki.config.version import full_version
from mekiki.quality.figures import Figures
from mekiki.quality.report_parts import Bar, Document, Section, Table
from mekiki.quality.report_words import report_document

# The subset of a font is written with some twenty lines of log for each file.
logging.getLogger("fontTools").setLevel(logging.WARNING)

FONT = "noto"
INK, MUTED, LINE, ACCENT = (25, 28, 33), (95, 101, 110), (205, 209, 214), (28, 100, 160)
GOOD, BAD, UNCLEAR = (32, 110, 60), (170, 40, 40), (140, 95, 10)


def unbroken(text: str) -> str:
    """Return the text with no-break spaces between numbers and percent signs."""
    return text.replace(" %", "\u00a0%")


class ReportPdf(FPDF):
    """A4 pages with a header and page numbers. `footer_words` are at the left of each footer."""

    def __init__(self, footer_words: str, language: str) -> None:
        super().__init__(format="A4")
        self.footer_words = footer_words
        # Japanese has no spaces between words, so a line may end after any character.
        self.wrap = WrapMode.CHAR if language == "ja" else WrapMode.WORD
        font = files("pylopdf_fonts_cjk") / "NotoSansJP-Regular.otf"
        self.add_font(FONT, "", str(font))
        self.set_margins(18, 16, 18)
        self.set_auto_page_break(True, margin=20)
        self.alias_nb_pages()

    def footer(self) -> None:
        """Write the page number, and what the report belongs to."""
        self.set_y(-14)
        self.set_font(FONT, size=7.5)
        self.set_text_color(*MUTED)
        self.cell(self.epw * 0.8, 5, self.footer_words)
        self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

    def words(
        self, text: str, *, size: float, colour: tuple[int, int, int] = INK, after: float = 1.5
    ) -> None:
        """Write a paragraph in the full width."""
        self.set_font(FONT, size=size)
        self.set_text_color(*colour)
        self.multi_cell(
            0,
            size * 0.5,
            unbroken(text),
            align="L",
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
            wrapmode=self.wrap,
        )
        self.ln(after)


def report_pdf(
    stored: dict[str, Any], *, digest: str, version: int, language: str, created_at: datetime | None = None
) -> bytes:
    """Return the report of these figures as a PDF file in a language."""
    figures = Figures.of(stored)
    with translation.override(language):
        document = report_document(
            figures, digest=digest, version=version, software=full_version(), created_at=created_at
        )
        footer = f"{figures.design['dataset_name']} · {document.title} · {digest[:12]}"
        pdf = ReportPdf(footer, language)
        pdf.set_title(document.title)
        pdf.set_lang(language)
        pdf.set_creator("Mekiki")
        _write(pdf, document)
    return bytes(pdf.output())


def _write(pdf: ReportPdf, document: Document) -> None:
    pdf.add_page()
    pdf.words(document.title, size=17, after=2)
    colour = UNCLEAR if document.good is None else GOOD if document.good else BAD
    pdf.words(document.verdict, size=13, colour=colour, after=1)
    pdf.words(document.basis, size=10, after=3)
    pdf.set_font(FONT, size=8.5)
    pdf.set_text_color(*INK)
    with pdf.table(
        borders_layout=TableBordersLayout.NONE,
        col_widths=(28, 100),
        text_align=("LEFT", "LEFT"),
        line_height=5,
        first_row_as_headings=False,
    ) as table:
        for term, text in document.facts:
            row = table.row()
            row.cell(term, style=FontFace(color=MUTED))
            row.cell(text)
    pdf.ln(3)
    for section in document.sections:
        _section(pdf, section)


def _section(pdf: ReportPdf, section: Section) -> None:
    if pdf.will_page_break(45):
        pdf.add_page()
    pdf.ln(2)
    pdf.set_draw_color(*LINE)
    pdf.line(pdf.l_margin, pdf.y, pdf.l_margin + pdf.epw, pdf.y)
    pdf.ln(2)
    pdf.words(section.title, size=12.5, after=1.5)
    mark = "• " if section.key == "limits" else ""
    for sentence in section.sentences:
        pdf.words(mark + sentence, size=9, after=1)
    if section.bars:
        _chart(pdf, section.bars)
    for table in section.tables:
        if len(section.tables) > 1:
            pdf.words(table.title, size=10, after=0.5)
        _table(pdf, table)
        pdf.ln(2)


def _chart(pdf: ReportPdf, bars: list[Bar]) -> None:
    """Draw one row for each bar: its words, a line for the interval, a dot for the value."""
    left, width = pdf.l_margin + 62, pdf.epw - 62 - 34
    height = 6.0
    if pdf.will_page_break(height * (len(bars) + 2)):
        pdf.add_page()
    pdf.ln(1)
    top = pdf.y
    pdf.set_draw_color(*LINE)
    pdf.set_line_width(0.15)
    pdf.set_font(FONT, size=7.5)
    pdf.set_text_color(*MUTED)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x = left + width * tick
        pdf.line(x, top, x, top + height * len(bars))
        pdf.set_xy(x - 8, top + height * len(bars) + 0.5)
        pdf.cell(16, 4, f"{tick * 100:.0f} %", align="C")
    for place, bar in enumerate(bars):
        y = top + height * place
        pdf.set_font(FONT, size=8)
        pdf.set_text_color(*INK)
        pdf.set_xy(pdf.l_margin, y)
        pdf.cell(60, height, _fitted(pdf, bar.label, 60))
        pdf.set_xy(left + width + 3, y)
        pdf.cell(31, height, bar.text)
        if bar.value is None:
            continue
        middle = y + height / 2
        pdf.set_draw_color(*ACCENT)
        pdf.set_fill_color(*ACCENT)
        pdf.set_line_width(0.6)
        pdf.line(left + width * bar.low, middle, left + width * bar.high, middle)
        pdf.circle(left + width * bar.value, middle, 1.1, style="F")
    pdf.set_line_width(0.2)
    pdf.set_fill_color(255, 255, 255)
    pdf.set_xy(pdf.l_margin, top + height * len(bars) + 6)


def _fitted(pdf: ReportPdf, text: str, width: float) -> str:
    """Return the text, shortened with "…" to the width."""
    if pdf.get_string_width(text) <= width:
        return text
    while text and pdf.get_string_width(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _table(pdf: ReportPdf, table: Table) -> None:
    pdf.set_font(FONT, size=8)
    pdf.set_text_color(*INK)
    pdf.set_draw_color(*LINE)
    columns = len(table.headings)
    widths = (max(1.6, columns * 0.25), *(1.0,) * (columns - 1))
    with pdf.table(
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        col_widths=widths,
        text_align=("LEFT", *("RIGHT",) * (columns - 1)),
        line_height=4.6,
        padding=0.6,
        cell_fill_mode=TableCellFillMode.NONE,
        headings_style=FontFace(color=MUTED, emphasis=TextEmphasis.NONE, fill_color=(255, 255, 255)),
    ) as made:
        for cells in (table.headings, *table.rows):
            row = made.row()
            for cell in cells:
                row.cell(unbroken(cell))
