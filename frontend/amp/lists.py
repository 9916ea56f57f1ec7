"""Which operators autocast runs in which type: PyTorch's lists for the CPU, in this engine's names.

What is in none of them runs in the types that its operands have.
"""

from __future__ import annotations

# Matrix products and convolutions: operands are cast to the lower type.
LOWER: frozenset[str] = frozenset({
    "addbmm", "addmm", "baddbmm", "bmm", "convolution", "gru_layer", "linalg_vecdot", "linear", "lstm_layer", "matmul",
    "mm", "prelu", "rnn_layer", "scaled_dot_product_attention",
})  # fmt: skip

# What loses too much in 16 bits: operands of 16 bits are cast to float32. Functions over operators among them are
# marked where they are declared (`autocast.listed`).
FLOAT32: frozenset[str] = frozenset({
    "adaptive_avg_pool3d", "adaptive_max_pool3d", "avg_pool3d", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "cdist", "cholesky", "cholesky_inverse", "cholesky_solve",
    "cosine_embedding_loss", "cross_entropy", "ctc_loss", "grid_sample", "hinge_embedding_loss", "huber_loss",
    "inverse", "kl_div", "l1_loss", "linalg_cholesky", "linalg_cond", "linalg_eig", "linalg_eigh", "linalg_eigvals",
    "linalg_eigvalsh", "linalg_inv", "linalg_lstsq", "linalg_matrix_rank", "linalg_pinv", "linalg_qr",
    "linalg_solve", "linalg_svd", "linalg_svdvals", "margin_ranking_loss", "max_pool3d", "max_unpool2d",
    "max_unpool3d", "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "nanquantile", "nll_loss", "pinverse",
    "poisson_nll_loss", "polar", "prod", "quantile", "smooth_l1_loss", "soft_margin_loss", "stft", "trace",
    "triplet_margin_loss",
})  # fmt: skip

# Operands are cast to the widest type among them.
PROMOTE: frozenset[str] = frozenset({"cat", "index_copy", "stack"})

__all__ = ["FLOAT32", "LOWER", "PROMOTE"]
