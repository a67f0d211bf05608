"""A pseudo-terminal that shows what a person would see."""

import os
import pty
import re
import termios
import threading


class Terminal:
    """A pseudo-terminal of 100 columns.

    Attributes:
        file: write here to show text.
    """

    def __init__(self) -> None:
        self._end, end = pty.openpty()
        termios.tcsetwinsize(end, (24, 100))
        self.file = os.fdopen(end, "w")
        self._written = b""
        # Read at once, because a full buffer would block the writer.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while part := os.read(self._end, 4096):
                self._written += part
        except OSError:  # the other end is closed
            pass

    def screen(self) -> list[str]:
        """Close the terminal, and return the lines on its screen."""
        self.file.close()
        self._reader.join()
        lines: list[list[str]] = [[]]
        row = column = 0
        shown = re.sub(r"\x1b\[\d*m", "", self._written.decode())  # colours
        for up, control, character in re.findall(r"(\x1b\[A)|([\r\n])|(.)", shown):
            if up:
                row -= 1
            elif control == "\r":
                column = 0
            elif control:
                row += 1
                lines += [[] for _ in range(row + 1 - len(lines))]
            else:
                lines[row][column : column + 1] = character
                column += 1
        return ["".join(line).rstrip() for line in lines]
