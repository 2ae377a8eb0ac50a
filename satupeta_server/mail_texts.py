"""The mails that the system sends, in Indonesian and in English."""

from collections.abc import Mapping
from email.message import EmailMessage

from satupeta_server.messages import Language

_GREETING = {"id": "Yth. {name},", "en": "Dear {name},"}
_NOTES = {"id": "Catatan: {notes}", "en": "Note: {notes}"}
_END = {
    "id": "Surat ini dikirim otomatis oleh {project}. Mohon tidak membalasnya.",
    "en": "This mail was sent by {project} by itself. Please do not answer it.",
}
# By event and language: the subject, and what happened.
TEXTS: Mapping[str, Mapping[Language, tuple[str, str]]] = {
    "mapset.submitted": {
        "id": (
            "Mapset menunggu verifikasi: {mapset}",
            'Mapset "{mapset}" dari {producer} menunggu verifikasi Anda.',
        ),
        "en": (
            "A mapset waits for verification: {mapset}",
            'The mapset "{mapset}" of {producer} waits for your verification.',
        ),
    },
    "mapset.approved": {
        "id": (
            "Mapset disetujui: {mapset}",
            'Mapset "{mapset}" dari {producer} telah disetujui dan kini dapat dilihat publik.',
        ),
        "en": (
            "A mapset was approved: {mapset}",
            'The mapset "{mapset}" of {producer} was approved and can now be seen by the public.',
        ),
    },
    "mapset.rejected": {
        "id": (
            "Mapset ditolak: {mapset}",
            'Mapset "{mapset}" dari {producer} belum dapat disetujui. Perbaiki sesuai catatan, '
            "lalu ajukan kembali.",
        ),
        "en": (
            "A mapset was rejected: {mapset}",
            'The mapset "{mapset}" of {producer} could not be approved. Please mend what the note '
            "says and submit it again.",
        ),
    },
    "mapset.returned": {
        "id": (
            "Mapset kembali ke verifikasi: {mapset}",
            'Mapset "{mapset}" dari {producer} yang sudah disetujui berubah dan menunggu '
            "verifikasi kembali.",
        ),
        "en": (
            "A mapset returned to verification: {mapset}",
            'The approved mapset "{mapset}" of {producer} has changed and waits for verification '
            "again.",
        ),
    },
    "test": {
        "id": ("Surat percobaan", "Pengaturan surat sudah benar."),
        "en": ("A mail to try", "The settings of mail are right."),
    },
}


def make_mail(
    event: str, language: Language, values: Mapping[str, str], sender: str, receiver: str
) -> EmailMessage:
    """Make a mail; line ends in values cannot become headers."""
    one_line = {name: " ".join(value.split()) for name, value in values.items()}
    subject, text = TEXTS[event][language]
    parts = [_GREETING[language], text]
    if one_line.get("notes"):
        parts.append(_NOTES[language])
    if one_line.get("link"):
        parts.append("{link}")
    parts.append(_END[language])
    mail = EmailMessage()
    mail["Subject"] = subject.format(**one_line)
    mail["From"], mail["To"] = sender, receiver
    # Nobody's holiday reply is wanted (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n\n".join(parts).format(**one_line) + "\n")
    return mail
