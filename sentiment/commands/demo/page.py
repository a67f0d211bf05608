"""The demo page: a box for the review, examples, the answer, and what the model gets wrong."""

from functools import partial
from pathlib import Path

import gradio
import pandas as pd

from sentiment.blend.classifier import BlendClassifier
from sentiment.classifier import Classifier
from sentiment.commands.demo.answer import answer
from sentiment.commands.demo.attribution import encoder_of
from sentiment.data.schema import read_source
from sentiment.errors import InputError
from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import four_digits, with_interval
from sentiment.runs.run import Model, Run

# The browser clears the answer as soon as the review changes, so that no answer is shown for another review.
# STATUS makes an element a live region, whose changes screen readers announce; no other component of Gradio
# can be one. It triggers `input` when the review is typed, pasted, or about to be replaced by an example.
# Gradio's own `input` event is not triggered by pasting. An answer that was cancelled can still arrive, so
# each carries its review; if the box has another one, STATUS triggers `clear`.
STATUS = """
element.setAttribute('role', 'status');
element.setAttribute('aria-label', 'Answer');
const changes = { input: '#review', click: '#examples button' };
for (const [type, place] of Object.entries(changes)) {
  document.addEventListener(type, event => { if (event.target.closest(place)) trigger('input'); }, true);
}
watch('value', () => {
  const answered = element.querySelector('[data-review]')?.dataset.review;
  const review = document.querySelector('#review textarea').value.toWellFormed().replaceAll('\\0', '\\ufffd');
  if (answered !== undefined && answered !== review) trigger('clear');
});
"""
CLEAR = """() => {
  const hidden = { __type__: "update", visible: false };
  return [hidden, "", hidden, ""];
}"""
CSS = """
[data-testid=status-tracker] { display: none !important; } /* it shows cancelled answers as errors */
#words .textfield, #table td { unicode-bidi: plaintext; overflow-wrap: anywhere; word-break: normal; }
#words .label { font-size: 0.8rem; text-transform: none; }
#table :is(table, tr, th, td) { padding: 0.2rem 0.8rem; border-color: var(--border-color-primary); }
"""
# The models of a run that the page can show, by their path.
MEASURED: dict[str, Model] = {"models/classifier": "classifier", "models/blend.json": "blend"}


def build(classifier: Classifier, model: Path) -> gradio.Blocks:
    """Build the page. It offers no API; `sentiment serve` does.

    Args:
        classifier: a model in PyTorch, or a blend of one.
        model: its path.

    Raises:
        InputError: it is another kind of model.
    """
    try:
        encoder = encoder_of(classifier)
    except InputError as error:
        raise InputError(f"{model}: {error}") from None
    kind = "a blend of n-grams and a model " if isinstance(classifier, BlendClassifier) else ""
    # Columns: the example's name, the label that readers give it, and the review (text).
    examples = pd.read_csv(Path(__file__).with_name("examples.csv"))
    with gradio.Blocks(title="Sentiment of a film review", analytics_enabled=False) as page:
        gradio.Markdown(
            f"# Is this film review positive?\nThe model is {model}, {kind}fine-tuned from "
            f"{encoder.model.config.base_model}. It runs on this machine, and nothing you type is stored. "
            "Type or paste a review in English."
        )
        review = gradio.Textbox(label="Review", lines=5, max_lines=15, elem_id="review")
        button = gradio.Button("Classify (Shift+Enter)", variant="primary")
        tries = gradio.Examples(
            examples[["text"]].values.tolist(),
            review,
            label="Or try an example; the last six are hard",
            example_labels=examples["name"].tolist(),
            api_visibility="private",
            elem_id="examples",
        )
        status = gradio.HTML(js_on_load=STATUS, render=False)
        outputs = [
            gradio.Label(label="Answer", visible=False),
            status.render(),
            gradio.HighlightedText(
                label="The most important words, and what each adds to the log-odds of POSITIVE",
                elem_id="words",
                visible=False,
            ),
            gradio.HTML(elem_id="table"),
        ]
        gradio.Markdown(
            limits(model, examples.assign(probability=classifier.probabilities(examples["text"].tolist())))
        )
        gradio.on(
            [button.click, review.submit, status.input, status.clear],
            None,
            None,
            outputs,
            js=CLEAR,
            api_visibility="private",
            show_progress="hidden",
        )
        respond = partial(answer, classifier, dict(zip(examples["text"], examples["label"], strict=True)))
        answers = [
            submit(
                respond,
                review,
                outputs,
                api_visibility="private",
                show_progress="hidden",
                trigger_mode="always_last",  # a review submitted during an answer is answered next
            )
            for submit in (button.click, review.submit, tries.load_input_event.then)
        ]
        # One by one: in a list, the second would wait until the server has ended the first.
        for event in answers:
            status.input(None, cancels=event, api_visibility="private")
    return page


def limits(model: Path, examples: pd.DataFrame) -> str:
    """List the model's errors as Markdown: the accuracy that the pipeline measured, and wrong examples.

    Args:
        model: its path.
        examples: with the columns `name`, `text`, `label` (a name) and `probability` (of POSITIVE).
    """
    lines = ["## What it gets wrong", *accuracies(model)]
    for example in examples.itertuples():
        label = LABELS[example.probability >= 0.5]
        if label != example.label:
            probability = four_digits(max(example.probability, 1 - example.probability))
            lines.append(
                f"- Example **{example.name}**: “{example.text}” Readers say {example.label}; the model says "
                f"{label}, with probability {probability}."
            )
    return "\n".join(lines)


def accuracies(path: Path) -> list[str]:
    """The accuracy of a model on each evaluation set, or why it is not available, as a Markdown list."""
    measured = {Path(known).resolve(): model for known, model in MEASURED.items()}
    model, run, lines = measured.get(path.resolve()), Run(), []
    if model is None:
        return [f"- The accuracy of {path} was not measured here."]
    try:
        lines.append(f"- Accuracy on the test reviews: {with_interval(run.scores_of(model))}")
        for name in run.evaluation_sets:
            description = read_source(name).description
            reviews = f"{description} (data/{name})" if description else f"data/{name}"
            lines.append(f"- Accuracy on {reviews}: {with_interval(run.scores_of(model, name))}")
    except InputError as error:
        lines.append(f"- {error}")
    return lines
