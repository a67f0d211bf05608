"""Sentiment analysis of movie reviews: the package behind the stages of dvc.yaml and the command `sentiment`.

>>> from sentiment import load_classifier
>>> load_classifier("models/classifier").predict(["A warm, funny film."])  # doctest: +SKIP
[Prediction(label='POSITIVE', probability=0.99)]
"""

from sentiment.api import Prediction, ReviewClassifier, load_classifier

__all__ = ["Prediction", "ReviewClassifier", "load_classifier"]
