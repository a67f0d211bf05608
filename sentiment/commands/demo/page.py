"""The page of the demo: where a review is typed, examples to try, the answer, and what the model gets wrong."""

from functools import partial
from pathlib import Path

import gradio
import pandas as pd

from sentiment.commands.demo.answer import answer
from sentiment.errors import InputError
from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import four_digits, with_interval
from sentiment.model.scoring import TransformerClassifier
from sentiment.runs.run import Run

MODEL = "models/classifier"
# All in the browser, so that no answer stands below a review that it is not about. First, a live region, which tells
# screen readers of an answer (none of Gradio's other components can be one). It triggers `input` when the review is typed,
# pasted, or about to be replaced by an example; Gradio's own `input` event is not triggered by pasting.
STATUS = """
element.setAttribute('role', 'status');
element.setAttribute('aria-label', 'Answer');
const changes = { input: '#review', click: '#examples button' };
for (const [type, place] of Object.entries(changes)) {
  document.addEventListener(type, event => { if (event.target.closest(place)) trigger('input'); }, true);
}
"""
CLEAR = """() => {
  const hidden = { __type__: "update", visible: false };
  return [hidden, "", hidden, ""];
}"""
MEASURED = {
    "test": "the test reviews",
    "challenge": "irony, understatement and backhanded praise (data/challenge), all of which readers get right",
}


def build(classifier: TransformerClassifier) -> gradio.Blocks:
    """The page; its functions are not offered as an API, for which models/classifier itself is the better one."""
    # Examples: their name, what readers take them for (label), and the review (text).
    examples = pd.read_csv(Path(__file__).with_name("examples.csv"))
    with gradio.Blocks(title="Sentiment of a film review", analytics_enabled=False) as page:
        gradio.Markdown(
            f"# Is this film review positive?\n{MODEL}, fine-tuned from {classifier.model.config.base_model}. "
            "It runs on this machine, and nothing you type is kept. Type or paste a review in English."
        )
        review = gradio.Textbox(label="Review", lines=5, max_lines=15, elem_id="review")
        button = gradio.Button("Classify (Shift+Enter)", variant="primary")
        tries = gradio.Examples(
            examples[["text"]].values.tolist(),
            review,
            label="Or try one of these; the last six are hard",
            example_labels=examples["name"].tolist(),
            api_visibility="private",
            elem_id="examples",
        )
        status = gradio.HTML(js_on_load=STATUS, render=False)
        outputs = [
            gradio.Label(label="Answer", visible=False),
            status.render(),
            gradio.HighlightedText(
                label="The words it rests on, and the log-odds of POSITIVE that each adds",
                elem_id="words",
                visible=False,
            ),
            gradio.HTML(elem_id="table"),
        ]
        gradio.Markdown(
            limits(examples.assign(probability=classifier.probabilities(examples["text"].tolist())))
        )
        gradio.on(
            [button.click, review.submit, status.input],
            None,
            None,
            outputs,
            js=CLEAR,
            api_visibility="private",
            show_progress="hidden",
        )
        respond = partial(answer, classifier, dict(zip(examples["text"], examples["label"], strict=True)))
        answers = [
            event(
                respond,
                review,
                outputs,
                api_visibility="private",
                show_progress="hidden",
                trigger_mode="always_last",  # what is asked for while an answer is under way is answered next
            )
            for event in (button.click, review.submit, tries.load_input_event.then)
        ]
        for (
            given
        ) in answers:  # one by one: in a list, the second would wait until the server has ended the first
            status.input(None, cancels=given, api_visibility="private")
    return page


def limits(examples: pd.DataFrame) -> str:
    """Markdown that says what the model gets wrong: the accuracy that evaluate measured, and the examples it is wrong about.

    Args:
        examples: `name`, `text`, `label` (name) and `probability` (of POSITIVE).
    """
    lines = ["## What it gets wrong"]
    for name, reviews in MEASURED.items():
        try:
            lines.append(f"- Accuracy on {reviews}: {with_interval(Run().metrics(name))}")
        except InputError as error:
            lines.append(f"- {error}")
    for example in examples.itertuples():
        label = LABELS[example.probability >= 0.5]
        if label != example.label:
            lines.append(
                f"- Example **{example.name}**: “{example.text}” Readers take it as {example.label}; the model says {label}, with "
                f"probability {four_digits(max(example.probability, 1 - example.probability))}."
            )
    return "\n".join(lines)
