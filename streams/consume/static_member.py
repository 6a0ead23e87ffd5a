"""Static membership (KIP-345): a worker with a name of its own, which a second one of that name must not fight for.

aiokafka joins by the name, and does not say it in its heartbeats. The broker could then not tell a member whose name
another has taken from one that was silent for too long, and both would join again and again.
"""

import socket
from typing import Any, Final, TypeAlias

from aiokafka import errors
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.group import HeartbeatRequest, HeartbeatResponse_v1
from aiokafka.protocol.types import Int32, Schema, String

HOSTNAME: Final = "{hostname}"
"""The part of the setting that each machine or pod fills in for itself."""


class FencedInstanceIdError(errors.BrokerResponseError):  # type: ignore[misc]  # aiokafka has no types
    """Another member has joined by the same name since."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "another member of the group has the name"


errors.kafka_errors[FencedInstanceIdError.errno] = FencedInstanceIdError


class HeartbeatRequestV3(RequestStruct):  # type: ignore[misc]  # likewise
    """The first version that says the name; from Kafka 2.3 on."""

    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponse_v1
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


Struct: TypeAlias = HeartbeatRequestV3


class NamedHeartbeatRequest(Request[Struct]):  # type: ignore[misc]  # likewise
    """A heartbeat of a member with a name."""

    API_KEY = 12

    def __init__(self, request: HeartbeatRequest, name: str) -> None:
        self._request = request
        self._name = name

    def build(self, request_struct_class: type[Struct]) -> Struct:
        """See Request."""
        plain = self._request
        return request_struct_class(plain._group, plain._generation_id, plain._member_id, self._name)  # noqa: SLF001


def name_of(setting: str) -> str | None:
    """The name by which this process joins its group, of `worker.group_instance_id`; None where that is empty."""
    return setting.replace(HOSTNAME, socket.gethostname()) or None


def says_its_name(coordinator: Any) -> None:
    """Have the heartbeats of aiokafka's coordinator say the name that it joined by."""
    name, send = coordinator._group_instance_id, coordinator._send_req  # noqa: SLF001 - as Faust

    async def send_named(request: Any) -> Any:
        return await send(NamedHeartbeatRequest(request, name) if isinstance(request, HeartbeatRequest) else request)

    if name is not None and not getattr(coordinator, "says_its_name", False):
        coordinator._send_req = send_named  # noqa: SLF001
        coordinator.says_its_name = True


def is_taken(error: BaseException) -> bool:
    """Whether an error of aiokafka's coordination, which has the broker's only as text, says that the name is taken."""
    return FencedInstanceIdError.__name__ in str(error)
