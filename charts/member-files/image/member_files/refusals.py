"""What is refused, and how that is told: by a code and in English to programs, in Korean to people."""

from enum import Enum
from http import HTTPStatus


class Reason(Enum):
    """Why something is refused: HTTP status (RFC 9110), what programs read, what people read."""

    LOGIN = (HTTPStatus.UNAUTHORIZED, "wrong user or password", "사용자 또는 비밀번호가 맞지 않습니다.")
    SESSION = (HTTPStatus.UNAUTHORIZED, "log in first", "먼저 로그인하십시오.")
    BLOCKED = (
        HTTPStatus.TOO_MANY_REQUESTS,
        "too many wrong passwords: try again in five minutes",
        "비밀번호를 여러 번 잘못 입력했습니다. 5분 뒤에 다시 시도하십시오.",
    )
    ONE_TIME = (
        HTTPStatus.FORBIDDEN,
        "the password holds once: choose another one first",
        "일회용 비밀번호입니다. 먼저 새 비밀번호를 정하십시오.",
    )
    ORIGIN = (HTTPStatus.FORBIDDEN, "the form is not from this page", "이 페이지에서 보낸 양식이 아닙니다.")
    NOT_FOUND = (HTTPStatus.NOT_FOUND, "there is no such thing", "찾을 수 없습니다.")
    METHOD = (HTTPStatus.METHOD_NOT_ALLOWED, "not this way", "허용되지 않는 요청입니다.")
    REQUEST = (HTTPStatus.BAD_REQUEST, "the request cannot be read", "요청을 읽을 수 없습니다.")
    NAME = (
        HTTPStatus.BAD_REQUEST,
        "a name is one line of visible text, without slashes, of at most 200 characters",
        "이름은 200자 이내의 한 줄이어야 하며 빗금을 쓸 수 없습니다.",
    )
    PASSWORD = (
        HTTPStatus.BAD_REQUEST,
        "a password has 12 to 200 characters and is not the one before",
        "비밀번호는 12자 이상 200자 이하여야 하며 이전과 달라야 합니다.",
    )
    LENGTH = (HTTPStatus.LENGTH_REQUIRED, "say how long it is", "길이를 알 수 없습니다.")
    TOO_LARGE = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the document is too large", "문서가 너무 큽니다.")
    FULL = (
        HTTPStatus.INSUFFICIENT_STORAGE,
        "the member's space is used up",
        "회원사에 주어진 공간을 모두 썼습니다.",
    )
    STOPPED = (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "nothing can be written now: storage is full, or an upgrade is under way",
        "지금은 저장할 수 없습니다. 저장 공간이 가득 찼거나 업그레이드 중입니다.",
    )
    AWAY = (HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer", "데이터베이스가 응답하지 않습니다.")

    @property
    def status(self) -> HTTPStatus:
        """The status of the answer."""
        return self.value[0]

    @property
    def code(self) -> str:
        """What a program can go by."""
        return self.name.lower().replace("_", "-")

    @property
    def english(self) -> str:
        """For whoever reads a program's log."""
        return self.value[1]

    @property
    def korean(self) -> str:
        """For whoever looks at the page."""
        return self.value[2]


class Refused(Exception):
    """Something is not done, for ``reason``."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.english)
        self.reason = reason
