"""The page on which a person decides about suspects, one at a time, by a key or a click."""

from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Literal

import gradio
import pandas as pd

from sentiment import local_page
from sentiment.commands.audit.decisions import Decisions
from sentiment.commands.audit.suspects import REASONS
from sentiment.data.corrections import VERDICTS, Verdict
from sentiment.errors import InputError
from sentiment.labels import LABELS
from sentiment.listening import listen
from sentiment.metrics.metrics_file import four_digits

Action = Verdict | Literal["skip", "back"]
# The buttons in their order. The first letter of each action is its key.
ACTIONS: tuple[Action, ...] = (*VERDICTS, "skip", "back")
# Until the answer to a click or key has arrived, further ones are ignored: they would decide about a suspect
# that nobody has seen. The value changes with every answer, because it contains the number of the answer.
KEYS = """
element.setAttribute('role', 'status');
const actions = { k: 'keep', f: 'flip', d: 'drop', s: 'skip', b: 'back' };
let waiting = true;
watch('value', () => { waiting = false; });
document.addEventListener('click', event => {
  if (!event.target.closest('#actions button')) return;
  if (waiting) { event.preventDefault(); event.stopImmediatePropagation(); }
  waiting = true;
}, true);
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const action = actions[event.key.toLowerCase()];
  if (action) document.getElementById(action)?.click();
});
"""
CSS = """
#suspect blockquote { unicode-bidi: plaintext; overflow-wrap: anywhere; font-size: 1.1rem; }
#suspect p { margin: 0.5rem 0; }
"""


@dataclass
class Position:
    """The suspect that a browser shows.

    Attributes:
        shown: its id; None: there is none left.
        before: the ids shown before, the latest last.
        skipped: the ids skipped since the page was loaded.
        answers: the number of answers that the browser got.
    """

    shown: str | None = None
    before: list[str] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    answers: int = 0


def open_page(name: str, suspects: pd.DataFrame, port: int = 0) -> None:
    """Serve the page until Ctrl-C, and say how to apply the verdicts.

    Args:
        name: the dataset, a folder in data/.
        suspects: the result of `find_suspects`, or the same read from its file.
        port: port of 127.0.0.1 to listen on; 0: any free port.

    Raises:
        InputError: the file of corrections has a fault, or the port is taken.
    """
    decisions = Decisions(name)
    if suspects.empty:
        print(f"data/{name} has no suspects to decide on")
        return
    with listen(local_page.ADDRESS, port, "leave --port out for any free one") as listening:
        local_page.serve(build(name, suspects, decisions), listening, CSS)
    decided = decisions.by_id()
    print(f"stopped; {len(decided):,} verdicts in {decisions.path}")
    if decided:
        print(f"to apply them: {decisions.to_apply}")


def build(name: str, suspects: pd.DataFrame, decisions: Decisions) -> gradio.Blocks:
    """Build the page.

    Args:
        name: the dataset.
        suspects: as for `open_page`.
        decisions: reads and writes the verdicts.
    """
    page_of = _Suspects(suspects, decisions)
    with gradio.Blocks(title=f"Suspects in data/{name}", analytics_enabled=False) as page:
        gradio.Markdown(
            f"# Is the label right?\nSuspects in data/{name}, most suspect first. "
            "**Keep**: the label is right. **Flip**: the other label is right. **Drop**: neither is."
        )
        position = gradio.State(Position())
        suspect = gradio.HTML(js_on_load=KEYS, elem_id="suspect", render=False)
        outputs = [position, suspect]
        with gradio.Row(elem_id="actions"):  # above the review, so that they stay in place
            for action in ACTIONS:
                button = gradio.Button(
                    f"{action.capitalize()} ({action[0]})",
                    elem_id=action,
                    variant="primary" if action in VERDICTS else "secondary",
                    min_width=80,
                )
                button.click(
                    partial(page_of.act, action),
                    position,
                    outputs,
                    api_visibility="private",
                    show_progress="hidden",
                )
        suspect.render()
        gradio.Markdown(
            f"Each verdict is written to {decisions.path} at once, and a skipped suspect comes back when the "
            "page is loaded again. Training and validation reviews are corrected or dropped. Test reviews "
            "keep their labels, and are also evaluated on the corrected ones.\n\n"
            f"To apply the verdicts, {decisions.to_apply}."
        )
        page.load(page_of.start, None, outputs, api_visibility="private", show_progress="hidden")
    return page


