"""What end users read: every message in Indonesian and in English.

A message travels as its key and parameters; its text is made last, when the language of the
reader is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["id", "en"]

# By key: first in Indonesian, then in English.
MESSAGES: Mapping[str, tuple[str, str]] = {
    "bad_request": ("Permintaan tidak dapat dibaca.", "The request cannot be read."),
    "malformed_json": (
        "Isi permintaan bukan JSON yang benar.",
        "The body of the request is not valid JSON.",
    ),
    "json_object_expected": (
        "Isi permintaan harus berupa objek JSON.",
        "The body of the request must be a JSON object.",
    ),
    "malformed_multipart": (
        "Isi permintaan bukan multipart/form-data yang utuh.",
        "The body of the request is not complete multipart/form-data.",
    ),
    "not_authenticated": (
        "Anda belum masuk, atau sesi Anda telah berakhir. Silakan masuk kembali.",
        "You are not logged in, or your session has ended. Please log in again.",
    ),
    "login_failed": (
        "Nama pengguna atau kata sandi salah.",
        "The username or the password is wrong.",
    ),
    "refresh_failed": (
        "Token penyegar tidak berlaku lagi. Silakan masuk kembali.",
        "The refresh token is no longer valid. Please log in again.",
    ),
    "reset_failed": (
        "Tautan ini tidak berlaku lagi. Mintalah tautan baru kepada administrator.",
        "This link is no longer valid. Ask an administrator for a new one.",
    ),
    "forbidden": (
        "Anda tidak berwenang melakukan tindakan ini.",
        "You are not allowed to do this.",
    ),
    "not_own_organization": (
        "Anda hanya dapat mengubah data organisasi Anda sendiri.",
        "You can only change data of your own organization.",
    ),
    "verify_needed": (
        "Hanya walidata yang dapat menyetujui atau menolak mapset.",
        "Only a data validator can approve or reject a mapset.",
    ),
    "administrator_protected": (
        "Hanya administrator yang dapat memberikan peran administrator.",
        "Only an administrator can give the administrator role.",
    ),
    "not_own_upload": (
        "Anda hanya dapat menghapus berkas yang Anda unggah sendiri.",
        "You can only delete files that you uploaded yourself.",
    ),
    "not_found": ("Data tidak ditemukan.", "There is no such record."),
    "path_not_found": ("Alamat ini tidak ada.", "There is nothing at this address."),
    "method_not_allowed": (
        "Metode ini tidak didukung pada alamat ini.",
        "This method is not supported at this address.",
    ),
    "conflict": (
        "Data bertentangan dengan data yang sudah ada.",
        "The record conflicts with one that already exists.",
    ),
    "request_under_way": (
        "Permintaan dengan Idempotency-Key yang sama masih dikerjakan. Coba lagi sebentar lagi.",
        "A request with the same Idempotency-Key is still under way. Try again in a moment.",
    ),
    "idempotency_key_reused": (
        "Idempotency-Key ini telah dipakai untuk permintaan lain.",
        "This Idempotency-Key was used for another request.",
    ),
    "idempotency_key_malformed": (
        "Idempotency-Key harus 1 sampai 255 karakter ASCII yang tampak, tanpa spasi.",
        "An Idempotency-Key has 1 to 255 visible ASCII characters, without spaces.",
    ),
    "already_used": ("Nilai ini sudah dipakai.", "This value is already in use."),
    "status_outdated": (
        "Status mapset telah berubah sejak Anda membukanya. Muat ulang, lalu coba lagi.",
        "The status of the mapset has changed since you opened it. Reload and try again.",
    ),
    "layer_changed": (
        "Alamat layer telah berubah sejak Anda membukanya. Periksa kembali, lalu coba lagi.",
        "The layer address has changed since you opened it. Check it and try again.",
    ),
    "last_administrator": (
        "Ini administrator aktif terakhir; angkat administrator lain dahulu.",
        "This is the last active administrator; appoint another one first.",
    ),
    "references_deleted": (
        "Data ini merujuk data yang telah dihapus; pulihkan data itu terlebih dahulu.",
        "This refers to what has been deleted; restore that first.",
    ),
    "file_in_use": (
        "Berkas masih dipakai dan tidak dapat dihapus.",
        "The file is in use and cannot be deleted.",
    ),
    "precondition_failed": (
        "Data telah berubah sejak Anda membacanya. Muat ulang, lalu coba lagi.",
        "The record has changed since you read it. Reload and try again.",
    ),
    "too_large": (
        "Isi permintaan terlalu besar; batasnya {limit} bita.",
        "The body of the request is too large; the limit is {limit} bytes.",
    ),
    "unsupported_type": (
        "Jenis isi permintaan tidak didukung; kirim {expected}.",
        "The type of the body is not supported; send {expected}.",
    ),
    "file_type_not_allowed": (
        "Jenis berkas ini tidak diterima. Jenis yang diterima: {allowed}.",
        "This type of file is not accepted. Accepted types: {allowed}.",
    ),
    "file_content_mismatch": (
        "Isi berkas tidak sesuai dengan akhiran namanya.",
        "The content of the file does not match the extension of its name.",
    ),
    "image_broken": ("Gambar rusak atau tidak utuh.", "The image is broken or incomplete."),
    "image_too_many_pixels": (
        "Gambar terlalu besar; batasnya {limit} piksel.",
        "The image is too large; the limit is {limit} pixels.",
    ),
    "archive_too_large": (
        "Arsip ini terlalu besar bila dibuka, atau isinya terlalu banyak.",
        "This archive is too large once it is unpacked, or holds too much.",
    ),
    "file_missing": (
        "Sertakan satu berkas pada bagian bernama “file”.",
        "Send one file in the part named “file”.",
    ),
    "file_empty": ("Berkas kosong.", "The file is empty."),
    "range_not_satisfiable": (
        "Rentang yang diminta di luar berkas.",
        "The requested range lies outside the file.",
    ),
    "invalid": ("Periksa kembali isian Anda.", "Please check what you entered."),
    "unavailable": (
        "Layanan sedang terganggu. Silakan coba beberapa saat lagi.",
        "The service is disturbed at the moment. Please try again shortly.",
    ),
    "unexpected": (
        "Terjadi kesalahan pada server. Sebutkan nomor permintaan ini kepada administrator.",
        "The server made an error. Tell the administrator the number of this request.",
    ),
    # Of commands
    "none_named_so": ("Tidak ada “{name}”.", "There is no “{name}”."),
    "several_named_so": (
        "Ada lebih dari satu “{name}”; sebutkan idnya.",
        "There is more than one “{name}”; give its id.",
    ),
    "row_repeats": (
        "Baris {line} sudah berisi data yang sama.",
        "Line {line} has this record already.",
    ),
    "row_ambiguous": (
        "Lebih dari satu data tersimpan cocok; sebutkan idnya.",
        "More than one stored record fits; give its id.",
    ),
    "parent_missing": (
        "Wilayah induk {code} tidak ada.",
        "There is no parent region {code}.",
    ),
    "parent_by_code": (
        "Induk harus {code}, sesuai kodenya.",
        "The parent must be {code}, as the code says.",
    ),
    "unknown_column": ("Kolom ini tidak dikenal.", "There is no such column."),
    "id_taken": ("Id ini sudah dipakai data lain.", "This id belongs to another record."),
    "path_outside": (
        "Berkas harus berada di dalam folder {folder}.",
        "The file must lie in the folder {folder}.",
    ),
    "file_unreadable": ("Berkas tidak dapat dibaca: {reason}.", "It cannot be read: {reason}."),
    "file_never_changes": (
        "Isi berkas yang tersimpan tidak pernah berubah; impor tanpa id.",
        "The content of a stored file never changes; import it without the id.",
    ),
    "checksum_differs": (
        "Isi berkas tidak sesuai dengan checksum-nya.",
        "The content of the file does not have this checksum.",
    ),
    "none_named": ("Tidak ada {kind} “{name}”.", "There is no {kind} “{name}”."),
    "several_named": (
        "Ada beberapa {kind} “{name}”; sebutkan id-nya.",
        "More than one {kind} is called “{name}”; name it by its id.",
    ),
    "html_too_deep": (
        "Elemen HTML bersarang lebih dari {limit} tingkat.",
        "HTML elements stand more than {limit} deep in each other.",
    ),
    "exists_differently": (
        "Sudah ada {kind} “{name}”, dengan isian lain: {fields}. Gunakan perintah update.",
        "There is a {kind} “{name}” already, with other values of: {fields}. Use update.",
    ),
    "kind_user": ("pengguna", "user"),
    "kind_active_user": ("pengguna aktif", "active user"),
    "kind_organization": ("organisasi", "organization"),
    "kind_role": ("peran", "role"),
    "kind_credential": ("kredensial", "credential"),
    "kind_session": ("sesi terbuka", "open session"),
    # Of single fields
    "required": ("Wajib diisi.", "This is required."),
    "must_be_text": ("Harus berupa teks.", "This must be text."),
    "must_be_boolean": ("Harus true atau false.", "This must be true or false."),
    "must_be_integer": ("Harus bilangan bulat.", "This must be a whole number."),
    "must_be_number": ("Harus berupa bilangan.", "This must be a number."),
    "must_be_list": ("Harus berupa daftar.", "This must be a list."),
    "must_be_object": ("Harus berupa objek.", "This must be an object."),
    "must_be_uuid": ("Harus berupa UUID.", "This must be a UUID."),
    "must_be_date": (
        "Harus tanggal yang ada, berbentuk TTTT-BB-HH.",
        "This must be an existing date, as YYYY-MM-DD.",
    ),
    "must_be_datetime": (
        "Harus tanggal dan waktu menurut RFC 3339, misalnya 2026-01-31T08:00:00+07:00.",
        "This must be a date and time as in RFC 3339, such as 2026-01-31T08:00:00+07:00.",
    ),
    "must_be_email": ("Alamat surel tidak benar.", "This is not a valid email address."),
    "must_be_url": (
        "Harus alamat lengkap yang diawali http:// atau https://, tanpa nama pengguna di dalamnya.",
        "This must be a complete address that begins with http:// or https://, without a user.",
    ),
    "must_be_region_code": (
        "Harus kode wilayah, misalnya 35, 35.78, 35.78.01 atau 35.78.01.1001.",
        "This must be a region code, such as 35, 35.78, 35.78.01 or 35.78.01.1001.",
    ),
    "must_be_bounding_box": (
        "Harus empat bilangan: barat, selatan, timur, utara, dalam derajat.",
        "This must be four numbers: west, south, east, north, in degrees.",
    ),
    "must_be_one_of": ("Pilih salah satu: {allowed}.", "Choose one of: {allowed}."),
    "too_short": ("Paling sedikit {limit} karakter.", "At least {limit} characters."),
    "too_long": ("Paling banyak {limit} karakter.", "At most {limit} characters."),
    "too_many": ("Paling banyak {limit} butir.", "At most {limit} items."),
    "too_small": ("Paling kecil {limit}.", "At least {limit}."),
    "too_big": ("Paling besar {limit}.", "At most {limit}."),
    "wrong_form": ("Bentuknya tidak benar.", "This does not have the right form."),
    "not_text_safe": (
        "Mengandung karakter yang tidak dapat disimpan.",
        "This contains characters that cannot be stored.",
    ),
    "unknown_reference": (
        "Data yang dirujuk tidak ada atau telah dihapus.",
        "What this refers to does not exist or has been deleted.",
    ),
    "order_of_dates": (
        "Akhir tidak boleh mendahului awal.",
        "The end must not come before the start.",
    ),
    "one_level_only": (
        "Hanya satu dari is_open, is_limited dan is_secret yang boleh true.",
        "Only one of is_open, is_limited and is_secret may be true.",
    ),
    "parent_cycle": (
        "Wilayah tidak dapat menjadi induk bagi dirinya sendiri.",
        "A region cannot be its own parent.",
    ),
    "starts_in_verification": (
        "Mapset baru selalu berawal dari on_verification.",
        "A new mapset always begins in on_verification.",
    ),
    "organization_required": (
        "Pengelola data harus memiliki organisasi.",
        "A data manager must have an organization.",
    ),
    "password_too_long": (
        "Kata sandi paling panjang 72 bita.",
        "A password is at most 72 bytes long.",
    ),
    "password_too_weak": (
        "Paling sedikit 8 karakter, dengan huruf besar, angka dan simbol.",
        "At least 8 characters, with an upper-case letter, a digit and a symbol.",
    ),
    "password_too_common": (
        "Kata sandi ini mudah ditebak. Jangan memakai kata yang umum, nama Anda atau nama "
        "pengguna Anda.",
        "This password is easily guessed. Use no common word, nor your name or username.",
    ),
    "permission_not_granted": (
        "Pemilik token tidak memiliki izin ini, atau izin ini tidak untuk token: {permissions}.",
        "The token's owner lacks this permission, or it is not for tokens: {permissions}.",
    ),
    "token_lifetime": (
        "Waktu berakhirnya harus setelah sekarang dan paling lama {limit} hari lagi.",
        "It must end after the present moment and within {limit} days.",
    ),
    "password_wrong": ("Kata sandi saat ini salah.", "The current password is wrong."),
    # Of query parameters
    "filter_malformed": (
        "Filter tidak terbaca: {atom}. Contoh: is_active=true.",
        "The filter cannot be read: {atom}. Example: is_active=true.",
    ),
    "filter_unknown_field": (
        "Tidak dapat menyaring menurut {field}. Yang tersedia: {known}.",
        "Cannot filter by {field}. Available: {known}.",
    ),
    "filter_operator": (
        "Operator {operator} tidak berlaku untuk {field}.",
        "The operator {operator} does not apply to {field}.",
    ),
    "filter_value": (
        "Nilai filter {field} tidak benar: {reason}",
        "The value of the filter {field} is not valid: {reason}",
    ),
    "filter_too_many": (
        "Terlalu banyak syarat; paling banyak {limit}.",
        "Too many conditions; at most {limit}.",
    ),
    "must_be_cursor": (
        "Harus next_cursor dari halaman sebelumnya, tanpa perubahan.",
        "This must be the next_cursor of the page before, unchanged.",
    ),
    "cursor_of_other_order": (
        "Kursor ini berasal dari daftar dengan urutan atau pencarian lain.",
        "This cursor comes from a list with another order or search.",
    ),
    "offset_with_cursor": (
        "Gunakan offset atau cursor, tidak keduanya.",
        "Use offset or cursor, not both.",
    ),
    "facet_unknown": (
        "Tidak ada faset {facet}. Yang tersedia: {known}.",
        "There is no facet {facet}. Available: {known}.",
    ),
    "must_be_period": (
        "Harus waktu menurut RFC 3339, atau awal/akhir, misalnya 2026-01-31T08:00:00Z/..",
        "This must be a time as in RFC 3339, or start/end, such as 2026-01-31T08:00:00Z/..",
    ),
    "search_too_many": (
        "Terlalu banyak kata pencarian; paling banyak {limit}.",
        "Too many words to search; at most {limit}.",
    ),
    "facets_too_many": (
        "Bersama facets, syarat dan kata pencarian paling banyak {limit}.",
        "With facets there are at most {limit} conditions and words to search.",
    ),
    "search_too_long": (
        "Teks pencarian paling panjang {limit} karakter.",
        "The search text is at most {limit} characters long.",
    ),
}


@dataclass(frozen=True)
class Message:
    """One message, not yet in any language.

    >>> Message("too_short", {"limit": 3}).text("en")
    'At least 3 characters.'
    """

    key: str
    parameters: Mapping[str, object] = field(default_factory=dict)

    def text(self, language: Language) -> str:
        """Give the message in Indonesian (``id``) or English (``en``)."""
        template = MESSAGES[self.key][0 if language == "id" else 1]
        values = {
            name: value.text(language) if isinstance(value, Message) else value
            for name, value in self.parameters.items()
        }
        return template.format(**values) if values else template


def preferred_language(accept_language: str | None) -> Language:
    """Choose between Indonesian and English by an Accept-Language header (RFC 9110, 12.5.4).

    Indonesian is the default: English is chosen only where the header prefers it.
    """
    best: tuple[float, Language] = (0.0, "id")
    for part in (accept_language or "").lower().split(","):
        tag, _, quality = part.strip().partition(";q=")
        primary = tag.split("-")[0].strip()
        if primary not in ("id", "en"):
            continue
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if weight > best[0]:
            best = (weight, "id" if primary == "id" else "en")
    return best[1]
