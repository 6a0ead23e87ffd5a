"""What is stored of a customer, read back."""

from segflow.engine.advance.erasures import start_labels
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings
from segflow.state import record
from segflow.state.redirect import is_redirect


def purchases_in(value: bytes | None) -> int:
    """How many are remembered in what is stored of an id."""
    if value is None or is_redirect(value):
        return 0
    return int(record.decode(["?"], [value], start_labels(from_settings(Settings())), 0).fixed["purchases"][0])
