"""Names of files, chosen by whoever made the image, as text that is safe to show and says what it stands for."""

from lstore.cli.terminal import printable


def file_name(name: bytes) -> str:
    r"""`name` on one line: bytes that are no UTF-8 as ``\xff``, control characters as ``\n`` or ``\x1b``."""
    text = printable(name.decode("utf-8", "backslashreplace"))
    return text.replace("\n", "\\n").replace("\t", "\\t")


def file_path(path: bytes) -> str:
    """`path`, relative to an image's root, as `file_name` shows it and from the root."""
    return f"/{file_name(path)}"


def one_line(text: str) -> str:
    """Foreign `text`, such as the step that made a layer, on one line."""
    return printable(" ".join(text.split()))
