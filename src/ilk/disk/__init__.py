"""The disk, in one package: how files are written whole, and how files that may be anybody's are read.

Everyone may import it. What it guards against is in SECURITY.md.
"""

from ilk.disk.appending import Held, appending, claimed, sync_folder
from ilk.disk.reading import (
    JSON_BYTES,
    array_header,
    check_memory,
    opened,
    parse_json,
    read_array,
    read_bytes,
    read_json,
    within,
)
from ilk.disk.tensors import file_digest, open_tensors, read_tensors, write_tensors
from ilk.disk.text import formula_note, one_line, printable
from ilk.disk.writing import (
    as_text,
    check_replaceable,
    copied,
    create,
    forbidden,
    is_special,
    is_stdout,
    is_temporary,
    new_folder,
    output,
    own_folder,
    remove_temporaries,
    replacing,
    temporary_name,
    unwritable,
    write_bytes,
)

__all__ = [
    "JSON_BYTES",
    "Held",
    "appending",
    "array_header",
    "as_text",
    "check_memory",
    "check_replaceable",
    "claimed",
    "copied",
    "create",
    "file_digest",
    "forbidden",
    "formula_note",
    "is_special",
    "is_stdout",
    "is_temporary",
    "new_folder",
    "one_line",
    "open_tensors",
    "opened",
    "output",
    "own_folder",
    "parse_json",
    "printable",
    "read_array",
    "read_bytes",
    "read_json",
    "read_tensors",
    "remove_temporaries",
    "replacing",
    "sync_folder",
    "temporary_name",
    "unwritable",
    "within",
    "write_bytes",
    "write_tensors",
]
