"""README.txt of a label set. It explains the files to readers without the platform."""

from typing import Any

from mekiki.exports.facts import once_critical_sentences
from mekiki.exports.machine_facts import machine_sentence
from mekiki.exports.models import LabelSet
from mekiki.exports.view_images import contents_sentence

_TEXT = """\
Mekiki label set: {dataset}, version {version}
frozen {frozen_at} by {by}
{human} labels by people, {machine} by machine
{machine_en}{contents_en}{critical_en}
manifest.json    what this label set is: counts, accuracy statement, SHA-256 and size of every file
manifest.sig     Ed25519 signature over the bytes of manifest.json (64 bytes)
public_key.pem   the key that signed; compare its fingerprint with the one the platform shows
labels.jsonl     one JSON object a label, exact: image, label, who, when, what was on the screen, head, \
prompts
labels.csv       the same rows for spreadsheets (UTF-8 with BOM). A cell that begins with = + - @, their
                 full-width forms, a tab, a line break or an apostrophe carries one apostrophe more in front
schema.json      the labels with their guidelines, and the prompt sets that the rows name
heads.json       the heads that the rows name, and what they were trained on
seals.jsonl      the seals that the decisions lie under, with what proves it
keys.json        the public keys that signed these seals
{files_en}images/          the images, named by their SHA-256 (only when asked for)

Check it without the platform:  mekiki verify FILE --key public_key.pem
Or by hand:  openssl pkeyutl -verify -pubin -inkey public_key.pem -rawin -in manifest.json \
-sigfile manifest.sig
and compare each file's SHA-256 with manifest.json. Take the key, or its fingerprint, from the platform or \
from
somebody you trust: the one in this zip shows only that nothing was changed since it was signed.

{accuracy_en}

――――――――――――――――――――――――――――――――――――――――

Mekiki ラベルセット：{dataset}、バージョン {version}
凍結 {frozen_at}（{by}）
人のラベル {human} 件、機械のラベル {machine} 件
{machine_ja}{contents_ja}{critical_ja}
manifest.json    このラベルセットの内容：件数、精度の説明、全ファイルの SHA-256 とサイズ
manifest.sig     manifest.json のバイト列に対する Ed25519 署名（64 バイト）
public_key.pem   署名した鍵。フィンガープリントをプラットフォームの表示と照合してください
labels.jsonl     1 行に 1 ラベルの正確な記録：画像、ラベル、判定者、日時、\
画面に表示された内容、判定モデル、プロンプト
labels.csv       同じ内容の表計算ソフト用（UTF-8、BOM 付き）。= + - @ とその全角、タブ、改行、
                 アポストロフィで始まるセルには、先頭にアポストロフィを 1 つ加えてあります
schema.json      ラベルと判定基準、行が参照するプロンプトセット
heads.json       行が参照する判定モデルと、その学習に使われたもの
seals.jsonl      判定が含まれる封印と、その証明
keys.json        これらの封印に署名した公開鍵
{files_ja}images/          画像（指定した場合のみ）。ファイル名は SHA-256

プラットフォームなしで検証できます：  mekiki verify FILE --key public_key.pem
鍵またはフィンガープリントは、プラットフォームか信頼できる人から受け取ってください。この zip の中の鍵で
分かるのは、署名のあとに変更されていないことだけです。

{accuracy_ja}
"""


# Of a label set with certified labels only.
_FILES_EN = """\
certificate.json the certificate: protocol, commitment, seed, result, and the sealed events that fixed them
certificate_audit.jsonl  the audited images in audit order, with all their decisions
certificate_pool.csv     the frozen pool: image, predicted label, confidence, probability of a critical label,
                 rank. Its SHA-256 was recorded before the audit began
"""
_FILES_JA = """\
certificate.json 認定：手順、コミットメント、シード、結果と、それらを定めた封印済みイベント
certificate_audit.jsonl  監査した画像（監査順）とそのすべての判定
certificate_pool.csv     凍結した対象画像：画像、予測ラベル、確信度、重要ラベルの確率、順位。
                 SHA-256 は監査の開始前に記録されています
"""


def readme(label_set: LabelSet) -> str:
    """Return the text in English and Japanese. It depends only on the fixed contents of the label set."""
    fixed = label_set.snapshot
    return _TEXT.format(
        dataset=fixed["dataset"]["name"],
        version=label_set.version,
        frozen_at=fixed["taken_at"],
        by=fixed["by"] or "Mekiki",
        human=label_set.human_labels,
        machine=label_set.machine_labels,
        machine_en=_machine(fixed, "en"),
        machine_ja=_machine(fixed, "ja"),
        contents_en=_contents(fixed, "en"),
        contents_ja=_contents(fixed, "ja"),
        files_en=_FILES_EN if "certificate" in fixed else "",
        files_ja=_FILES_JA if "certificate" in fixed else "",
        critical_en=_critical(fixed, "en"),
        critical_ja=_critical(fixed, "ja"),
        accuracy_en=fixed["accuracy"]["statement"]["en"],
        accuracy_ja=fixed["accuracy"]["statement"]["ja"],
    )


def _machine(fixed: dict[str, Any], language: str) -> str:
    """Return the line about the labels set by machine."""
    sentence = machine_sentence(fixed.get("machine"), language)
    return f"\n{sentence}\n" if sentence else ""


def _contents(fixed: dict[str, Any], language: str) -> str:
    """Return the line about the view of the label set and about excluded images."""
    sentence = contents_sentence(fixed, language)
    return f"{sentence}\n" if sentence else ""


def _critical(fixed: dict[str, Any], language: str) -> str:
    """Return the lines about labels that were critical once."""
    return "".join(f"{line}\n" for line in once_critical_sentences(fixed.get("once_critical", []), language))
