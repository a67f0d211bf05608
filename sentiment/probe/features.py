"""Features of reviews from a pretrained model that is not trained further."""

from collections.abc import Sequence

import numpy as np
import torch

from sentiment import progress
from sentiment.model.scoring import BLOCK, BatchedTransformer
from sentiment.progress import Advance


class MeanPooled(BatchedTransformer):
    """Turns reviews into features: the mean of a model's last hidden states over all tokens of a review.

    An encoder-decoder contributes the hidden states of its encoder, as in Sentence-T5 (Ni et al. 2021, arXiv
    2108.08877). The classification head is not used. A batch contains reviews of one length only, so nothing
    is padded, and no architecture can mix padding into the mean.
    """

    may_pad = False

    def forward(self, input_ids: torch.Tensor, **masks: torch.Tensor) -> torch.Tensor:
        """Compute the features of equally long reviews: shape (reviews, size of a hidden state)."""
        body = self.model.base_model
        if self.model.config.is_encoder_decoder:
            body = body.get_encoder()
        return body(input_ids=input_ids).last_hidden_state.float().mean(dim=1)

    def features(self, texts: Sequence[str], advance: Advance = progress.ignore) -> np.ndarray:
        """Features of normalised reviews, at least one: float32 array (reviews, size of a hidden state).

        Args:
            texts: the reviews, as `data.text.normalise` returns them.
            advance: is called with the number of reviews done since its last call.

        Raises:
            InputError: there is too little memory for even one review.
        """
        blocks = []
        for start in range(0, len(texts), BLOCK):
            encoded = self.encoder(texts[start : start + BLOCK])
            blocks.append(self.outputs(encoded.ids, advance))
        return np.concatenate(blocks)
