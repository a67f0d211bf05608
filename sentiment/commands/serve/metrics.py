"""Prometheus metrics of the texts; the instrumentator counts requests and their latency."""

from prometheus_client import Counter, Gauge, Histogram

WAITING = Gauge("sentiment_queue_texts", "Texts that wait to be scored")
WAITED = Histogram("sentiment_queue_seconds", "Time that a text waited before it was scored")
SCORED = Counter("sentiment_texts", "Texts scored, by their label", ["label"])
LENGTH = Histogram(
    "sentiment_text_tokens", "Tokens of a text, before it is cut", buckets=[2**power for power in range(2, 15)]
)
UNKNOWN = Counter(
    "sentiment_unknown_tokens", "Tokens that the vocabulary does not have; sentiment_text_tokens_sum are all"
)
