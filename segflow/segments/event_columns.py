"""Columns of events that only some models need. A model names those it looks at; the decoder makes no others."""

from typing import TypedDict

import numpy as np
import numpy.typing as npt


class EventColumns(TypedDict, total=False):
    """Columns of n events, shape (n,). They say nothing (0) of events of other kinds."""

    discounted: npt.NDArray[np.bool_]  # whether a purchase had a discount
    score: npt.NDArray[np.uint8]  # of a feedback, 0 to 10
    level_log2: npt.NDArray[np.float64]  # what the event adds to engagement (segments/models/engagement.py)
    invoice: npt.NDArray[np.void]  # what a payment says, of INVOICE (segments/invoices.py)
    interaction: npt.NDArray[np.object_]  # the kind of an interaction, as text; of others the empty text
    attributes: npt.NDArray[np.void]  # of STATED (segments/attributes.py), shape (n, attributes), columns by key