class _Suspects:
    """The suspects by id, and what the page shows after each action."""

    def __init__(self, suspects: pd.DataFrame, decisions: Decisions):
        self._suspects = suspects.drop_duplicates("id").set_index("id", drop=False)
        self._decisions = decisions

    def start(self) -> tuple[Position, str]:
        """The first suspect without a verdict."""
        return self._answer(Position())

    def act(self, action: Action, position: Position) -> tuple[Position, str]:
        """Decide about the suspect that is shown, skip it, or go back; return the next one as HTML."""
        shown = position.shown
        if action == "back":
            if position.before:
                position.shown = position.before.pop()
                position.skipped.discard(position.shown)
                return self._answer(position, stay=True)
            return self._answer(position, stay=True, notice="There is none before this one.")
        if shown is None:
            return self._answer(position)
        if action == "skip":
            position.skipped.add(shown)
        else:
            try:
                self._decisions.decide(shown, action, self._suspects.at[shown, "text"])
            except (InputError, OSError) as error:
                return self._answer(position, stay=True, notice=f"Not written: {error}")
        position.before.append(shown)
        return self._answer(position)

    def _answer(self, position: Position, stay: bool = False, notice: str = "") -> tuple[Position, str]:
        """The position and its suspect as HTML: the one that is shown, or the first that is left."""
        position.answers += 1
        try:
            decided = self._decisions.by_id()
        except (InputError, OSError) as error:
            return position, self._html(position, {}, f"{notice or error}")
        if not stay:
            left = self._suspects.index[~self._suspects.index.isin({*decided, *position.skipped})]
            position.shown = left[0] if len(left) else None
        return position, self._html(position, decided, notice)

    def _html(self, position: Position, decided: dict[str, str], notice: str) -> str:
        ids = self._suspects.index
        number = int(ids.isin(decided).sum())
        lines = [f"<p>{number:,} of {len(ids):,} suspects decided.</p>"]
        if notice:
            lines.append(f"<p role='alert'><strong>{escape(notice)}</strong></p>")
        if position.shown is None:
            skipped = len(position.skipped)
            rest = f"{skipped:,} skipped: load the page again to see them." if skipped else "None is left."
            lines.append(f"<p><strong>{rest}</strong></p>")
        else:
            lines += _described(self._suspects.loc[position.shown], decided.get(position.shown))
        return f"<div data-answer='{position.answers}'>{''.join(lines)}</div>"


def _described(suspect: pd.Series, verdict: str | None) -> list[str]:
    """A suspect as paragraphs of HTML, with the verdict on it, if there is one."""
    other = LABELS[1 - LABELS.index(suspect["label"])]
    place = f"{suspect['id']} ({suspect['split']}), {suspect['file']}, row {suspect['row']}"
    reason = REASONS[suspect["reason"]]
    if suspect["related"]:
        reason += f": {suspect['related']}"
    lines = [
        f"<p><strong>{escape(place)}</strong>. Suspect because {escape(reason)}.</p>",
        f"<p>Label: <strong>{escape(suspect['label'])}</strong>; probability of {other}: "
        f"{four_digits(suspect['probability'])}</p>",
        f"<blockquote dir='auto'>{escape(suspect['text'])}</blockquote>",
    ]
    if verdict:
        lines.insert(2, f"<p>Your verdict: <strong>{verdict}</strong></p>")
    return lines
