"""Sentiment analysis of movie reviews: the package behind the stages of dvc.yaml and the command `sentiment`.

>>> from sentiment import load_classifier
>>> load_classifier("models/classifier").predict(["A warm, funny film."])  # doctest: +SKIP
[Prediction(label='POSITIVE', probability=0.99)]

Importing the package changes no setting of the process and loads no library: `load_classifier` does.
"""

from sentiment.api import Prediction, ReviewClassifier, load_classifier
from sentiment.errors import InputError

__all__ = ["InputError", "Prediction", "ReviewClassifier", "load_classifier"]
