"""PDF and EPUB files for tests, made of bytes."""

import io
import zipfile
from base64 import b64decode

ENCRYPTED_PDF = (
    "JVBERi0xLjMKJeLjz9MKMSAwIG9iago8PAovVHlwZSAvQ2F0YWxvZwovUGFnZXMgMiAwIFIKPj4KZW5kb2JqCjIgMCBvYmoKPDwKL1R5cGUgL1"
    "BhZ2VzCi9LaWRzIFsgMyAwIFIgXQovQ291bnQgMQo+PgplbmRvYmoKMyAwIG9iago8PAovVHlwZSAvUGFnZQovUGFyZW50IDIgMCBSCi9NZWRp"
    "YUJveCBbIDAgMCA1OTUgODQyIF0KL0NvbnRlbnRzIDQgMCBSCi9SZXNvdXJjZXMgPDwKL0ZvbnQgPDwKL0YxIDUgMCBSCj4+Cj4+Cj4+CmVuZG"
    "9iago0IDAgb2JqCjw8Ci9MZW5ndGggNTMKPj4Kc3RyZWFtCgFzeC1IDIiDZwg9+CIzupPY0e7mIAc2ICt2gqvPzpwL53JSGtpwy/M+YdJbS/oL"
    "GokGRForCmVuZHN0cmVhbQplbmRvYmoKNSAwIG9iago8PAovVHlwZSAvRm9udAovU3VidHlwZSAvVHlwZTEKL0Jhc2VGb250IC9IZWx2ZXRpY2"
    "EKPj4KZW5kb2JqCjYgMCBvYmoKPDwKL1RpdGxlIDw+Cj4+CmVuZG9iago3IDAgb2JqCjw8Ci9WIDIKL1IgMwovTGVuZ3RoIDEyOAovUCA0Mjk0"
    "OTY3MjkyCi9GaWx0ZXIgL1N0YW5kYXJkCi9PIDw5ZDhlZGRiODAyY2FmNmQ4NGFjZDMzOTdkOWRjNWE5MzY1ZTNhMGYzZTYzMDRkOWIwN2U4Yj"
    "I5N2U5MGI1Yzk0PgovVSA8MjA1Yjc1MTZiNmYwMzNlMDFhZDFmNDEwZDlkYjRhNDEyOGJmNGU1ZTRlNzU4YTQxNjQwMDRlNTZmZmZhMDEwOD4K"
    "Pj4KZW5kb2JqCnhyZWYKMCA4CjAwMDAwMDAwMDAgNjU1MzUgZiAKMDAwMDAwMDAxNSAwMDAwMCBuIAowMDAwMDAwMDY0IDAwMDAwIG4gCjAwMD"
    "AwMDAxMjMgMDAwMDAgbiAKMDAwMDAwMDI1MSAwMDAwMCBuIAowMDAwMDAwMzU0IDAwMDAwIG4gCjAwMDAwMDA0MjQgMDAwMDAgbiAKMDAwMDAw"
    "MDQ1NSAwMDAwMCBuIAp0cmFpbGVyCjw8Ci9TaXplIDgKL1Jvb3QgMSAwIFIKL0luZm8gNiAwIFIKL0lEIFsgPDI5YzhkNmM5MTI2NjE4OTJhN2"
    "MzY2EyYTIwZWE5NmYzPiA8MjljOGQ2YzkxMjY2MTg5MmE3YzNjYTJhMjBlYTk2ZjM+IF0KL0VuY3J5cHQgNyAwIFIKPj4Kc3RhcnR4cmVmCjY3"
    "MAolJUVPRgo="
)


def pdf(*pages: list[str], title: str = "") -> bytes:
    """A PDF whose pages show lines of ASCII text, 12 points apart."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    objects.append(f"<< /Title ({title}) >>".encode())
    kids = []
    for lines in pages:
        shown = " ".join(f"({line}) Tj T*" for line in lines)
        stream = f"BT /F1 10 Tf 12 TL 40 780 Td {shown} ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    out, places = io.BytesIO(b""), []
    out.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer << /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def encrypted_pdf() -> bytes:
    """A PDF of one page that asks for a password (RC4, 128 bits)."""
    return b64decode(ENCRYPTED_PDF)


CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)


def epub(*chapters: str, title: str = "A Book", language: str = "en", locked: bool = False, **entries: bytes) -> bytes:
    """An EPUB of XHTML bodies; ``locked``: encryption.xml lists the first chapter. ``entries``: more files of the archive."""
    items = "".join(f'<item id="c{n}" href="c%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>{title}</dc:title><dc:language>{language}</dc:language><dc:rights>CC BY 4.0</dc:rights></metadata>"
        f'<manifest><item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>{items}</manifest>'
        f'<spine><itemref idref="nav"/>{spine}</spine></package>'
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", CONTAINER)
        book.writestr("OEBPS/book.opf", package)
        book.writestr("OEBPS/nav.xhtml", "<html><body><p>Contents</p></body></html>")
        for n, body in enumerate(chapters):
            book.writestr(f"OEBPS/c {n}.xhtml", f"<html><head><title>x</title></head><body>{body}</body></html>")
        if locked:
            book.writestr(
                "META-INF/encryption.xml",
                '<encryption><EncryptedData><CipherData><CipherReference URI="OEBPS/c%200.xhtml"/></CipherData>'
                "</EncryptedData></encryption>",
            )
        for name, data in entries.items():
            book.writestr(name, data)
    return out.getvalue()
