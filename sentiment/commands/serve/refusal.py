"""A request that is refused: an HTTP status and one line that says why."""


class Refusal(Exception):
    """An answer without scores.

    Args:
        status: of HTTP.
        line: what is wrong, and what is allowed.
        retry_after: seconds after which the same request may be taken, if it may.
    """

    def __init__(self, status: int, line: str, retry_after: int | None = None):
        super().__init__(line)
        self.status = status
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
