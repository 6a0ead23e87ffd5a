"""The stand-in of a batch of records that is too large to be looked into."""


class OversizedBatch(bytes):
    """The value of one record that stands for a whole batch: no bytes, which nothing takes for an event.

    first, last: the offsets of its records. limit_bytes: once unpacked, the batch would hold more.
    """

    first: int
    last: int
    limit_bytes: int

    @classmethod
    def of(cls, first: int, last: int, limit_bytes: int) -> "OversizedBatch":
        """The stand-in of a batch."""
        value = cls()
        value.first, value.last, value.limit_bytes = first, last, limit_bytes
        return value
