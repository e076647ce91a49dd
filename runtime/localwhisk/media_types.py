"""Media types: which ones are text, as Pekko HTTP's registry has it, and which ones a caller accepts.

OpenWhisk hands a body of text on as it is, any other as base64.
"""

import re

APPLICATION_TEXT = """atom+xml base64 javascript json json-patch+json merge-patch+json problem+json problem+xml rss+xml
soap+xml vnd.api+json vnd.google-earth.kml+xml x-latex x-vrml x-www-form-urlencoded xhtml+xml xml xml-dtd"""
TEXT = """asp cache-manifest calendar css csv event-stream html markdown mcf plain richtext tab-separated-values
uri-list vnd.wap.wml vnd.wap.wmlscript x-asm x-c x-component x-h x-java-source x-pascal x-script x-scriptcsh
x-scriptelisp x-scriptksh x-scriptlisp x-scriptperl x-scriptperl-module x-scriptphyton x-scriptrexx x-scriptscheme
x-scriptsh x-scripttcl x-scripttcsh x-scriptzsh x-server-parsed-html x-setext x-sgml x-speech
x-uuencode x-vcalendar x-vcard xml"""
KNOWN_TEXT = {f"application/{name}" for name in APPLICATION_TEXT.split()} | {f"text/{name}" for name in TEXT.split()}
KNOWN_BINARY = ("image/", "audio/", "video/", "font/", "application/octet-stream")
RANGE = re.compile(r"\s*([\w!#$&^.+*-]+)/([\w!#$&^.+*-]+)\s*((?:;[^,]*)?)\s*", re.ASCII)
QUALITY = re.compile(r";\s*q\s*=\s*([0-9.]+)")


def essence(content_type: str) -> str:
    """The type without its parameters, in small letters."""
    return content_type.partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    return media == "application/json" or media.endswith("+json")


def is_binary(content_type: str) -> bool:
    """Whether it is no text; an unknown type is text if it names a charset."""
    media = essence(content_type)
    if media in KNOWN_TEXT or media.startswith("multipart/"):
        return False
    return media.startswith(KNOWN_BINARY) or "charset=" not in content_type.lower()


def accepted(accept: str | None, content_type: str) -> bool:
    """Whether an Accept header, if there is one that can be read, lets this type pass: the closest range decides."""
    if not accept:
        return True
    ranges = [RANGE.fullmatch(part) for part in accept.split(",")]
    main, _, sub = essence(content_type).partition("/")
    fitting = []
    for found in ranges:
        if found is None:
            return True
        names = found[1].lower(), found[2].lower()
        if names in ((main, sub), (main, "*"), ("*", "*")):
            quality = QUALITY.search(found[3])
            fitting.append((names.count("*"), -(float(quality[1]) if quality else 1.0)))
    return bool(fitting) and min(fitting)[1] < 0
